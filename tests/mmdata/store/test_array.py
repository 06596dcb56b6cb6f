import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmdata.errors import StoreError
from mmdata.store.array import StoredArray, describe_arrays, open_array
from mmdata.store.rows import find_missing, is_stored, missing_value
from mmdata.store.shards import shard_starts
from mmdata.store.spec import ArraySpec, differing_settings, ensure_array, lost_descriptions

DTYPES = ("uint8", "uint16", "float16", "float32")
CODECS = ("zstd", "lz4", "none")


def spec_in(folder: Path, **changes: Any) -> ArraySpec:
    settings: dict[str, Any] = {
        "path": folder / "volumes.zarr" / "t1" / "8",
        "shape": (6, 8, 8, 8),
        "row_axis": 0,
        "rows_per_shard": 4,
        "dtype": "uint16",
        "codec": "zstd",
        "dimensions": ("sample", "x", "y", "z"),
        "attributes": {"affine_ras": np.eye(4).tolist(), "space": "here"},
    }
    return ArraySpec(**{**settings, **changes})


def rows_of(spec: ArraySpec, num_rows: int, seed: int = 0) -> NDArray[Any]:
    shape = (num_rows, *spec.shape[spec.row_axis + 1 :])
    rows = np.random.default_rng(seed).integers(0, 200, shape).astype(spec.dtype)
    rows[:, 0] = 0
    return rows


def make(spec: ArraySpec) -> StoredArray:
    ensure_array(spec)
    return open_array(spec.path)


def shard_files(spec: ArraySpec) -> list[Path]:
    return sorted(path for path in (spec.path / "c").rglob("*") if path.is_file())


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_come_back_here_and_in_zarr_python(tmp_path: Path, dtype: str, codec: str) -> None:
    spec = spec_in(tmp_path, dtype=dtype, codec=codec)
    array, rows = make(spec), rows_of(spec_in(tmp_path, dtype=dtype), 6)
    array.write_shard(0, rows[:4])
    array.write_shard(4, rows[4:])
    np.testing.assert_array_equal(array.read_rows([(5,), (0,), (3,)]), rows[[5, 0, 3]])
    other = zarr.open_array(spec.path, mode="r")
    np.testing.assert_array_equal(other[:], rows)
    assert other.dtype == dtype
    assert other.attrs["affine_ras"] == np.eye(4).tolist() and other.attrs["schema_version"] == 1


@pytest.mark.parametrize("num_left", [0, 1, 40])
@pytest.mark.parametrize(("start", "end"), [(0, 4), (4, 6)])
def test_a_shard_that_cannot_be_read_is_replaced_wherever_it_lies(
    tmp_path: Path, start: int, end: int, num_left: int
) -> None:
    array, rows = make(spec_in(tmp_path)), rows_of(spec_in(tmp_path), 6)
    array.write_shard(start, rows[start:end])
    (path,) = shard_files(spec_in(tmp_path))
    path.write_bytes(path.read_bytes()[:num_left])
    array.write_shard(start, rows[start:end])
    np.testing.assert_array_equal(array.read_rows([(row,) for row in range(start, end)]), rows[start:end])


@pytest.mark.parametrize("codec", CODECS)
def test_file_layout_is_one_row_per_chunk_one_file_per_shard_and_a_checksum_on_both(tmp_path: Path, codec: str) -> None:
    spec = spec_in(tmp_path, codec=codec)
    array = make(spec)
    array.write_shard(0, rows_of(spec, 4))
    array.write_shard(4, rows_of(spec, 2))
    assert [str(path.relative_to(spec.path)) for path in shard_files(spec)] == ["c/0/0/0/0", "c/1/0/0/0"]
    metadata = json.loads((spec.path / "zarr.json").read_text())
    assert metadata["zarr_format"] == 3 and metadata["dimension_names"] == ["sample", "x", "y", "z"]
    assert metadata["chunk_grid"]["configuration"]["chunk_shape"] == [4, 8, 8, 8]
    (sharding,) = metadata["codecs"]
    assert sharding["name"] == "sharding_indexed"
    assert sharding["configuration"]["chunk_shape"] == [1, 8, 8, 8]
    assert sharding["configuration"]["codecs"][-1]["name"] == "crc32c"
    assert sharding["configuration"]["index_codecs"][-1]["name"] == "crc32c"


@pytest.mark.parametrize("dtype", DTYPES)
def test_missing_row_is_told_apart_from_zeros(tmp_path: Path, dtype: str) -> None:
    spec = spec_in(tmp_path, dtype=dtype)
    array = make(spec)
    shard = np.full((4, 8, 8, 8), missing_value(dtype), dtype)
    shard[1] = 0
    array.write_shard(0, shard)
    assert not array.read_rows([(1,)]).any()
    for row in (0, 2, 5):
        with pytest.raises(StoreError, match=rf"Row \({row},\) of volumes.zarr/t1/8 was never stored"):
            array.read_rows([(1,), (row,)])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_is_stored_if_one_voxel_differs_from_the_fill(dtype: str) -> None:
    row = np.full((4, 4), missing_value(dtype), dtype)
    assert not is_stored(row)
    row[...] = 0
    assert is_stored(row)
    row = np.full((4, 4), np.iinfo(dtype).max if "int" in dtype else 1, dtype)
    row[3, 3] = 0
    assert is_stored(row)


@pytest.mark.parametrize("codec", CODECS)
def test_damaged_byte_anywhere_in_a_shard_is_an_error(tmp_path: Path, codec: str) -> None:
    spec = spec_in(tmp_path, codec=codec, shape=(2, 8, 8, 8), rows_per_shard=2)
    rows = rows_of(spec, 2)
    make(spec).write_shard(0, rows)
    (path,) = shard_files(spec)
    intact = path.read_bytes()
    for position in np.linspace(0, len(intact) - 1, 60).astype(int):
        damaged = bytearray(intact)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"volumes\.zarr/t1/8 is damaged"):
            open_array(spec.path).read_rows([(0,), (1,)])


@pytest.mark.parametrize("kept", [0, 10, -1])
def test_truncated_shard_is_an_error(tmp_path: Path, kept: int) -> None:
    spec = spec_in(tmp_path)
    make(spec).write_shard(0, rows_of(spec, 4))
    (path,) = shard_files(spec)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(StoreError):
        open_array(spec.path).read_rows([(0,)])


def test_damaged_shard_that_is_to_be_rewritten_is_an_error_too(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    make(spec).write_shard(0, rows_of(spec, 4))
    (path,) = shard_files(spec)
    path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(StoreError, match="is damaged"):
        open_array(spec.path).read_shard(0)


def test_unknown_schema_version_is_refused(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    make(spec)
    metadata = json.loads((spec.path / "zarr.json").read_text())
    metadata["attributes"]["schema_version"] = 2
    (spec.path / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(StoreError, match="schema_version 2; this mm reads version 1"):
        open_array(spec.path)
    with pytest.raises(StoreError, match="schema_version"):
        ensure_array(spec)


NINE_KINDS = {
    "empty": lambda text: "",
    "zeros": lambda text: "\0" * len(text),
    "cut off": lambda text: text[: len(text) // 2],
    "another shape": lambda text: "[1, 2]",
    "of a group": lambda text: '{"zarr_format": 3, "node_type": "group", "attributes": {"schema_version": 1}}',
    "without axes": lambda text: text.replace('"dimension_names"', '"names"'),
    "another number type": lambda text: text.replace('"uint16"', '"complex64"'),
    "another fill value": lambda text: text.replace("65535", "0"),
    "a huge row": lambda text: text.replace('"shape": [\n    6,\n    8', '"shape": [\n    6,\n    800000000'),
    "an unknown codec": lambda text: text.replace('"zstd"', '"zstandard"'),
    "nested": lambda text: text.replace('"codecs": [', '"codecs": ' + "[" * 5000, 1),
    "a name twice": lambda text: text.replace('"node_type"', '"shape": [1, 8, 8, 8], "node_type"'),
}


@pytest.mark.parametrize("kind", NINE_KINDS)
def test_a_damaged_description_is_one_line_with_the_remedy(tmp_path: Path, kind: str) -> None:
    spec = spec_in(tmp_path)
    make(spec)
    path = spec.path / "zarr.json"
    whole = path.read_text()
    path.write_text(NINE_KINDS[kind](whole))
    assert path.read_text() != whole
    with pytest.raises(StoreError, match=r"of volumes\.zarr/t1/8 \(zarr\.json\) is damaged \(.*mm repair") as caught:
        open_array(spec.path)
    assert "\n" not in str(caught.value)


def test_absent_array_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no array volumes\.zarr/t1/8"):
        open_array(tmp_path / "volumes.zarr" / "t1" / "8")


def test_growth_keeps_old_rows_and_never_shrinks(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    rows = rows_of(spec, 6)
    array = make(spec)
    array.write_shard(0, rows[:4])
    array.write_shard(4, rows[4:])
    ensure_array(replace(spec, shape=(11, 8, 8, 8)))
    ensure_array(replace(spec, shape=(3, 8, 8, 8)))
    grown = open_array(spec.path)
    assert grown.shape == (11, 8, 8, 8)
    np.testing.assert_array_equal(grown.read_rows([(row,) for row in range(6)]), rows)
    with pytest.raises(StoreError, match="never stored"):
        grown.read_rows([(6,)])
    shard = grown.read_shard(4)
    assert shard.shape == (4, 8, 8, 8)
    np.testing.assert_array_equal(shard[:2], rows[4:])


def test_copies_and_rows_grow_alike(tmp_path: Path) -> None:
    path = tmp_path / "augmented.zarr" / "t1" / "8"
    dimensions = ("copy", "sample", "x", "y", "z")
    spec = spec_in(tmp_path, path=path, shape=(1, 4, 8, 8, 8), row_axis=1, dimensions=dimensions)
    rows = rows_of(spec, 4)
    make(spec).write_shard(0, rows, copy=0)
    array = make(replace(spec, shape=(3, 6, 8, 8, 8)))
    assert array.row_axis == 1 and array.row_shape == (8, 8, 8) and array.rows_per_shard == 4
    array.write_shard(4, rows[:2], copy=2)
    np.testing.assert_array_equal(array.read_rows([(0, 3), (2, 5)]), rows[[3, 1]])
    with pytest.raises(StoreError, match=r"Row \(1, 3\)"):
        array.read_rows([(1, 3)])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"attributes": {"affine_ras": (np.eye(4) * 2).tolist(), "space": "here"}}, "affine_ras"),
        ({"attributes": {"affine_ras": np.eye(4).tolist(), "space": "elsewhere"}}, "space"),
        ({"dtype": "uint8"}, "dtype"),
        ({"rows_per_shard": 2}, "rows_per_shard"),
        ({"rows_per_shard": 8}, "rows_per_shard"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    spec = spec_in(tmp_path)
    ensure_array(spec)
    with pytest.raises(StoreError, match=rf"made with other settings \({named}\)"):
        ensure_array(replace(spec, **changes))


def test_equal_settings_change_no_byte(tmp_path: Path) -> None:
    spec = spec_in(tmp_path, attributes={"a": (1, 2), "b": {"c": 0.1}})
    ensure_array(spec)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    ensure_array(spec)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def described(text: str, **changes: Any) -> str:
    return json.dumps({**json.loads(text), **changes})


LOST: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "zeros": lambda text: "\0" * len(text),
    "torn": lambda text: text[: len(text) // 2],
    "no object": lambda _: "[]",
    "no attributes": lambda text: described(text, attributes=None),
    "a group": lambda text: described(text, node_type="group"),
    "another format": lambda text: described(text, zarr_format=2),
    "no such type": lambda text: described(text, data_type="uint17"),
    "no such codec": lambda text: text.replace("zstd", "zsud"),
    "no shape": lambda text: described(text, shape="many"),
    "another number of axes": lambda text: described(text, shape=[6, 8, 8], dimension_names=None),
    "nested": lambda _: "[" * 100_000,
}
"""What a disk may make of a description."""


@pytest.mark.parametrize("name", LOST)
def test_a_lost_description_is_made_again_in_the_same_bytes(tmp_path: Path, name: str) -> None:
    spec = spec_in(tmp_path)
    make(spec).write_shard(0, rows_of(spec, 4))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert lost_descriptions(spec) == []
    path = spec.path / "zarr.json"
    path.write_text(LOST[name](path.read_text()))
    assert lost_descriptions(spec) == [path]
    ensure_array(spec)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_missing_descriptions_of_an_array_and_of_its_groups_are_made_again(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    make(spec).write_shard(0, rows_of(spec, 4))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    paths = sorted(tmp_path.rglob("zarr.json"), key=lambda path: len(path.parts))
    for path in paths:
        path.unlink()
    assert lost_descriptions(spec) == paths and len(paths) == 3
    ensure_array(spec)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert list(zarr.open_group(tmp_path / "volumes.zarr", mode="r").members(max_depth=None))


def test_a_description_that_makes_an_array_shorter_than_its_rows_is_lost(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    ensure_array(spec)
    path = spec.path / "zarr.json"
    before = path.read_bytes()
    path.write_text(described(path.read_text(), shape=[2, 8, 8, 8]))
    assert lost_descriptions(spec) == [path]
    ensure_array(spec)
    assert json.loads(path.read_bytes()) == json.loads(before)


def test_another_description_than_the_settings_say_is_told_and_not_replaced(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    ensure_array(spec)
    path = spec.path / "zarr.json"
    assert differing_settings(spec) == []
    path.write_text(path.read_text().replace('"here"', '"hera"'))
    before = path.read_bytes()
    assert differing_settings(spec) == ["space"] and lost_descriptions(spec) == []
    with pytest.raises(StoreError, match="made with other settings"):
        ensure_array(spec)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("start", "num_rows"), [(1, 4), (0, 3), (4, 4), (4, 1)])
def test_part_of_a_shard_is_not_written(tmp_path: Path, start: int, num_rows: int) -> None:
    spec = spec_in(tmp_path)
    array = make(spec)
    with pytest.raises(ValueError, match="whole shard"):
        array.write_shard(start, rows_of(spec, num_rows))
    assert shard_files(spec) == []


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    contents = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        spec = spec_in(folder)
        make(spec).write_shard(0, rows_of(spec, 4))
        contents.append([path.read_bytes() for path in shard_files(spec)])
    assert contents[0] == contents[1]


def test_arrays_are_described_with_their_bytes(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    make(spec).write_shard(0, rows_of(spec, 4))
    (described,) = describe_arrays(tmp_path / "volumes.zarr")
    sizes = [path.stat().st_size for path in (spec.path / "zarr.json", *shard_files(spec))]
    assert described == {"array": "volumes.zarr/t1/8", "shape": [6, 8, 8, 8], "dtype": "uint16", "bytes": sum(sizes)}
    assert describe_arrays(tmp_path / "augmented.zarr") == []


@given(st.sets(st.integers(0, 300)), st.integers(1, 40))
def test_shards_partition_the_rows(rows: set[int], rows_per_shard: int) -> None:
    groups = list(shard_starts(list(rows), rows_per_shard))
    assert [row for _, group in groups for row in group] == sorted(rows)
    assert len({start for start, _ in groups}) == len(groups)
    assert all(
        start % rows_per_shard == 0 and start <= min(g) <= max(g) < start + rows_per_shard for start, g in groups
    )


def test_messages_hold_no_path_above_the_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        open_array(tmp_path / "1234567" / "volumes.zarr" / "t1" / "8")
    assert not re.search(r"1234567", str(caught.value))


@pytest.mark.parametrize("dtype", ["uint16", "uint8", "float16", "float32"])
def test_only_rows_of_nothing_but_fill_are_missing(dtype: str) -> None:
    rows = np.zeros((4, 3, 3), dtype)
    rows[1] = rows[3] = missing_value(dtype)
    rows[2, 0, 0] = np.finfo(dtype).max if dtype.startswith("float") else missing_value(dtype)
    assert find_missing(rows) == [1, 3]
    assert find_missing(rows[:0]) == []
