"""The benchmark of training runs through, on tiny volumes and without a GPU."""

import math
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.cohort import MadeCohort, make_cohort, write_niftis
from benchmarks.projection import IMAGING_INPUTS, count_models, project_study
from benchmarks.train import race_steps, require_equal_losses
from benchmarks.train_device import Plan, count_flops, measure_peak, measure_ranks, measure_reference, measure_side
from mmtrain.bench.batches import in_mode

SIDE, CHANNELS = 16, (4, 6)
SMALL = {"channels": CHANNELS, "batch_size": 8}
PLAN = Plan(side=SIDE, batch_size=8, num_rows=40, channels=CHANNELS, seconds=0.01, workers=0, device="cpu")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> MadeCohort:
    return make_cohort(tmp_path_factory.mktemp("cohort"), SIDE, PLAN.num_rows, copies=PLAN.copies)


@pytest.mark.parametrize("inputs", [("flair", "t1", "dwi"), ("flair", "t1"), ("flair", "dwi"), ("dwi",)])
def test_our_step_and_the_reference_s_begin_with_the_same_loss(cohort: MadeCohort, inputs: tuple[str, ...]) -> None:
    assert require_equal_losses(cohort, inputs, **SMALL) < 1e-12


def test_steps_that_differ_are_not_raced(cohort: MadeCohort) -> None:
    with pytest.raises(RuntimeError, match="the steps differ"):
        require_equal_losses(cohort, ("t1",), **SMALL, weight_penalty=1.0)


def test_every_contender_is_timed_as_often(cohort: MadeCohort) -> None:
    times = race_steps(cohort, repeats=2, **SMALL)
    assert {name: len(of_contender) for name, of_contender in times.items()} == {
        "mm": 2,
        "mm_two_volumes": 2,
        "reference": 2,
        "reference_in_our_memory": 2,
    }


def test_operations_are_counted_as_by_hand(cohort: MadeCohort) -> None:
    """Of the convolutions, which are nearly all: forward, backward for weights, and for all inputs but the volumes."""
    forward = {"first": (3 * 4) * 28 * 16**3, "second": (4 * 4) * 27 * 16**3}
    forward |= {"third": (4 * 6) * 28 * 8**3, "fourth": (6 * 6) * 27 * 8**3}
    expected = 2 * (2 * forward["first"] + 3 * (sum(forward.values()) - forward["first"]))
    counted = count_flops(in_mode(cohort.prepare(**PLAN.settings), "none"))
    assert expected < counted < 1.2 * expected


def test_what_is_measured_on_a_gpu_runs_through_on_a_processor(cohort: MadeCohort, tmp_path: Path) -> None:
    peak = measure_peak(torch.device("cpu"), edge=32, conv=(1, 2, 8), seconds=0.001)
    assert all(0 < value < math.inf for value in peak.values())
    measured = measure_side(cohort, PLAN, max(peak.values()))
    assert list(measured["modes"]) == ["none", "precomputed", "on-device", "hybrid"]
    assert measured["share_of_peak"] > 0
    files = write_niftis(tmp_path / "nifti", 32)
    assert measure_reference(files, PLAN).samples >= PLAN.batch_size


def test_the_throughput_of_ranks_is_that_of_the_last_epoch(cohort: MadeCohort, monkeypatch: pytest.MonkeyPatch) -> None:
    def train_here(words: list[str], **_: object) -> None:
        assert words[-4:-1] == ["1", "-m", "benchmarks.rank"]
        monkeypatch.setattr(sys, "argv", words[-2:])
        runpy.run_module("benchmarks.rank", run_name="__main__")

    monkeypatch.setattr(subprocess, "run", train_here)
    (found,) = measure_ranks(cohort, PLAN, [1]).values()
    assert found["samples_per_second"] > 0


def test_the_study_has_700_models() -> None:
    assert sum(count_models().values()) == 700


def test_the_hours_of_a_study_are_models_times_epochs_times_samples_over_throughput() -> None:
    once = project_study(dict.fromkeys(IMAGING_INPUTS, 1.0), epochs=1, training_samples=3600)
    assert once == 700
    assert project_study(dict.fromkeys(IMAGING_INPUTS, 10.0), epochs=60, training_samples=3600) == 4200
    rates = {"none": math.inf, "dwi": math.inf, "flair+t1": 2.0, "flair+t1+dwi": 1.0}
    assert project_study(rates, epochs=1, training_samples=3600) == 176 / 2 + 176
