import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numcodecs.zstd import Zstd

from mmdata.errors import StoreError
from mmdata.store.array import StoredArray, open_array
from mmdata.store.schema import VOLUME_DIMENSIONS
from mmdata.store.spec import ArraySpec, ensure_array
from mmtrain.bench import modes as bench_modes
from mmtrain.bench import throughput
from mmtrain.bench.batches import MODES, first_batch, in_mode, laps, modes_of
from mmtrain.bench.disk import forget_files, locate_chunks, read_chunks
from mmtrain.bench.modes import measure_from_memory, measure_modes, take_turn
from mmtrain.bench.stages import measure_stages, stage_names
from mmtrain.bench.throughput import Throughput, num_warm_ups, repeat
from mmtrain.config.augmentation import AugmentMode
from mmtrain.learner import Learner, build_learner
from mmtrain.task import Task

CRC_BYTES = 4
NO_TIME = 1e-9


@pytest.fixture(scope="module")
def volumes(tiny: Any) -> Task:
    return tiny.prepare(inputs=("flair", "t1"))


def test_a_located_chunk_is_what_the_row_was_compressed_to(tiny: Any) -> None:
    for path in (tiny.layout.volume_array("t1", 8), tiny.layout.connectivity_array("glasser360")):
        array = open_array(path)
        for row, chunk in zip((39, 0, 8, 7), locate_chunks(array, [39, 0, 8, 7]), strict=True):
            with chunk.file.open("rb") as file:
                file.seek(chunk.offset)
                content = Zstd().decode(file.read(chunk.size)[:-CRC_BYTES])
            np.testing.assert_array_equal(
                np.frombuffer(content, array.dtype).reshape(array.row_shape), array.read_rows([(row,)])[0]
            )


@pytest.mark.parametrize("row", [1, 5], ids=["in a shard with others", "without a shard"])
def test_a_row_that_was_never_stored_has_no_chunk(tmp_path: Path, row: int) -> None:
    path = tmp_path / "volumes.zarr" / "t1" / "8"
    spec = ArraySpec(
        path=path,
        shape=(8, 8, 8, 8),
        row_axis=0,
        rows_per_shard=4,
        dtype="uint16",
        codec="zstd",
        dimensions=VOLUME_DIMENSIONS,
    )
    ensure_array(spec)
    array = open_array(path)
    shard = array.read_shard(0)
    shard[0] = 7
    array.write_shard(0, shard)
    locate_chunks(array, [0])
    with pytest.raises(StoreError, match=f"Row {row} of t1/8"):
        locate_chunks(array, [row])


def test_reading_chunks_counts_what_was_read_and_changes_nothing(tiny: Any) -> None:
    chunks = locate_chunks(open_array(tiny.layout.volume_array("t1", 8)), range(10))
    files = {chunk.file for chunk in chunks}
    before = {file: file.read_bytes() for file in files}
    reading = read_chunks([chunks[:4], chunks[4:8], chunks[8:]], math.inf)
    assert (reading.samples, reading.num_bytes) == (3, sum(chunk.size for chunk in chunks))
    assert reading.cache in ("cold", "warm", "unknown")
    assert {file: file.read_bytes() for file in files} == before


def test_files_just_read_are_not_called_cold_where_the_system_cannot_forget(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (chunk,) = locate_chunks(open_array(tiny.layout.volume_array("t1", 8)), [0])
    chunk.file.read_bytes()
    monkeypatch.setattr("mmtrain.bench.disk._forget", lambda _: None)
    assert forget_files([chunk.file]) in ("warm", "unknown")
    monkeypatch.delattr("os.posix_fadvise", raising=False)
    assert forget_files([chunk.file]) == "unknown"


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (("t1",), ("disk", "decode", "convert", "recipes", "augment", "step", "convolutions")),
        (("connectivity",), ("disk", "decode", "step")),
    ],
)
def test_stages_that_do_not_apply_are_left_out(tiny: Any, inputs: tuple[str, ...], expected: tuple[str, ...]) -> None:
    task = tiny.prepare(inputs=inputs)
    assert stage_names(task) == expected
    assert modes_of(task.config) == (MODES if "t1" in inputs else ("none",))
    measured = list(measure_stages(task, NO_TIME))
    assert tuple(stage.name for stage in measured) == expected
    assert all(stage.samples_per_second > 0 for stage in measured[1:])


def test_metadata_alone_has_only_the_step(tiny: Any) -> None:
    features = {"metadata_blocks": ("serology",), "features": ("LDL", "sex"), "shown_features": ("LDL",)}
    task = tiny.prepare(inputs=("metadata",), **features)
    assert [stage.name for stage in measure_stages(task, NO_TIME)] == ["step"]
    assert [mode for mode, _ in measure_modes(task, ["none"], NO_TIME)] == ["none"]


def test_each_mode_reads_what_the_trainer_would_read(volumes: Task) -> None:
    reads = {mode: {int(c) for p in laps(in_mode(volumes, mode)) for c in p.request.copies} for mode in MODES}
    assert reads == {"none": {0}, "precomputed": {0, 1, 2}, "on-device": {0}, "hybrid": {0, 1, 2}}
    assert [in_mode(volumes, mode).config.augments_on_device for mode in MODES] == [False, False, True, True]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_turn_without_time_is_one_whole_step(tiny: Any, accumulate: int) -> None:
    task = in_mode(tiny.prepare(inputs=("t1",), accumulate=accumulate), "none")
    learner = build_learner(task)
    weights = [parameter.detach().clone() for parameter in learner.network.parameters()]
    throughput = take_turn(task, learner, NO_TIME)
    assert throughput.samples == sum(len(portion.request.rows) for portion in first_batch(task)) == 7
    assert 0 <= throughput.wait_share <= 1
    assert any(not torch.equal(a, b) for a, b in zip(weights, learner.network.parameters(), strict=True))


def test_modes_take_turns_until_each_had_its_seconds(volumes: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"none": iter([1.0, 1.0, 1.0]), "hybrid": iter([1.0, 2.5])}

    def turn(task: Task, learner: Any, wanted: float) -> Throughput:
        assert wanted == 1.0 and learner.network.training
        return Throughput(samples=8, seconds=next(seconds[task.config.augmentation.augment]))

    monkeypatch.setattr(bench_modes, "take_turn", turn)
    turns = [mode for mode, _ in measure_modes(volumes, ("none", "hybrid"), 3.0)]
    assert turns == ["none", "hybrid", "none", "hybrid", "none"]


@pytest.mark.parametrize(
    ("durations", "seconds", "expected"),
    [
        ([90.0, 5.0, 1.0], 2.0, Throughput(samples=8, seconds=5.0, warm_up_seconds=90.0)),
        ([0.5, 1.0, 1.5, 1.0], 2.0, Throughput(samples=16, seconds=2.5, warm_up_seconds=0.5)),
        ([1.5, 0.25], 0.0, Throughput(samples=8, seconds=0.25, warm_up_seconds=1.5)),
    ],
    ids=["a warm-up that outlasts all", "until the time is up", "no time"],
)
def test_repeated_work_counts_behind_its_warm_up_however_long_that_lasts(
    monkeypatch: pytest.MonkeyPatch, durations: list[float], seconds: float, expected: Throughput
) -> None:
    now, left = 0.0, iter(durations)

    def work() -> int:
        nonlocal now
        now += next(left)
        return 8

    monkeypatch.setattr(throughput.time, "perf_counter", lambda: now)
    assert repeat(work, seconds, torch.device("cpu")) == expected


def test_a_gpu_is_warmed_up_more_than_once() -> None:
    assert num_warm_ups(torch.device("cuda")) > num_warm_ups(torch.device("cpu")) == 1


def test_the_first_step_of_a_turn_never_counts(volumes: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    now, left = 0.0, iter([100.0, 1.0, 1.0, 1.0])

    def step(*_: Any) -> Iterator[int]:
        nonlocal now
        for duration in left:
            now += duration
            yield 8

    monkeypatch.setattr(bench_modes, "_take_steps", step)
    monkeypatch.setattr(bench_modes.time, "perf_counter", lambda: now)
    turn = take_turn(volumes, build_learner(volumes), 2.0)
    assert turn == Throughput(samples=16, seconds=2.0, warm_up_seconds=100.0)


@pytest.mark.parametrize("mode", ["none", "hybrid"])
def test_steps_from_memory_read_nothing_from_the_stores(
    volumes: Task, mode: AugmentMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_turn_without_reading(task: Task, learner: Learner, seconds: float) -> Throughput:
        monkeypatch.setattr(StoredArray, "start_read", fail_on_read)
        return take_turn(task, learner, seconds)

    def fail_on_read(array: StoredArray, indices: Any, *_: Any) -> list[Any]:
        assert not len(indices)
        return []

    monkeypatch.setattr(bench_modes, "take_turn", take_turn_without_reading)
    assert measure_from_memory(in_mode(volumes, mode), torch.device("cpu"), NO_TIME).samples == 7
