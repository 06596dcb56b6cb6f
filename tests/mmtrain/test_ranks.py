"""Real processes that train together: whatever their number, the same model comes out."""

import json
import os
import random
import signal
import time
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from mmtrain.norm import synchronise
from mmtrain.ranks import ALONE, join_ranks
from mmtrain.run import RunDirectory

METADATA = {
    "metadata_blocks": ("serology", "constitutional"),
    "features": ("HDL", "LDL", "sex"),
    "shown_features": ("LDL", "sex"),
}
EXACT = {"precision": "float64", "learning_rate": 3e-4, "epochs": 2}
"""Batch norm and Adam make more of rounding in every step, so that runs of few small steps are compared."""
RUNS: dict[str, dict[str, Any]] = {
    "volumes": {"inputs": ("t1", "flair"), "sync_batch_norm": True},
    "connectivity": {"inputs": ("connectivity",), "drop_last": True},
    "in parts": {"inputs": ("t1", "connectivity"), "accumulate": 2, "batch_size": 16},
    "on the device": {"inputs": ("t1", "flair"), "augment": "on-device", "copies": 0},
    "everything": {"inputs": ("t1", "connectivity", "metadata"), **METADATA, "clip_norm": 0.5, "schedule": "cosine"},
    "classes": {
        "inputs": ("connectivity", "metadata"),
        **METADATA,
        "target": "sex",
        "kind": "classification",
        "balance": "weight",
    },
}
IN_PARTS = {"inputs": ("t1", "connectivity"), "accumulate": 2, "epochs": 2}
NUM_KILLS = int(os.environ.get("MM_KILLS", "2"))


@pytest.fixture(scope="module")
def trained(tiny: Any, on_ranks: Any) -> dict[int, dict[str, RunDirectory]]:
    """Every run of RUNS, trained to its end by 1, 2 and 3 processes."""
    runs = {}
    for size in (1, 2, 3):
        runs[size] = {name: tiny.begin(**EXACT | settings) for name, settings in RUNS.items()}
        on_ranks(size, "train_runs", root=tiny.layout.root, runs=[run.path for run in runs[size].values()])
    return runs


def outcome(tiny: Any, run: RunDirectory) -> dict[str, Any]:
    """Return all numbers that a run leaves, by their paths."""
    predictions = pl.read_parquet(run.predictions)
    return {
        "metrics": json.loads(run.metrics.read_text()),
        "epochs": tiny.epochs(run),
        "sample_ids": predictions["sample_id"].to_list(),
        "predictions": predictions["prediction"].to_list(),
        "weights": {name: tensor.flatten().tolist() for name, tensor in load_file(run.model).items()},
    }


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {k: v for name, part in value.items() for k, v in flatten(part, f"{path}/{name}").items()}
    if isinstance(value, list):
        return {k: v for i, part in enumerate(value) for k, v in flatten(part, f"{path}/{i}").items()}
    return {path: value}


def assert_equal(one: dict[str, Any], other: dict[str, Any], *, relative: float = 1e-9) -> None:
    first, second = flatten(one), flatten(other)
    assert first.keys() == second.keys()
    numbers = [path for path, value in first.items() if isinstance(value, float)]
    assert len(numbers) > 100
    # Biases in front of batch norm have no effect and a gradient of rounding noise, which Adam makes steps of.
    loose = [p for p in numbers if p.startswith("/weights") and "bias" in p]
    strict = [p for p in numbers if p not in set(loose)]
    np.testing.assert_allclose([first[p] for p in strict], [second[p] for p in strict], rtol=relative, atol=1e-10)
    np.testing.assert_allclose([first[p] for p in loose], [second[p] for p in loose], atol=1e-6)
    others = first.keys() - set(numbers)
    assert {p: first[p] for p in others} == {p: second[p] for p in others}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("size", [2, 3])
def test_any_number_of_ranks_trains_the_same_model(tiny: Any, trained: Any, size: int, name: str) -> None:
    assert_equal(outcome(tiny, trained[1][name]), outcome(tiny, trained[size][name]))


def test_runs_of_other_settings_differ_by_far_more_than_is_allowed_between_ranks(tiny: Any, trained: Any) -> None:
    for name in ("volumes", "everything"):
        with pytest.raises(AssertionError):
            assert_equal(outcome(tiny, trained[1][name]), outcome(tiny, trained[1]["on the device"]), relative=1e-3)


def test_the_first_epochs_in_float32_agree_to_rounding(tiny: Any, on_ranks: Any) -> None:
    runs = []
    for size in (1, 2):
        runs.append(tiny.begin(inputs=("connectivity",), epochs=2, learning_rate=1e-4))
        on_ranks(size, "train_runs", root=tiny.layout.root, runs=[runs[-1].path])
    one, two = map(tiny.epochs, runs)
    assert [e["train_loss"] for e in one] == pytest.approx([e["train_loss"] for e in two], rel=1e-4)
    assert [e["val_loss"] for e in one] == pytest.approx([e["val_loss"] for e in two], rel=1e-3)


@pytest.mark.parametrize("calibration_samples", [0, 512])
def test_without_common_batch_norm_every_rank_still_validates_the_model_that_is_kept(
    tiny: Any, on_ranks: Any, calibration_samples: int
) -> None:
    settings = {"sync_batch_norm": False, "calibration_samples": calibration_samples}
    run = tiny.begin(inputs=("connectivity",), **EXACT | settings | {"epochs": 1})
    metrics = on_ranks(2, "train_runs", root=tiny.layout.root, runs=[run.path])
    assert metrics[0] == metrics[1]
    assert tiny.epochs(run)[0]["val"] == pytest.approx(metrics[0][0]["val"], rel=1e-12)


@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 3)])
def test_a_run_stopped_within_an_epoch_goes_on_with_another_number_of_ranks(
    tiny: Any, trained: Any, on_ranks: Any, first: int, then: int
) -> None:
    names = ("everything", "in parts")
    runs = [tiny.begin(**EXACT | RUNS[name]) for name in names]
    given = {"root": tiny.layout.root, "runs": [run.path for run in runs]}
    # One rank alone gets the signal; the others must stop after the same step.
    assert on_ranks(first, "train_runs", **given, stop_at=(2, 1), deaf=1) == [[{}, {}]] * first
    for run in runs:
        assert run.checkpoint.exists() and not run.metrics.exists()
    on_ranks(then, "train_runs", **given, resume=True)
    for name, run in zip(names, runs, strict=True):
        assert_equal(outcome(tiny, trained[1][name]), outcome(tiny, run))


@pytest.fixture(scope="module")
def in_one_go(tiny: Any, on_ranks: Any) -> list[RunDirectory]:
    """Runs that one process trains without a stop, in either precision."""
    runs = [tiny.begin(**IN_PARTS, precision=precision) for precision in ("float32", "float64")]
    on_ranks(1, "train_runs", root=tiny.layout.root, runs=[run.path for run in runs])
    return runs


@pytest.mark.parametrize("stop_at", [(1, 1), (2, 3), (2, 4)])
def test_one_process_that_is_stopped_goes_on_bit_for_bit(
    tiny: Any, on_ranks: Any, in_one_go: list[RunDirectory], stop_at: tuple[int, int]
) -> None:
    runs = [tiny.begin(**IN_PARTS, precision=precision) for precision in ("float32", "float64")]
    given = {"root": tiny.layout.root, "runs": [run.path for run in runs]}
    assert on_ranks(1, "train_runs", **given, stop_at=stop_at) == [[{}, {}]]
    on_ranks(1, "train_runs", **given, resume=True)
    for run, whole in zip(runs, in_one_go, strict=True):
        assert outcome(tiny, run) == outcome(tiny, whole)
        assert run.model.read_bytes() == whole.model.read_bytes()


def test_random_kills_and_resumes_end_in_the_same_bytes(tiny: Any, start_ranks: Any, on_ranks: Any) -> None:
    settings = {"inputs": ("t1", "connectivity"), "epochs": 12, "patience": 12, "checkpoint_minutes": 1e-9}
    rng = random.Random(NUM_KILLS)
    whole = tiny.begin(**settings)
    started = time.monotonic()
    on_ranks(1, "train_runs", root=tiny.layout.root, runs=[whole.path])
    seconds = time.monotonic() - started
    kills, within_epochs = 0, 0
    while kills < NUM_KILLS:
        run = tiny.begin(**settings)
        while not run.metrics.exists():
            life = start_ranks(1, "train_runs", root=tiny.layout.root, runs=[run.path], resume=True)
            life.processes[0].join(rng.uniform(0.1, 0.8) * seconds if kills < NUM_KILLS else 120)
            if life.processes[0].is_alive():
                life.kill()
                kills += 1
                within_epochs += run.checkpoint.exists() or run.checkpoint.with_suffix(".previous").exists()
            else:
                assert isinstance(life.wait()[0], list)
        assert outcome(tiny, run) == outcome(tiny, whole)
        assert run.model.read_bytes() == whole.model.read_bytes()
        assert not list(run.path.rglob("*.tmp"))


def test_random_kills_of_ranks_and_resumes_on_other_numbers_of_ranks_end_in_the_same_model(
    tiny: Any, trained: Any, start_ranks: Any
) -> None:
    rng = random.Random(NUM_KILLS)
    settings = EXACT | RUNS["everything"] | {"checkpoint_minutes": 1e-9}
    run, kills = tiny.begin(**settings), 0
    while kills < NUM_KILLS or not run.metrics.exists():
        if run.metrics.exists():
            assert_equal(outcome(tiny, trained[1]["everything"]), outcome(tiny, run))
            run = tiny.begin(**settings)
        size = rng.choice([1, 2, 3])
        life = start_ranks(size, "train_runs", root=tiny.layout.root, runs=[run.path], resume=True)
        victim = rng.choice(life.processes)
        victim.join(rng.uniform(0.1, 1.5) if kills < NUM_KILLS else 120)
        if victim.is_alive():
            victim.kill()
            kills += 1
            life.wait(30)  # the others notice that it is gone, and end
    assert_equal(outcome(tiny, trained[1]["everything"]), outcome(tiny, run))


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("sizes", [(2, 3), (1, 2, 4)])
def test_batch_norm_over_ranks_is_batch_norm_over_their_samples(
    on_ranks: Any, sizes: tuple[int, ...], momentum: float | None
) -> None:
    generator = torch.Generator().manual_seed(3)
    whole = torch.randn(sum(sizes), 3, 2, 3, 2, dtype=torch.float64, generator=generator) * 4 + 5
    weights = torch.randn(whole.shape, dtype=torch.float64, generator=generator)
    expected = torch.nn.BatchNorm3d(3, momentum=momentum).double()
    with torch.no_grad():
        expected.weight.uniform_(0.5, 2, generator=generator)
        expected.bias.uniform_(-1, 1, generator=generator)
    state = {f"0.{name}": value.clone() for name, value in expected.state_dict().items()}
    given = {"shares": list(whole.split(sizes)), "weights": list(weights.split(sizes))}
    results = on_ranks(len(sizes), "normalise", **given, momentum=momentum, state=state)

    samples = whole.clone().requires_grad_()
    expected(samples + 1)
    outputs = expected(samples)
    (outputs * weights).sum().backward()
    torch.testing.assert_close(torch.cat([r["outputs"] for r in results]), outputs.detach())
    torch.testing.assert_close(torch.cat([r["input_gradient"] for r in results]), samples.grad)
    evaluated = expected.eval()(samples).detach()
    torch.testing.assert_close(torch.cat([r["evaluated"] for r in results]), evaluated)
    for result in results:
        torch.testing.assert_close(result["gradients"], [expected.weight.grad, expected.bias.grad])
        assert {name.removeprefix("0.") for name in result["state"]} == set(expected.state_dict())
        for name, value in expected.state_dict().items():
            torch.testing.assert_close(result["state"][f"0.{name}"], value)


def test_batch_norm_is_synchronised_at_any_depth_and_keeps_its_weights() -> None:
    network = torch.nn.Sequential(torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2)))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    synchronise(network, torch.device("cpu"))
    assert type(network[0][0]).__name__ == "CpuSyncBatchNorm"
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


def test_ranks_hear_each_other(on_ranks: Any) -> None:
    parts = [torch.tensor([[1.0]]), torch.empty((0, 1)), torch.tensor([[2.0], [3.0]])]
    results = on_ranks(3, "talk", flags=[[False, False], [False, True], [False, False]], parts=parts)
    assert [r["place"] for r in results] == [(0, 3, True), (1, 3, False), (2, 3, False)]
    for result in results:
        assert result["any"] == [False, True]
        assert result["sum"] == [3.0, 3.0]
        assert result["gathered"].tolist() == [[1.0], [2.0], [3.0]]


def test_a_process_alone_hears_itself() -> None:
    with join_ranks(torch.device("cpu"), hang_seconds=1) as ranks:
        assert ranks is ALONE
    assert (ALONE.rank, ALONE.size, ALONE.leads) == (0, 1, True)
    assert ALONE.any(True, False) == [True, False]
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    assert ALONE.sum(values).tolist() == [1.0, 2.0] and not ALONE.sum(values).requires_grad
    assert ALONE.sum(values).data_ptr() != values.data_ptr()
    assert torch.equal(ALONE.gather(values), values)
    ALONE.wait()


@pytest.mark.parametrize(
    ("stopped", "behind", "expected"),
    [
        (1, -1, "Rank 1 of 2 hangs: no rank began a batch for 2 s, and it does not answer."),
        (-1, 1, "Rank 1 of 2 hangs: no rank began a batch for 2 s, and it is behind the others."),
    ],
    ids=["stopped", "behind"],
)
def test_a_rank_that_hangs_is_named_and_the_others_end(
    start_ranks: Any, stopped: int, behind: int, expected: str
) -> None:
    ranks = start_ranks(2, "hang", stopped=stopped, behind=behind, seconds=2.0)
    ranks.processes[0].join(20)
    assert not ranks.processes[0].is_alive()
    if stopped >= 0:
        os.kill(ranks.processes[stopped].pid, signal.SIGKILL)
    ranks.processes[1].join(20)
    assert not ranks.processes[1].is_alive()
    errors = [path.with_suffix(".error") for path in ranks.results if path.with_suffix(".error").exists()]
    told = {json.loads(error.read_text())["message"]["message"] for error in errors}
    assert told == {f"TrainError: {expected}"}


def test_memory_does_not_grow_over_epochs(tiny: Any, on_ranks: Any) -> None:
    run = tiny.begin(inputs=("t1", "connectivity"), epochs=40, augment="hybrid")
    (sizes,) = on_ranks(1, "measure_memory", root=tiny.layout.root, run=run.path)
    assert len(sizes) == 40
    assert sizes[-1] - sizes[9] < 8, sizes


def test_more_ranks_than_samples_are_refused_by_each(tiny: Any, start_ranks: Any) -> None:
    run = tiny.begin(inputs=("connectivity",), accumulate=4)
    results = start_ranks(2, "train_runs", root=tiny.layout.root, runs=[run.path]).wait()
    for result in results:
        assert "TrainError: A batch of 7 samples in 4 parts is too small for 2 ranks" in str(result)
