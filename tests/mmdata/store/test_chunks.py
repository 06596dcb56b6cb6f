"""Rows as our own threads read them, against tensorstore and zarr-python."""

import json
import os
import shutil
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr
from numcodecs.zstd import Zstd
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec

from mmdata.errors import StoreError
from mmdata.store.array import StoredArray, open_array, wait_for_reads
from mmdata.store.chunks import Extent, _decode_zstd, extent_in, read_index, reader_of, shard_file
from mmdata.store.rows import missing_value
from mmdata.store.spec import ArraySpec, ensure_array

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


@pytest.mark.parametrize("changed", ["inode", "time"])
def test_a_shard_of_the_same_size_is_another_if_its_inode_or_time_is(tmp_path: Path, changed: str) -> None:
    array, values = make(tmp_path, codec="none")
    path = shard_file(array.path, 1, 3)
    open_array(array.path).erase_rows([5, 7])
    rows, places = np.asarray([[4], [6]]), np.arange(2)
    open_array(array.path).erase_rows([6])
    only_4 = path.read_bytes()
    assert (read(array, rows, places, 2) == missing_value("uint16")).tolist()[1] == np.full((6, 6, 6), True).tolist()
    before = path.stat()
    shard = np.full((ROWS_PER_SHARD, SIDE, SIDE, SIDE), missing_value("uint16"), np.uint16)
    shard[2] = values[8]
    open_array(array.path).write_shard(4, shard)
    only_6 = path.read_bytes()
    assert len(only_4) == len(only_6)
    if changed == "inode":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_ino != before.st_ino
    else:
        path.write_bytes(only_4)
        read(array, rows, places, 2)
        before = path.stat()
        path.write_bytes(only_6)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        assert path.stat().st_ino == before.st_ino
    found = read(array, rows, places, 2)
    assert (found[0] == missing_value("uint16")).all()
    np.testing.assert_array_equal(found[1], values[8])


@pytest.mark.parametrize("codec", ["zstd", "lz4", "none"])
@pytest.mark.parametrize(("side", "dtype"), [(4, "uint16"), (6, "uint8"), (8, "uint16")])
def test_a_shard_of_other_volumes_is_an_error(tmp_path: Path, codec: str, side: int, dtype: Any) -> None:
    array, _ = make(tmp_path, codec=codec)
    path = tmp_path / "other.zarr" / "t1" / "6"
    shape = (NUM_ROWS, side, side, side)
    ensure_array(
        ArraySpec(
            path=path,
            shape=shape,
            row_axis=0,
            rows_per_shard=ROWS_PER_SHARD,
            dtype=dtype,
            codec=codec,
            dimensions=("sample", "x", "y", "z"),
        )
    )
    other = np.random.default_rng(3).integers(0, 250, (ROWS_PER_SHARD, *shape[1:])).astype(dtype)
    open_array(path).write_shard(4, other)
    shutil.copy(shard_file(path, 1, 3), shard_file(array.path, 1, 3))
    with pytest.raises(StoreError, match="is damaged"):
        read(array, np.asarray([[6]]), np.arange(1), 1)


@pytest.mark.parametrize("size", [6, 15, 16, 40, 64, 300])
def test_sizes_of_frames_are_known_as_zstd_writes_them(size: int) -> None:
    for content in (bytes(size**2), os.urandom(size**2), bytes(size**3)):
        packed = Zstd(1).encode(content)
        out = np.empty(len(content), np.uint8)
        _decode_zstd(memoryview(packed), out)
        assert out.tobytes() == content
        with pytest.raises(ValueError, match=f"holds {len(content)} bytes"):
            _decode_zstd(memoryview(packed), np.empty(len(content) + 1, np.uint8))


def test_what_a_decoder_says_is_told_as_damage(tmp_path: Path) -> None:
    array, _ = make(tmp_path)
    assert array.reader is not None

    def fail(content: memoryview, out: NDArray) -> None:
        raise RuntimeError("error during blosc decompression: -1")

    broken = replace(array, reader=replace(array.reader, decode=fail))
    with pytest.raises(StoreError, match="is damaged"):
        read(broken, np.asarray([[6]]), np.arange(1), 1)


def test_many_small_tasks_and_short_reads_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array, values = make(tmp_path)
    monkeypatch.setattr("mmdata.store.chunks._TASK_BYTES", 3 * values[0].nbytes)
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda file, size, offset: pread(file, min(size, 100), offset))
    rows = np.asarray([1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19] * 2)[:, None]
    np.testing.assert_array_equal(read(array, rows, np.arange(32), 32), values[rows[:, 0]])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in Linux's /proc")
def test_no_file_stays_open(tmp_path: Path) -> None:
    array, _ = make(tmp_path)
    rows = np.arange(NUM_ROWS)[:, None]
    read(array, rows, np.arange(NUM_ROWS), NUM_ROWS)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - of this process, whatever it opens for it
    for _ in range(3):
        read(array, rows, np.arange(NUM_ROWS), NUM_ROWS)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_reads_with_threads_of_its_own(tmp_path: Path) -> None:
    program = """
import os, signal, sys, numpy as np
from pathlib import Path
import json
from mmdata.store.chunks import reader_of
folder = Path(sys.argv[1])
reader = reader_of(folder, json.loads((folder / "zarr.json").read_text()), 65535)
def read():
    out = np.empty((1, 6, 6, 6), np.uint16)
    [future.result() for future in reader.start_read(np.asarray([[6]]), out, np.arange(1))]
    return int(out.sum())
first = read()
child = os.fork()
if not child:
    signal.alarm(20)
    os._exit(read() != first)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    array, _ = make(tmp_path)
    assert subprocess.run([sys.executable, "-c", program, str(array.path)], check=False).returncode == 0


@pytest.mark.parametrize(
    "out",
    [
        np.empty((1, SIDE, SIDE, SIDE), np.float32),
        np.empty((1, SIDE, SIDE, SIDE), np.uint16).transpose(0, 3, 2, 1),
        np.empty((1, SIDE, SIDE, 2 * SIDE), np.uint16)[..., ::2],
        np.empty((1, SIDE, SIDE, SIDE + 1), np.uint16),
        np.frombuffer(bytes(2 * SIDE**3), np.uint16).reshape(1, SIDE, SIDE, SIDE),
    ],
    ids=["dtype", "order", "strides", "shape", "read-only"],
)
def test_a_buffer_that_rows_do_not_fit_into_is_refused(tmp_path: Path, out: NDArray) -> None:
    array, _ = make(tmp_path)
    with pytest.raises(ValueError, match="expected a buffer of uint16 rows"):
        array.start_read(np.asarray([[6]]), out, np.arange(1))


def test_descriptions_that_differ_anywhere_are_left_to_tensorstore(tmp_path: Path) -> None:
    array, _ = make(tmp_path, copies=2)
    description = json.loads((array.path / "zarr.json").read_text())
    assert reader_of(array.path, description, 0) is not None
    for change in (
        lambda d: d["chunk_key_encoding"]["configuration"].update(separator="."),
        lambda d: d["chunk_key_encoding"].update(name="v2"),
        lambda d: d["chunk_grid"]["configuration"]["chunk_shape"].__setitem__(0, 2),
        lambda d: d["chunk_grid"]["configuration"]["chunk_shape"].__setitem__(3, 12),
        lambda d: d["codecs"][0]["configuration"]["chunk_shape"].__setitem__(1, 2),
        lambda d: d["codecs"][0]["configuration"]["chunk_shape"].__setitem__(4, 3),
        lambda d: d["codecs"][0]["configuration"]["index_codecs"][0]["configuration"].update(endian="big"),
        lambda d: d["codecs"][0]["configuration"]["index_codecs"].pop(),
        lambda d: d["codecs"][0].update(name="bytes"),
        lambda d: d["codecs"].append({"name": "crc32c"}),
        lambda d: d.update(dimension_names=["copy", "person", "x", "y", "z"]),
        lambda d: d.pop("dimension_names"),
    ):
        other = deepcopy(description)
        change(other)
        assert reader_of(array.path, other, 0) is None, other
