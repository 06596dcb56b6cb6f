"""How fast the disk gives the chunks of rows.

Terms
-----
cold    the page cache of the system holds nothing of the files, so the disk itself answers.
warm    the page cache holds them, or could not be made to forget them.
"""

import os
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmdata.errors import StoreError
from mmdata.store.array import StoredArray
from mmdata.store.chunks import extent_in, num_threads, read_index, shard_file
from mmdata.store.failures import damaged_array

Cache = Literal["cold", "warm", "unknown"]

_PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where the compressed bytes of one row lie."""

    file: Path
    offset: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskReading:
    """What reading chunks took."""

    samples: int
    num_bytes: int
    seconds: float
    cache: Cache
    """In which state the page cache was when the reading began."""


def locate_chunks(array: StoredArray, rows: Sequence[int]) -> list[Chunk]:
    """Return where the chunks of un-augmented rows lie.

    Raises
    ------
    StoreError
        A row was never stored, or a shard is damaged.
    """
    chunks = []
    for row in rows:
        shard, index = divmod(row, array.rows_per_shard)
        path = shard_file(array.path, shard, len(array.row_shape))
        extent = None
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                extent = extent_in(read_index(file.fileno(), size, array.rows_per_shard), index)
        except FileNotFoundError:
            pass
        except ValueError as error:
            raise damaged_array(array.path) from error
        if extent is None:
            raise StoreError(f"Row {row} of {array.path.parent.name}/{array.path.name} was never stored.")
        chunks.append(Chunk(path, *extent))
    return chunks


def forget_files(files: Collection[Path]) -> Cache:
    """Ask the system to forget what it holds of some files in memory; return whether it did.

    A hint that changes no file: what was not written yet, or is in use by others, stays.
    """
    if not hasattr(os, "posix_fadvise") or not hasattr(os, "RWF_NOWAIT"):
        return "unknown"
    for file in files:
        _forget(file)
    states = {_state(file) for file in files}
    for file in files:  # looking may have brought something back
        _forget(file)
    if len(states) == 1:
        return states.pop()
    return "warm" if "warm" in states else "unknown"


def read_chunks(samples: Sequence[Sequence[Chunk]], seconds: float) -> DiskReading:
    """Read the chunks of samples once, from the disk if possible, for so many seconds at most."""
    cache = forget_files({chunk.file for chunks in samples for chunk in chunks})
    started = time.perf_counter()

    def read(chunks: Sequence[Chunk]) -> int:
        if time.perf_counter() - started > seconds:
            return 0
        return sum(len(_read(chunk)) for chunk in chunks)

    with ThreadPoolExecutor(num_threads()) as pool:
        sizes = list(pool.map(read, samples))
    elapsed = time.perf_counter() - started
    return DiskReading(samples=sum(size > 0 for size in sizes), num_bytes=sum(sizes), seconds=elapsed, cache=cache)


def _read(chunk: Chunk) -> bytes:
    file = os.open(chunk.file, os.O_RDONLY)
    try:
        return os.pread(file, chunk.size, chunk.offset)
    finally:
        os.close(file)


def _forget(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def _state(path: Path) -> Cache:
    """Try to read a file's first page without waiting for the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.preadv(file, [bytearray(_PAGE_BYTES)], 0, os.RWF_NOWAIT)
    except BlockingIOError:
        return "cold"
    except OSError:
        return "unknown"
    finally:
        os.close(file)
    return "warm"
