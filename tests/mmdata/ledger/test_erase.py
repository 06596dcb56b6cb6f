import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmdata.errors import CapacityError, StoreError
from mmdata.ledger.erase import EraseTask, count_rows, erase_rows, execute_erasure, plan_erasure
from mmdata.store.array import StoredArray, open_array
from mmdata.store.rows import missing_value
from mmdata.store.schema import StudyLayout
from mmdata.store.spec import ArraySpec, ensure_array

NUM_ROWS, ROWS_PER_SHARD = 7, 4
WRITE_LATE = """
import fcntl, os, sys, time
with open(sys.argv[2], "rb") as shard:
    content = shard.read()
with open(sys.argv[1], "wb") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("locked", flush=True)
    time.sleep(0.3)
    file.write(content)
    file.flush()
    os.rename(sys.argv[1], sys.argv[2])
"""
NO_DUPLICATES: dict[str, frozenset[int]] = {}


def volume_spec(path: Path, **changes: Any) -> ArraySpec:
    settings: dict[str, Any] = {
        "path": path,
        "shape": (NUM_ROWS, 6, 6, 6),
        "row_axis": 0,
        "rows_per_shard": ROWS_PER_SHARD,
        "dtype": "uint16",
        "codec": "none",
        "dimensions": ("sample", "x", "y", "z"),
    }
    return ArraySpec(**{**settings, **changes})


def random_rows(shape: tuple[int, ...], dtype: str, seed: int) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    return rng.random(shape).astype(dtype) if "float" in dtype else rng.integers(0, 60_000, shape).astype(dtype)


def fill_array(spec: ArraySpec, copies: int | None = None) -> NDArray[Any]:
    """Store every row of an array; return them, in the array's shape."""
    ensure_array(spec)
    array, values = open_array(spec.path), random_rows(spec.shape, spec.dtype, seed=len(str(spec.path)))
    for copy in range(copies) if copies else (None,):
        of_copy = values if copy is None else values[copy]
        for start in range(0, NUM_ROWS, ROWS_PER_SHARD):
            array.write_shard(start, of_copy[start : start + ROWS_PER_SHARD], copy=copy)
    return values


@pytest.fixture
def stores(tmp_path: Path) -> tuple[StudyLayout, dict[str, NDArray[Any]]]:
    """A study of two modalities, an array that no setting knows any more, connectivity and copies, all rows stored."""
    layout = StudyLayout(tmp_path)
    edges = {"shape": (NUM_ROWS, 50), "dtype": "float32", "dimensions": ("sample", "edge")}
    copies = {"row_axis": 1, "shape": (2, NUM_ROWS, 6, 6, 6), "dimensions": ("copy", "sample", "x", "y", "z")}
    values = {
        "volumes.zarr/t1/6": fill_array(volume_spec(layout.volume_array("t1", 6))),
        "volumes.zarr/t1/7": fill_array(volume_spec(layout.volume_array("t1", 7), codec="zstd")),
        "volumes.zarr/connectivity/old": fill_array(volume_spec(layout.connectivity_array("old"), **edges)),
        "augmented.zarr/t1/6": fill_array(volume_spec(layout.augmented_array("t1", 6), **copies), copies=2),
    }
    return layout, values


def read_everything(layout: StudyLayout, name: str) -> NDArray[Any]:
    array = open_array(layout.root / name)
    return np.asarray(array.handle.read().result())


def without(values: NDArray[Any], rows: set[int], row_axis: int) -> NDArray[Any]:
    kept = values.copy()
    index = (slice(None),) * row_axis + (sorted(rows),)
    kept[index] = missing_value(values.dtype)
    return kept


def erase(
    layout: StudyLayout, rows: set[int], duplicates: dict[str, frozenset[int]] = NO_DUPLICATES
) -> list[EraseTask]:
    tasks = plan_erasure(layout, frozenset(rows), duplicates)
    execute_erasure(tasks, workers=0, on_progress=lambda done, total: None)
    return tasks


def study_bytes(layout: StudyLayout) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(layout.root.rglob("*")) if path.is_file())


def state(layout: StudyLayout) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in layout.root.rglob("*") if path.is_file()}


@settings(max_examples=25, deadline=None)
@given(rows=st.sets(st.integers(0, NUM_ROWS - 1), min_size=1))
def test_rows_go_from_every_array_and_the_others_keep_their_bits(
    rows: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    layout = StudyLayout(tmp_path_factory.mktemp("study"))
    copies = {"row_axis": 1, "shape": (2, NUM_ROWS, 6, 6, 6), "dimensions": ("copy", "sample", "x", "y", "z")}
    values = {
        "volumes.zarr/t1/6": fill_array(volume_spec(layout.volume_array("t1", 6), dtype="float16")),
        "augmented.zarr/t1/6": fill_array(volume_spec(layout.augmented_array("t1", 6), **copies), copies=2),
    }
    erase(layout, rows)
    for name, before in values.items():
        after = read_everything(layout, name)
        assert after.tobytes() == without(before, rows, before.ndim - 4).tobytes()


def test_what_was_stored_of_a_row_is_nowhere_any_more(stores: tuple[StudyLayout, dict[str, NDArray[Any]]]) -> None:
    layout, values = stores
    payloads = [before[(0,) * (before.ndim - 4) + (5,)].tobytes() for n, before in values.items() if n[-1] == "6"]
    payloads.append(values["volumes.zarr/connectivity/old"][5].tobytes())
    assert all(payload in study_bytes(layout) for payload in payloads)
    erase(layout, {5})
    left = study_bytes(layout)
    assert not any(payload[start : start + 32] in left for payload in payloads for start in (0, 64, 128))


def test_a_shard_whose_rows_are_all_gone_has_no_file(stores: tuple[StudyLayout, dict[str, NDArray[Any]]]) -> None:
    layout, _ = stores
    erase(layout, {4, 5, 6})
    assert not [path for path in layout.root.rglob("c/**/*") if path.is_file() and path.parts[-4] == "1"]
    assert (layout.volume_array("t1", 6) / "c/0/0/0/0").exists()
    assert not (layout.volume_array("t1", 6) / "c/1/0/0/0").exists()


def test_shards_that_hold_nothing_of_it_are_not_written(stores: tuple[StudyLayout, dict[str, NDArray[Any]]]) -> None:
    layout, _ = stores
    erase(layout, {5})
    before = state(layout)
    tasks = erase(layout, {5, 40})
    assert len(tasks) == 5 and [count_rows(task) for task in tasks] == [0] * 5
    assert state(layout) == before


def test_rows_that_hold_something_are_counted(stores: tuple[StudyLayout, dict[str, NDArray[Any]]]) -> None:
    layout, _ = stores
    open_array(layout.volume_array("t1", 6)).erase_rows([1])
    counts = {task.array: 0 for task in plan_erasure(layout, frozenset({1, 2, 6}), NO_DUPLICATES)}
    for task in plan_erasure(layout, frozenset({1, 2, 6}), NO_DUPLICATES):
        counts[task.array] += count_rows(task)
    assert counts == {
        "augmented.zarr/t1/6": 6,
        "volumes.zarr/connectivity/old": 3,
        "volumes.zarr/t1/6": 2,
        "volumes.zarr/t1/7": 3,
    }


def test_duplicates_go_from_the_arrays_of_their_modality_alone(
    stores: tuple[StudyLayout, dict[str, NDArray[Any]]],
) -> None:
    layout, values = stores
    erase(layout, {0}, {"t1": frozenset({3}), "flair": frozenset({2})})
    for name, gone in (("volumes.zarr/t1/6", {0, 3}), ("volumes.zarr/connectivity/old", {0})):
        assert read_everything(layout, name).tobytes() == without(values[name], gone, 0).tobytes()
    assert (read_everything(layout, "augmented.zarr/t1/6")[:, 3] == 65535).all()


def damage(path: Path, position: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(position * (len(content) - 1))] ^= 0x10
    path.write_bytes(content)


def test_damage_to_another_row_stops_nothing_and_stays_visible(
    stores: tuple[StudyLayout, dict[str, NDArray[Any]]],
) -> None:
    layout, values = stores
    array = layout.volume_array("t1", 6)
    damage(array / "c/0/0/0/0", 0.1)  # the first of four chunks of equal size
    with pytest.raises(StoreError, match="damaged"):
        open_array(array).read_rows([(0,)])
    erase(layout, {2})
    after = read_everything(layout, "volumes.zarr/t1/6")
    assert after.tobytes() == without(values["volumes.zarr/t1/6"], {0, 2}, 0).tobytes()
    with pytest.raises(StoreError, match="never stored"):
        open_array(array).read_rows([(0,)])


def test_a_damaged_row_goes_like_a_whole_one(stores: tuple[StudyLayout, dict[str, NDArray[Any]]]) -> None:
    layout, values = stores
    damage(layout.volume_array("t1", 6) / "c/0/0/0/0", 0.1)
    task = plan_erasure(layout, frozenset({0}), NO_DUPLICATES)[-2]
    assert task.array == "volumes.zarr/t1/6" and count_rows(task) == 1
    erase(layout, {0})
    assert values["volumes.zarr/t1/6"][0].tobytes()[200:240] not in study_bytes(layout)
    assert (
        read_everything(layout, "volumes.zarr/t1/6").tobytes() == without(values["volumes.zarr/t1/6"], {0}, 0).tobytes()
    )


def test_a_shard_whose_index_is_damaged_goes_as_a_whole(stores: tuple[StudyLayout, dict[str, NDArray[Any]]]) -> None:
    layout, _ = stores
    file = layout.volume_array("t1", 6) / "c/0/0/0/0"
    damage(file, 1.0)
    erase(layout, {1})
    assert not file.exists()


def test_a_disk_that_cannot_be_read_is_not_taken_for_damage(
    stores: tuple[StudyLayout, dict[str, NDArray[Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, _ = stores
    array = open_array(layout.volume_array("t1", 6))
    before = state(layout)

    def fail(path: Path) -> bytes:
        raise OSError(5, "Input/output error", str(path))

    damage_everything: Callable[..., Any] = lambda *_: (np.zeros((4, 6, 6, 6), np.uint16), {0, 1, 2, 3})  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(StoredArray, "_read", damage_everything)
        patch.setattr(Path, "read_bytes", fail)
        with pytest.raises(OSError, match="Input/output error"):
            array.erase_rows([1])
    assert state(layout) == before


def test_what_a_killed_write_left_behind_goes_too(stores: tuple[StudyLayout, dict[str, NDArray[Any]]]) -> None:
    layout, _ = stores
    beside = layout.volume_array("t1", 6) / "c/1/0/0/0.__lock"
    alone = layout.augmented_array("t1", 6) / "c/1/0/0/0/0.__lock"
    alone.with_name("0").unlink()
    for path in (beside, alone):
        path.write_bytes(b"payload of row 1 or 5")
    erase(layout, {1, 5})
    assert not beside.exists() and not alone.exists() and not alone.with_name("0").exists()
    assert not list(layout.root.rglob("*.__lock"))


def test_a_write_that_outlives_its_command_is_waited_for(stores: tuple[StudyLayout, dict[str, NDArray[Any]]]) -> None:
    layout, _ = stores
    task = plan_erasure(layout, frozenset({1}), NO_DUPLICATES)[-1]
    # like tensorstore: hold the lock, then rename the file into the shard's place
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE_LATE, str(task.leftover), str(task.file)], stdout=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout is not None and writer.stdout.readline() == "locked\n"
        erase_rows(task)
    assert writer.returncode == 0 and not task.leftover.exists()
    assert count_rows(task) == 0


def test_a_full_disk_leaves_the_shard_as_it_was_and_says_what_to_do(
    stores: tuple[StudyLayout, dict[str, NDArray[Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, _ = stores
    before = state(layout)

    class FullDisk:
        def __init__(self, handle: Any) -> None:
            self.handle = handle

        def __getattr__(self, name: str) -> Any:
            return getattr(self.handle, name)

        def __getitem__(self, index: Any) -> Any:
            return FullDisk(self.handle[index])

        def write(self, _: Any) -> Any:
            raise ValueError("RESOURCE_EXHAUSTED: No space left on device [OS error 28]")

    with monkeypatch.context() as patch:
        patch.setattr(
            "mmdata.ledger.erase.open_array", lambda p: replace(a := open_array(p), handle=FullDisk(a.handle))
        )
        with pytest.raises(CapacityError, match="Free some space, then run the same command again"):
            erase(layout, {1})
    assert state(layout) == before


def test_an_array_that_cannot_be_described_stops_the_removal_before_anything_is_written(
    stores: tuple[StudyLayout, dict[str, NDArray[Any]]],
) -> None:
    layout, _ = stores
    (layout.volume_array("t1", 7) / "zarr.json").write_text("{")
    before = state(layout)
    with pytest.raises(StoreError, match=r"volumes\.zarr/t1/7 .* damaged"):
        erase(layout, {1})
    assert state(layout) == before


def test_a_task_does_not_show_its_rows(stores: tuple[StudyLayout, dict[str, NDArray[Any]]]) -> None:
    task = plan_erasure(stores[0], frozenset({6}), NO_DUPLICATES)[0]
    assert "rows" not in repr(task)
    erase_rows(task)
    erase_rows(task)
    assert count_rows(task) == 0
