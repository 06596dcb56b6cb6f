"""An array of rows on disk, read and written.

Terms
-----
row      a sample's index along the rows axis; axis 0, or axis 1 behind the copies of an augmented array.
shard    the rows that share one file; written whole, by one task, in one atomic step.
missing  a row that was never stored: `mmdata.store.rows`.

Arrays are made by `mmdata.store.spec`. Single rows are read by `mmdata.store.chunks`, whole shards and buckets through
tensorstore, which also writes: each write ends in one rename.
"""

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts
from numpy.typing import NDArray

from mmbase.files import missing_directories, sync_made
from mmdata.errors import StoreError
from mmdata.store.chunks import ChunkReader, Version, reader_of, shard_file
from mmdata.store.description import damaged_description, read_description
from mmdata.store.failures import damaged_array, explain_failure, full_disk, is_disk_full
from mmdata.store.location import BucketPath, Location, kvstore_spec, short_name
from mmdata.store.rows import is_stored, missing_value, require_stored


@dataclass(frozen=True)
class StoredArray:
    """An open array; one in a bucket is only read."""

    location: Location
    handle: Any
    attributes: dict[str, Any]
    reader: ChunkReader | None
    """Reads rows from a folder; None: tensorstore does, from a bucket or whatever another program wrote."""

    @property
    def path(self) -> Path:
        """Directory of the array, for those that work with its files."""
        if isinstance(self.location, BucketPath):
            raise StoreError(f"{self.location} lies in a bucket, and what lies there is only read.")
        return self.location

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Current shape."""
        return tuple(self.handle.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Number type on disk."""
        dtype: np.dtype[Any] = np.dtype(self.handle.dtype.numpy_dtype)
        return dtype

    @property
    def row_axis(self) -> int:
        """Index of the rows axis."""
        return int(self.handle.domain.labels.index("sample"))

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.shape[self.row_axis + 1 :]

    @property
    def rows_per_shard(self) -> int:
        """Rows that share one file."""
        return int(self.handle.chunk_layout.write_chunk.shape[self.row_axis])

    @property
    def row_bytes(self) -> int:
        """Bytes of one row as it is in memory."""
        return math.prod(self.row_shape) * self.dtype.itemsize

    @cached_property
    def identity(self) -> str:
        """Where the array lies and what its description says of every row: equal for two that hold the same."""
        return json.dumps([str(self.location), str(self.dtype), self.row_shape, self.attributes], sort_keys=True)

    def versions(self, indices: NDArray[np.int64]) -> list[Version | None]:
        """Return what changes when a row is written again, for each row of `start_read`'s indices.

        None: its shard has no file, or tensorstore reads the array and what is asked for cannot be told.
        """
        return [None] * len(indices) if self.reader is None else self.reader.versions(indices)

    def start_read(self, indices: NDArray[np.int64], out: NDArray[Any], targets: NDArray[np.int64]) -> list[Any]:
        """Begin to read rows into a buffer; return futures for `wait_for_reads`.

        Parameters
        ----------
        indices
            Shape (n, 1), rows; or (n, 2), indices along the copies axis and rows.
        out
            Shape (at least n, *row_shape), in C order, of the array's number type.
        targets
            Shape (n,): index in `out` that each row goes to.
        """
        if out.dtype != self.dtype or out.shape[1:] != self.row_shape or not out.flags.carray:
            raise ValueError(f"expected a buffer of {self.dtype} rows {self.row_shape} in C order, to be written to")
        if self.reader is not None:
            return self.reader.start_read(indices, out, targets)
        return [ts.array(out)[targets].write(self.handle[tuple(indices.T)])]

    def read_rows(self, indices: Sequence[Sequence[int]]) -> NDArray[Any]:
        """Return rows, shape (len(indices), *row_shape).

        Raises
        ------
        StoreError
            A row was never stored, or its bytes are damaged.
        """
        rows = np.empty((len(indices), *self.row_shape), self.dtype)
        every = np.arange(len(indices))
        wait_for_reads(self.start_read(np.asarray(indices, np.int64), rows, every), self.location)
        require_stored(rows, indices, self.location)
        return rows

    def write_shard(self, start: int, rows: NDArray[Any], *, copy: int | None = None) -> None:
        """Replace the shard that begins at row `start`.

        Parameters
        ----------
        rows
            The whole shard, shape (rows up to the shard's or the array's end, *row_shape); fill where missing.
        copy
            Index along the copies axis, for an augmented array.

        Raises
        ------
        CapacityError
            The disk is full; what the shard held before is still there.
        """
        last = min(start + self.rows_per_shard, self.shape[self.row_axis])
        if start % self.rows_per_shard or len(rows) != last - start:
            raise ValueError(f"expected rows {start} to {last} of a whole shard, got {len(rows)} rows")
        target = self.handle if copy is None else self.handle[copy]
        file = shard_file(self.path, start // self.rows_per_shard, len(self.row_shape), copy=copy)
        made = missing_directories(file.parent)
        if len(rows) < self.rows_per_shard:
            _remove_unreadable(file, target[start:last])
        try:
            target[start:last].write(rows).result()  # with fsync of the file and its folder, not of those above it
            sync_made(folder for folder in made if folder.exists())  # a shard without rows has none
        except (ValueError, OSError) as error:
            if is_disk_full(error):
                raise full_disk(self.path) from error
            raise

    def read_shard(self, start: int, *, copy: int | None = None, kept: Collection[int] | None = None) -> NDArray[Any]:
        """Return the whole shard that begins at row `start`, missing rows as fill.

        Parameters
        ----------
        kept
            Rows to return; left out: every row. Others come as fill, whatever the shard holds there.

        Raises
        ------
        StoreError
            A row to return is damaged.
        """
        last = min(start + self.rows_per_shard, self.shape[self.row_axis])
        wanted = range(start, last) if kept is None else [row for row in kept if start <= row < last]
        rows = np.full((last - start, *self.row_shape), missing_value(self.dtype), self.dtype)
        if wanted:
            within = np.asarray(wanted) - start
            read, damaged = self._read(start, last, copy)
            if damaged.intersection(wanted):
                raise damaged_array(self.location)
            rows[within] = read[within]
        return rows

    def check_rows(self, rows: Sequence[int], *, copy: int | None = None) -> tuple[NDArray[Any], set[int]]:
        """Read rows of one shard; return them, damaged and missing ones as fill, and which those are."""
        first = min(rows)
        read, damaged = self._read(first, max(rows) + 1, copy)
        wanted = read[np.asarray(rows) - first]
        missing = {row for row, values in zip(rows, wanted, strict=True) if not is_stored(values)}
        return wanted, missing | damaged.intersection(rows)

    def held_rows(self, rows: Collection[int], *, copy: int | None = None) -> set[int]:
        """Return those of some rows of one shard that hold anything, whole or damaged."""
        read, damaged = self._read(min(rows), max(rows) + 1, copy)
        return {row for row in rows if row in damaged or is_stored(read[row - min(rows)])}

    def erase_rows(self, rows: Collection[int], *, copy: int | None = None) -> set[int]:
        """Turn rows of one shard into missing ones; return those that held anything.

        The shard is written again in one step, or not at all where nothing is to be erased. The others keep their
        values; those that are damaged become missing, since what cannot be read cannot be written. A shard without rows
        has no file.

        Raises
        ------
        OSError
            The disk cannot be read.
        CapacityError
            The disk is full; the shard is as it was.
        """
        start = min(rows) - min(rows) % self.rows_per_shard
        last = min(start + self.rows_per_shard, self.shape[self.row_axis])
        read, damaged = self._read(start, last, copy)
        if damaged:
            file = shard_file(self.path, start // self.rows_per_shard, len(self.row_shape), copy=copy)
            file.read_bytes()  # raises where the disk is at fault and the rows may be whole
            read, damaged = self._read(start, last, copy)
        held = {row for row in rows if row in damaged or is_stored(read[row - start])}
        if held:
            read[np.asarray(sorted(held)) - start] = missing_value(self.dtype)
            self.write_shard(start, read, copy=copy)
        return held

    def _read(self, first: int, last: int, copy: int | None) -> tuple[NDArray[Any], set[int]]:
        """Read rows at once, or one by one where some are damaged; return them and which are damaged."""
        source = self.handle if copy is None else self.handle[copy]
        try:
            return source[first:last].read().result(), set()
        except (ValueError, OSError):
            return self._read_row_by_row(source, first, last)

    def _read_row_by_row(self, source: Any, first: int, last: int) -> tuple[NDArray[Any], set[int]]:
        rows = np.full((last - first, *self.row_shape), missing_value(self.dtype), self.dtype)
        damaged = set()
        for row in range(first, last):
            try:
                rows[row - first] = source[row].read().result()
            except (ValueError, OSError):
                damaged.add(row)
        return rows, damaged


def open_array(location: Location) -> StoredArray:
    """Open an array for reading and, where it lies in a folder, writing.

    Raises
    ------
    StoreError
        There is no array, its description is damaged, its schema version is not this program's, or its bucket cannot be
        read.
    """
    description = read_description(location)
    spec = {"driver": "zarr3", "kvstore": kvstore_spec(location)}
    try:
        handle = ts.open(spec, open=True, read=True, write=isinstance(location, Path)).result()
    except (ValueError, OSError) as error:
        raise explain_failure(error, location) or damaged_description(location, "Zarr cannot open it") from error
    if is_stored(np.full(1, handle.fill_value, handle.dtype.numpy_dtype)):
        raise damaged_description(location, "its fill value is not that of rows which were never stored")
    reader = None
    if isinstance(location, Path):
        reader = reader_of(location, description, missing_value(handle.dtype.numpy_dtype))
    return StoredArray(location, handle, description["attributes"], reader)


def _remove_unreadable(file: Path, stored: ts.TensorStore) -> None:
    """Remove a shard that cannot be read, before one that ends with the array replaces it.

    tensorstore reads what such a shard holds behind the array's end before it writes it.
    """
    try:
        stored.read().result()
    except ValueError:
        file.unlink(missing_ok=True)


def describe_arrays(store: Path) -> list[dict[str, Any]]:
    """Return name, shape, number type and bytes on disk of every array in a ``*.zarr`` store."""
    described = []
    for metadata in sorted(store.glob("*/*/zarr.json")):
        array = open_array(metadata.parent)
        num_bytes = sum(path.stat().st_size for path in metadata.parent.rglob("*") if path.is_file())
        described.append(
            {
                "array": short_name(metadata.parent),
                "shape": list(array.shape),
                "dtype": str(array.dtype),
                "bytes": num_bytes,
            }
        )
    return described


def wait_for_reads(futures: Sequence[Any], location: Location) -> None:
    """Wait for reads begun with `StoredArray.start_read`.

    Raises
    ------
    StoreError
        A chunk's checksum does not match, or the file or the bucket cannot be read.
    """
    try:
        for future in futures:
            future.result()
    except (ValueError, OSError) as error:
        raise explain_failure(error, location) or damaged_array(location) from error
