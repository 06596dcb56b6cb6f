"""Rows as our own threads read them, against tensorstore and zarr-python."""

import json
import os
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec

from mmdata.chunks import Extent, extent_in, read_index, shard_file
from mmdata.errors import StoreError
from mmdata.store import ArraySpec, StoredArray, ensure_array, missing_value, open_array, wait_for_reads

NUM_ROWS, ROWS_PER_SHARD, SIDE = 21, 4, 6


def make(folder: Path, *, codec: Any = "lz4", dtype: Any = "uint16", copies: int = 0) -> tuple[StoredArray, NDArray]:
    """Store random rows, every fifth missing and the last shard not at all; return the array and its values."""
    behind = (copies,) if copies else ()
    shape = (*behind, NUM_ROWS, SIDE, SIDE, SIDE)
    path = folder / "volumes.zarr" / "t1" / "6"
    labels = ("copy", "sample", "x", "y", "z")[-len(shape) :]
    spec = ArraySpec(
        path=path,
        shape=shape,
        row_axis=len(behind),
        rows_per_shard=ROWS_PER_SHARD,
        dtype=dtype,
        codec=codec,
        dimensions=labels,
    )
    ensure_array(spec)
    array = open_array(path)
    values = np.random.default_rng(1).integers(0, 250, shape).astype(dtype)
    values[..., ::5, :, :, :] = missing_value(dtype)
    values[..., 20:, :, :, :] = missing_value(dtype)
    for copy in range(copies) if copies else [None]:
        for start in range(0, 20, ROWS_PER_SHARD):
            rows = values if copy is None else values[copy]
            array.write_shard(start, rows[start : start + ROWS_PER_SHARD], copy=copy)
    return array, values


def read(array: StoredArray, indices: NDArray, places: NDArray, size: int) -> NDArray:
    out = np.full((size, *array.row_shape), 7, array.dtype)
    wait_for_reads(array.start_read(indices, out, places), array.location)
    return out


@pytest.mark.parametrize("copies", [0, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("codec", ["zstd", "lz4", "none"])
def test_rows_are_those_that_tensorstore_and_zarr_python_read(
    tmp_path: Path, codec: str, dtype: str, copies: int
) -> None:
    array, values = make(tmp_path, codec=codec, dtype=dtype, copies=copies)
    rng = np.random.default_rng(2)
    axes = [copies, NUM_ROWS] if copies else [NUM_ROWS]
    indices = np.stack([rng.integers(0, size, 40) for size in axes], axis=1)
    places = rng.permutation(50)[:40]
    assert array.reader is not None
    out = read(array, indices, places, 50)
    np.testing.assert_array_equal(out[places], values[tuple(indices.T)])
    np.testing.assert_array_equal(out[places], array.handle[tuple(indices.T)].read().result())
    np.testing.assert_array_equal(zarr.open_array(array.path, mode="r")[...], values)
    untouched = np.setdiff1d(np.arange(50), places)
    assert (out[untouched] == 7).all()


@pytest.mark.parametrize(
    ("codecs", "index_location", "ours"),
    [
        ([BytesCodec(), ZstdCodec(level=9), Crc32cCodec()], "end", True),
        ([BytesCodec(), BloscCodec(cname="zstd", shuffle="bitshuffle"), Crc32cCodec()], "end", True),
        ([BytesCodec(endian="big"), ZstdCodec(), Crc32cCodec()], "end", False),
        ([BytesCodec(), ZstdCodec(), Crc32cCodec()], "start", False),
        ([BytesCodec(), ZstdCodec()], "end", False),
        ([BytesCodec(), GzipCodec(), Crc32cCodec()], "end", False),
        ([BytesCodec(), Crc32cCodec(), ZstdCodec()], "end", False),
        ([TransposeCodec(order=(0, 3, 2, 1)), BytesCodec(), ZstdCodec(), Crc32cCodec()], "end", False),
    ],
)
def test_what_another_program_wrote_is_read_too(
    tmp_path: Path, codecs: list[Any], index_location: Any, ours: bool
) -> None:
    array, values = make(tmp_path)
    attributes = json.loads((array.path / "zarr.json").read_text())["attributes"]
    zarr.create_array(
        str(array.path),
        shape=values.shape,
        chunks=(ROWS_PER_SHARD, SIDE, SIDE, SIDE),
        dtype=values.dtype,
        serializer=ShardingCodec(chunk_shape=(1, SIDE, SIDE, SIDE), codecs=codecs, index_location=index_location),
        compressors=None,
        fill_value=missing_value(values.dtype),
        dimension_names=("sample", "x", "y", "z"),
        attributes=attributes,
        overwrite=True,
    )[:] = values
    array = open_array(array.path)
    assert (array.reader is not None) == ours
    rows = np.asarray([[3], [1], [19]])
    np.testing.assert_array_equal(read(array, rows, np.arange(3), 3), values[[3, 1, 19]])


@pytest.mark.parametrize("codec", ["lz4", "none"])
def test_a_shard_that_is_replaced_is_read_as_it_is_now(tmp_path: Path, codec: str) -> None:
    array, values = make(tmp_path, codec=codec)
    rows, places = np.arange(4, 8)[:, None], np.arange(4)
    for erased in (5, 6, 4, 7):  # without compression, chunks take the places of others exactly
        np.testing.assert_array_equal(read(array, rows, places, 4), values[4:8])
        open_array(array.path).erase_rows([erased])
        values[erased] = missing_value(values.dtype)
    np.testing.assert_array_equal(read(array, rows, places, 4), values[4:8])
    open_array(array.path).write_shard(4, values[:4])
    np.testing.assert_array_equal(read(array, rows, places, 4), values[:4])


@pytest.mark.parametrize("codec", ["zstd", "lz4", "none"])
def test_every_flipped_bit_of_the_bytes_that_are_read_is_an_error(tmp_path: Path, codec: str) -> None:
    array, _ = make(tmp_path, codec=codec)
    path = shard_file(array.path, 1, 3)
    intact = path.read_bytes()
    with path.open("rb") as file:
        extent = extent_in(read_index(file.fileno(), len(intact), ROWS_PER_SHARD), 2)
    assert extent is not None
    index = range(len(intact) - 16 * ROWS_PER_SHARD - 4, len(intact))
    chunk = range(extent.offset, extent.offset + extent.size)
    positions = [*index, *chunk[:40], *chunk[-40:], *chunk[:: max(1, extent.size // 40)]]
    for position in positions:
        damaged = bytearray(intact)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"volumes\.zarr/t1/6 is damaged"):
            read(array, np.asarray([[6]]), np.arange(1), 1)


def test_an_index_that_is_whole_but_wrong_is_an_error(tmp_path: Path) -> None:
    array, _ = make(tmp_path)
    path = shard_file(array.path, 1, 3)
    intact = path.read_bytes()
    for entry in ((2**63, 100), (0, len(intact) + 1), (10, 2), (2**64 - 1, 100)):
        index = bytearray(intact[-16 * ROWS_PER_SHARD - 4 : -4])
        index[32:48] = entry[0].to_bytes(8, "little") + entry[1].to_bytes(8, "little")
        crc = google_crc32c.value(bytes(index)).to_bytes(4, "little")
        path.write_bytes(intact[: -16 * ROWS_PER_SHARD - 4] + index + crc)
        with pytest.raises(StoreError, match="is damaged"):
            read(array, np.asarray([[6]]), np.arange(1), 1)


def test_one_damaged_row_among_many_is_an_error_that_leaves_the_threads_to_others(tmp_path: Path) -> None:
    array, values = make(tmp_path)
    path = shard_file(array.path, 1, 3)
    intact = path.read_bytes()
    path.write_bytes(b"\1" * len(intact))
    rows = np.arange(1, 20)[:, None]
    with pytest.raises(StoreError, match="is damaged"):
        read(array, rows, np.arange(19), 19)
    path.write_bytes(intact)
    np.testing.assert_array_equal(read(array, rows, np.arange(19), 19), values[1:20])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    array, _ = make(tmp_path)
    shard_file(array.path, 1, 3).chmod(0)
    with pytest.raises(StoreError, match="a file is unreadable"):
        read(array, np.asarray([[6]]), np.arange(1), 1)


def test_a_folder_in_place_of_a_shard_is_an_error(tmp_path: Path) -> None:
    array, _ = make(tmp_path)
    shard_file(array.path, 1, 3).unlink()
    shard_file(array.path, 1, 3).mkdir()
    with pytest.raises(StoreError, match="a file is unreadable"):
        read(array, np.asarray([[6]]), np.arange(1), 1)


def test_extents_follow_each_other_and_fill_the_shard(tmp_path: Path) -> None:
    array, _ = make(tmp_path, codec="none")
    path = shard_file(array.path, 0, 3)
    with path.open("rb") as file:
        index = read_index(file.fileno(), path.stat().st_size, ROWS_PER_SHARD)
    extents = [extent_in(index, place) for place in range(ROWS_PER_SHARD)]
    assert extents[0] is None
    stored = sorted(extent for extent in extents if extent is not None)
    size = SIDE**3 * 2 + 4
    assert stored == [Extent(place * size, size) for place in range(3)]
    assert path.stat().st_size == 3 * size + 16 * ROWS_PER_SHARD + 4
