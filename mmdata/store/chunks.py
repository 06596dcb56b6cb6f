"""Read rows of an array in a folder: each chunk goes from its file through the decoder straight into the buffer.

Terms
-----
chunk   the compressed bytes of one row and, behind them, their CRC32C.
shard   the file that holds the chunks of neighbouring rows; it ends in an index of where each lies, with a CRC32C.

An index is remembered for as long as its file stays the same: a shard that was replaced is read as it is now.
Source: Zarr v3, https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed.
"""

import os
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import google_crc32c
import numpy as np
from numcodecs import blosc
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

_Decoder: TypeAlias = Callable[[memoryview, NDArray[Any]], Any]
"""Takes what an encoder made, and the memory to put the values into, all of it."""

Version: TypeAlias = tuple[int, int, int]
"""Inode, time of the last change in ns and bytes of a file: a shard that is written again is another file."""

CRC_BYTES = 4
_CRC_OF_BYTES_AND_THEIR_CRC = 0x48674BC7
"""Whatever the bytes are; source: the residue of CRC-32/ISCSI, https://reveng.sourceforge.io/crc-catalogue/17plus.htm."""
_INDEX_ENTRY = struct.Struct("<QQ")
_NEVER_WRITTEN = 2**64 - 1
_TASK_BYTES = 8 << 20
"""Of decoded rows that one thread reads at a stretch, at most."""
_LEAST_THREADS, _MOST_THREADS = 2, 16
"""One can read while another waits for the disk; more than some only wait for each other at the interpreter lock."""
_INDEX_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
_CHUNK_KEYS = {"name": "default", "configuration": {"separator": "/"}}
_BLOSC_SIZE = struct.Struct("<I")
"""Behind four bytes of its header; source: https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst."""
_ZSTD_CONTENT_SIZES = {0: "<B", 1: "<H", 2: "<I", 3: "<Q"}


class Extent(NamedTuple):
    """Which bytes of a shard are the chunk of a row."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class ChunkReader:
    """What one has to know of an array to read its rows."""

    folder: str
    row_ndim: int
    rows_per_shard: int
    decode: _Decoder
    fill: Any
    """Value of rows that were never stored."""
    indices: dict[tuple[int, ...], tuple[Version, bytes]] = field(default_factory=dict, repr=False)
    """Of the shards that were read, and of which version of their files: some 30 bytes for each row and copy."""

    def start_read(
        self, indices: NDArray[np.int64], out: NDArray[Any], targets: NDArray[np.int64]
    ) -> list[Future[None]]:
        """Begin to read rows into a buffer; see `StoredArray.start_read`.

        The futures raise ValueError where bytes are damaged, and OSError where they cannot be read.
        """
        wanted = list(zip(targets.tolist(), indices.tolist(), strict=True))
        num_rows = max(1, min(_TASK_BYTES * len(out) // max(1, out.nbytes), -(-len(wanted) // num_threads())))
        tasks = [wanted[first : first + num_rows] for first in range(0, len(wanted), num_rows)]
        return [_threads().submit(self._read_rows, task, out) for task in tasks]

    def versions(self, indices: NDArray[np.int64]) -> list[Version | None]:
        """Return which version of its shard's file each row lies in now; None where there is no file."""
        of_rows = np.column_stack([indices[:, :-1], indices[:, -1] // self.rows_per_shard])
        shards, of_row = np.unique(of_rows, axis=0, return_inverse=True)
        found = [self._find_version(tuple(shard)) for shard in shards.tolist()]
        return [found[number] for number in of_row.ravel().tolist()]

    def _find_version(self, shard: tuple[int, ...]) -> Version | None:
        *copies, index = shard
        try:
            return _version_of(os.stat(_shard_file(self.folder, index, self.row_ndim, copies)))  # noqa: PTH116 - as text, see there
        except FileNotFoundError:
            return None

    def _read_rows(self, wanted: Sequence[tuple[int, list[int]]], out: NDArray[Any]) -> None:
        for target, (*copies, row) in wanted:
            self._read_row(copies, row, out[target])

    def _read_row(self, copies: Sequence[int], row: int, out: NDArray[Any]) -> None:
        shard, position = divmod(row, self.rows_per_shard)
        try:
            file = os.open(_shard_file(self.folder, shard, self.row_ndim, copies), os.O_RDONLY)
        except FileNotFoundError:
            out[...] = self.fill
            return
        try:
            packed = self._read_packed(file, (*copies, shard), position)
        finally:
            os.close(file)
        if packed is None:
            out[...] = self.fill
            return
        try:
            self.decode(packed, out)
        except RuntimeError as error:  # so say the decoders of numcodecs
            raise ValueError(str(error)) from error

    def _read_packed(self, file: int, shard: tuple[int, ...], position: int) -> memoryview | None:
        """Return what is to be decoded; None where nothing is stored."""
        status = os.fstat(file)
        version = _version_of(status)
        known, index = self.indices.get(shard, (None, b""))
        if known != version:
            index = read_index(file, status.st_size, self.rows_per_shard)
            self.indices[shard] = version, index
        extent = extent_in(index, position)
        return _without_crc(_read(file, *extent)) if extent else None


def reader_of(folder: Path, description: Mapping[str, Any], fill: Any) -> ChunkReader | None:
    """Return a reader of an array; None where its chunks do not lie, or are not packed, as this program does it.

    Parameters
    ----------
    description
        What its zarr.json holds.
    """
    try:
        return _reader_of(folder, description, fill)
    except (AttributeError, LookupError, TypeError, ValueError):  # as Zarr allows it and this program never writes it
        return None


def _reader_of(folder: Path, description: Mapping[str, Any], fill: Any) -> ChunkReader | None:
    (outer, *behind), names = description["codecs"], description.get("dimension_names") or []
    if behind or outer["name"] != "sharding_indexed" or "sample" not in names:
        return None
    inner, axis = outer["configuration"], names.index("sample")
    first, *packers = inner["codecs"]
    decode = _DECODERS.get((first["name"], *[packer["name"] for packer in packers]))
    shard, chunk = description["chunk_grid"]["configuration"]["chunk_shape"], inner["chunk_shape"]
    ours = (
        description["chunk_key_encoding"] == _CHUNK_KEYS
        and first.get("configuration", {}).get("endian", sys.byteorder) == sys.byteorder
        and inner.get("index_location", "end") == "end"
        and inner["index_codecs"] == _INDEX_CODECS
        and chunk == [1] * (axis + 1) + description["shape"][axis + 1 :]
        and shard == [1] * axis + [shard[axis]] + chunk[axis + 1 :]
    )
    return ChunkReader(str(folder), len(chunk) - axis - 1, shard[axis], decode, fill) if decode and ours else None


def shard_file(array: Path, index: int, row_ndim: int, *, copy: int | None = None) -> Path:
    """Return the file of an array's shard, by its index along the rows.

    Parameters
    ----------
    copy
        Index along the copies axis, for an augmented array.

    Examples
    --------
    >>> shard_file(Path("t1/64"), 3, 3).as_posix()
    't1/64/c/3/0/0/0'
    """
    return Path(_shard_file(str(array), index, row_ndim, [] if copy is None else [copy]))


def read_index(file: int, file_size: int, rows_per_shard: int) -> bytes:
    """Return the index of a shard, for `extent_in`.

    Parameters
    ----------
    file
        Descriptor of the open file.
    file_size
        In bytes.

    Raises
    ------
    ValueError
        It is damaged.
    """
    size = rows_per_shard * _INDEX_ENTRY.size + CRC_BYTES
    index = bytes(_without_crc(_read(file, file_size - size, size)))
    for position in range(rows_per_shard):
        if (extent := extent_in(index, position)) and max(extent) > file_size:
            raise ValueError(f"a chunk of {extent.size} bytes at {extent.offset} would lie behind the end of its file")
    return index


def extent_in(index: bytes, position: int) -> Extent | None:
    """Look up a row by its position among those of its shard; None where it was never stored."""
    extent = Extent(*_INDEX_ENTRY.unpack_from(index, position * _INDEX_ENTRY.size))
    return None if extent.offset == extent.size == _NEVER_WRITTEN else extent


def _shard_file(array: str, index: int, row_ndim: int, copies: Sequence[int]) -> str:
    """Return it as text, which for every row read is much sooner made than a path."""
    return "/".join([array, "c", *map(str, copies), str(index), *"0" * row_ndim])


def _version_of(status: os.stat_result) -> Version:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read(file: int, offset: int, size: int) -> bytes:
    if offset < 0 or size < CRC_BYTES:
        raise ValueError(f"nothing that has a checksum can lie at {offset} and be {size} bytes long")
    content = os.pread(file, size, offset)
    while len(content) < size:
        more = os.pread(file, size - len(content), offset + len(content))
        if not more:
            raise ValueError(f"the file ends {size - len(content)} bytes too early")
        content += more
    return content


def _without_crc(content: bytes) -> memoryview:
    """Check the CRC32C at the end of some bytes; return the others."""
    if google_crc32c.value(content) != _CRC_OF_BYTES_AND_THEIR_CRC:
        raise ValueError("a checksum does not match")
    return memoryview(content)[:-CRC_BYTES]


def _decode_zstd(content: memoryview, out: NDArray[Any]) -> None:
    _require_size(_zstd_size(content), out)
    Zstd().decode(content, out)


def _decode_blosc(content: memoryview, out: NDArray[Any]) -> None:
    _require_size(_BLOSC_SIZE.unpack_from(content, 4)[0], out)
    blosc.decompress(content, out)


def _copy(content: memoryview, out: NDArray[Any]) -> None:
    _require_size(len(content), out)
    out.reshape(-1)[:] = np.frombuffer(content, out.dtype)


def _require_size(num_bytes: int | None, out: NDArray[Any]) -> None:
    """Refuse what would leave a part of a row as it was: decoders refuse only what is too long."""
    if num_bytes != out.nbytes:
        raise ValueError(f"a chunk holds {num_bytes} bytes where a row has {out.nbytes}")


def _zstd_size(content: memoryview) -> int | None:
    """Return the size that a frame says it has, None where it says none. Source: RFC 8878, 3.1.1.1."""
    descriptor = content[4]
    size_flag, single, dictionary_flag = descriptor >> 6, descriptor >> 5 & 1, descriptor & 3
    if not size_flag and not single:
        return None
    start = 5 + (not single) + (0, 1, 2, 4)[dictionary_flag]
    (size,) = struct.unpack_from(_ZSTD_CONTENT_SIZES[size_flag], content, start)
    return int(size) + (256 if size_flag == 1 else 0)


_DECODERS: Mapping[tuple[str, ...], _Decoder] = {
    ("bytes", "zstd", "crc32c"): _decode_zstd,
    ("bytes", "blosc", "crc32c"): _decode_blosc,
    ("bytes", "crc32c"): _copy,
}


@cache
def num_threads() -> int:
    """Return how many rows are read at once: one for each core, within limits."""
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(_LEAST_THREADS, num_cores), _MOST_THREADS)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(num_threads(), thread_name_prefix="mm-read")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # a child has no threads
