"""Chunked arrays on disk: one row per sample, one row per chunk, many rows per shard.

Terms
-----
row      a sample's index along the rows axis; axis 0, or axis 1 behind the copies of an augmented array.
shard    the rows that share one file; written whole, by one task, in one atomic step.
missing  a row that was never stored. It reads as the array's fill value everywhere, which no stored row is: integers
         are filled with their largest value, floats with NaN, and every volume has background.

Arrays are plain Zarr v3. They are described with zarr-python and written through tensorstore, whose writes end in one
rename. Single rows are read by `mmdata.store.chunks`, whole shards and buckets through tensorstore.
"""

import json
import math
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorstore as ts
import xxhash
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

from mmdata.errors import CapacityError, StoreError
from mmdata.store.chunks import ChunkReader, reader_of, shard_file
from mmdata.store.location import BucketPath, Location, explain_failure, kvstore_spec
from mmdata.store.schema import SCHEMA_VERSION

Codec = Literal["zstd", "lz4", "none"]
StoredDtype = Literal["uint16", "uint8", "float16", "float32"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArraySpec:
    """What an array on disk is to be."""

    path: Path
    """Directory of the array inside its ``*.zarr`` group."""
    shape: tuple[int, ...]
    """Shape; grows along the axes in front of the row's own shape, never shrinks."""
    row_axis: int
    """Index of the rows axis: 0, or 1 where copies come first."""
    rows_per_shard: int
    """Rows that share one file."""
    dtype: StoredDtype
    """Number type on disk."""
    codec: Codec
    """Compression of each chunk; a CRC32C follows it."""
    dimensions: tuple[str, ...]
    """One name per axis."""
    attributes: dict[str, Any] = field(default_factory=dict)
    """What a reader must know; an existing array has to have the same."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row before compression."""
        return math.prod(self.shape[self.row_axis + 1 :]) * np.dtype(self.dtype).itemsize


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

    def start_read(self, indices: NDArray[np.int64], out: NDArray[Any], places: NDArray[np.int64]) -> list[Any]:
        """Begin to read rows into places of a buffer; return futures for `wait_for_reads`.

        Parameters
        ----------
        indices
            Shape (n, 1), rows; or (n, 2), indices along the copies axis and rows.
        out
            Shape (at least n, *row_shape), in C order, of the array's number type.
        places
            Shape (n,): where in `out` each row goes.
        """
        if out.dtype != self.dtype or out.shape[1:] != self.row_shape or not out.flags.carray:
            raise ValueError(f"expected a buffer of {self.dtype} rows {self.row_shape} in C order, to be written to")
        if self.reader is not None:
            return self.reader.start_read(indices, out, places)
        return [ts.array(out)[places].write(self.handle[tuple(indices.T)])]

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
        try:
            target[start:last].write(rows).result()
        except (ValueError, OSError) as error:
            if "No space left" in str(error) or "RESOURCE_EXHAUSTED" in str(error):
                raise CapacityError(
                    f"The disk filled up while writing {self.path.name}. What was stored is intact: free some space, "
                    "then run the same command again."
                ) from error
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
            places = np.asarray(wanted) - start
            read, damaged = self._read(start, last, copy)
            if damaged.intersection(wanted):
                raise StoreError(damaged_message(self.location))
            rows[places] = read[places]
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

        The shard is written anew in one step, or not at all where nothing is to be erased. The others keep their
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


def ensure_array(spec: ArraySpec) -> None:
    """Create an array, or let an existing one grow to the shape asked for.

    Raises
    ------
    StoreError
        The array exists and was made with other settings.
    """
    if not (spec.path / "zarr.json").exists():
        _create_array(spec)
        return
    existing = zarr.open_array(spec.path, mode="r+")
    wanted = _attributes(spec)
    differing = [key for key in wanted if existing.attrs.asdict().get(key) != json.loads(json.dumps(wanted[key]))]
    if existing.dtype != np.dtype(spec.dtype):
        differing.append("dtype")
    if existing.shards is None or existing.shards[spec.row_axis] != spec.rows_per_shard:
        differing.append("rows_per_shard")
    if differing:
        raise StoreError(
            f"{_short(spec.path)} was made with other settings ({', '.join(differing)}). "
            f"Put study.toml back as it was, or {_how_to_begin_anew(spec.path)}."
        )
    shape = tuple(max(old, new) for old, new in zip(existing.shape, spec.shape, strict=True))
    if shape != existing.shape:
        existing.resize(shape)


def open_array(location: Location) -> StoredArray:
    """Open an array for reading and, where it lies in a folder, writing.

    Raises
    ------
    StoreError
        There is no array, its description is damaged, its schema version is not this program's, or its bucket cannot be
        read.
    """
    content = _read_description(location)
    if content is None:
        raise StoreError(f"There is no array {_short(location)}; {_how_to_make(location)}")
    try:
        description = json.loads(content)
        attributes = description["attributes"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"The description of {_short(location)} (zarr.json) is damaged.") from error
    check_schema_version(attributes.get("schema_version"), _short(location))
    spec = {"driver": "zarr3", "kvstore": kvstore_spec(location)}
    handle = ts.open(spec, open=True, read=True, write=isinstance(location, Path)).result()
    reader = None
    if isinstance(location, Path):
        reader = reader_of(location, description, missing_value(handle.dtype.numpy_dtype))
    return StoredArray(location, handle, attributes, reader)


def array_exists(location: Location) -> bool:
    """Tell whether there is an array.

    Raises
    ------
    StoreError
        Its bucket cannot be read.
    """
    return _read_description(location) is not None


def describe_arrays(store: Path) -> list[dict[str, Any]]:
    """Return name, shape, number type and bytes on disk of every array in a ``*.zarr`` store."""
    described = []
    for metadata in sorted(store.glob("*/*/zarr.json")):
        array = open_array(metadata.parent)
        num_bytes = sum(path.stat().st_size for path in metadata.parent.rglob("*") if path.is_file())
        described.append(
            {
                "array": _short(metadata.parent),
                "shape": list(array.shape),
                "dtype": str(array.dtype),
                "bytes": num_bytes,
            }
        )
    return described


def check_schema_version(found: object, what: str) -> None:
    """Refuse what another version of the schema wrote.

    Raises
    ------
    StoreError
        `found` is not `SCHEMA_VERSION`.
    """
    if found != SCHEMA_VERSION:
        raise StoreError(f"{what} has schema_version {found}; this mm reads version {SCHEMA_VERSION}.")


def missing_value(dtype: np.dtype[Any] | str) -> Any:
    """Return the fill value that marks a row as never stored.

    >>> missing_value("uint8")
    255
    """
    dtype = np.dtype(dtype)
    return int(np.iinfo(dtype).max) if dtype.kind == "u" else float("nan")


def is_stored(row: NDArray[Any]) -> bool:
    """Tell whether a row that was read has ever been stored."""
    if row.dtype.kind == "f":
        return not bool(np.isnan(row.flat[0]))
    fill = missing_value(row.dtype)
    return bool(row.flat[0] != fill or (row != fill).any())


def find_missing(rows: NDArray[Any]) -> list[int]:
    """Return the places in a batch, shape (B, *row_shape), of rows that were never stored.

    Nearly every stored row differs from the fill in its first voxel, so the others are hardly looked at.
    """
    first = np.asarray([row.flat[0] for row in rows], rows.dtype)
    suspects = np.isnan(first) if rows.dtype.kind == "f" else first == missing_value(rows.dtype)
    return [place for place in np.flatnonzero(suspects).tolist() if not is_stored(rows[place])]


def require_stored(rows: NDArray[Any], indices: Sequence[Sequence[int]], location: Location) -> None:
    """Refuse a batch that holds a row which was never stored.

    Raises
    ------
    StoreError
        Names the first such row.
    """
    if missing := find_missing(rows):
        raise StoreError(f"Row {tuple(indices[missing[0]])} of {_short(location)} was never stored.")


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
        raise StoreError(explain_failure(error, location) or damaged_message(location)) from error


def damaged_message(location: Location) -> str:
    """Say that bytes of an array are not what was stored, and what to do."""
    if isinstance(location, BucketPath):
        return (
            f"{location} is damaged: an object is unreadable or a checksum does not match. Copy the stores there again."
        )
    return (
        f"{_short(location)} is damaged: a file is unreadable or a checksum does not match. See which rows with "
        "mm verify, make them again with mm repair."
    )


def rows_on_disk(
    rows: Collection[int], array: Path, rows_per_shard: int, row_ndim: int, *, copy: int | None = None
) -> frozenset[int]:
    """Return those of some rows whose shard's file exists; an array need not."""
    found: set[int] = set()
    for start, of_shard in shard_starts(list(rows), rows_per_shard):
        if shard_file(array, start // rows_per_shard, row_ndim, copy=copy).exists():
            found.update(of_shard)
    return frozenset(found)


def row_checksum(row: NDArray[Any]) -> str:
    """Return the 128-bit XXH3 of a row's bytes, in C order and native byte order, in hexadecimal digits.

    Equal rows are equal: among 100,000 different ones no two have the same.
    """
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(row).data)


def sync_directory(path: Path) -> None:
    """Make sure that files renamed in a directory, or removed from it, are so on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def shard_starts(rows: Sequence[int], rows_per_shard: int) -> Iterator[tuple[int, list[int]]]:
    """Group rows by the shard they lie in: yield (first row of the shard, its rows, ascending).

    >>> list(shard_starts([5, 0, 33], 32))
    [(0, [0, 5]), (32, [33])]
    """
    groups: dict[int, list[int]] = {}
    for row in sorted(rows):
        groups.setdefault(row - row % rows_per_shard, []).append(row)
    yield from groups.items()


def _create_array(spec: ArraySpec) -> None:
    store = next(parent for parent in spec.path.parents if parent.suffix == ".zarr")
    group = zarr.open_group(store, mode="a", attributes={"schema_version": SCHEMA_VERSION})
    chunk = tuple(1 if axis <= spec.row_axis else size for axis, size in enumerate(spec.shape))
    shard = tuple(spec.rows_per_shard if axis == spec.row_axis else size for axis, size in enumerate(chunk))
    group.create_array(
        str(spec.path.relative_to(store)),
        shape=spec.shape,
        chunks=chunk,
        shards=shard,
        dtype=spec.dtype,
        compressors=[*_compressors(spec), Crc32cCodec()],
        fill_value=missing_value(spec.dtype),
        dimension_names=spec.dimensions,
        attributes=_attributes(spec),
    )


def _attributes(spec: ArraySpec) -> dict[str, Any]:
    return {**spec.attributes, "codec": spec.codec, "schema_version": SCHEMA_VERSION}


def _compressors(spec: ArraySpec) -> list[Any]:
    match spec.codec:
        case "zstd":
            return [ZstdCodec(level=1)]
        case "lz4":
            itemsize = np.dtype(spec.dtype).itemsize  # shuffled bytes of volumes compress less and take longer
            return [BloscCodec(cname="lz4", clevel=5, shuffle="noshuffle", typesize=itemsize)]
        case "none":
            return []


def _read_description(location: Location) -> bytes | None:
    """Return what an array's zarr.json holds, or None where there is none."""
    try:
        folder = ts.KvStore.open(kvstore_spec(location)).result()
        found = folder.read("zarr.json").result()
        if found.state == "missing" and isinstance(location, BucketPath):
            folder.list(ts.KvStore.KeyRange("zarr.json", "zarr.json0")).result()  # raises where there is no bucket
    except (ValueError, OSError) as error:
        problem = explain_failure(error, location) or f"The description of {_short(location)} (zarr.json) is damaged."
        raise StoreError(problem) from error
    return None if found.state == "missing" else bytes(found.value)


def _how_to_begin_anew(path: Path) -> str:
    if "augmented.zarr" in path.parts:
        return "remove augmented.zarr and receipts/copies.jsonl from the study, and make all copies anew"
    return "start a new study"


def _how_to_make(location: Location) -> str:
    if isinstance(location, BucketPath):
        return "copy the study's volumes.zarr and augmented.zarr there, and give the place that holds them."
    return f"it is made by: {'mm precompute-augs' if 'augmented.zarr' in location.parts else 'mm ingest ukb'}"


def _short(location: Location) -> str:
    if isinstance(location, BucketPath):
        return str(location)
    parts = location.parts
    first = next((i for i, part in enumerate(parts) if part.endswith(".zarr")), max(0, len(parts) - 3))
    return "/".join(parts[first:])
