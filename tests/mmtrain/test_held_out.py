"""Intervals of runs, from the files that a run leaves behind."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmtrain.config.data import TargetConfig
from mmtrain.held_out import ensemble_intervals, run_intervals
from mmtrain.intervals import Intervals
from mmtrain.run import RunDirectory

AGE = TargetConfig(name="age", kind="regression", unit="years")
SEX = TargetConfig(name="sex", kind="classification", unit="1 male")
NUM = 40
TRUTH = np.linspace(50, 80, NUM)


def make_run(
    path: Path, errors: np.ndarray, samples: Sequence[int], targets: Sequence[TargetConfig] = (AGE,)
) -> RunDirectory:
    """Write the cohort and the predictions of a run; two visits of each person are in a row."""
    run = RunDirectory(path)
    path.mkdir()
    names = [f"{number:016x}" for number in samples]
    predicted = TRUTH[samples] + errors[samples]
    cohort = {"sample_id": names, "row": list(samples), "split": "val", "augmented": False, "target": TRUTH[samples]}
    pl.DataFrame({**cohort, "participant": [number // 2 for number in samples]}).write_parquet(run.cohort)
    table = {
        "sample_id": names,
        "split": "val",
        "truth": TRUTH[samples],
        "prediction": predicted,
    }
    tables = [pl.DataFrame(table).with_columns(target=pl.lit(target.name)) for target in targets]
    tested = tables[0].with_columns(split=pl.lit("test"), prediction=pl.lit(1e6))
    pl.concat([*tables, tested]).drop([] if len(targets) > 1 else ["target"]).write_parquet(run.predictions)
    return run


def test_a_run_is_calibrated_on_its_validation_samples_alone(tmp_path: Path) -> None:
    errors = np.random.default_rng(1).permutation(np.arange(1.0, NUM + 1))
    run = make_run(tmp_path / "run", errors, range(NUM))
    intervals = run_intervals(run, [AGE], [0.5, 0.9, 0.99]).of["age"]
    assert intervals.num_samples == NUM
    assert intervals.half_widths == {0.5: 21.0, 0.9: 37.0}  # of 41 parts, the ceilings of 20.5 and 36.9


def test_binary_targets_have_no_interval(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", np.ones(NUM), range(NUM), [SEX, AGE])
    assert set(run_intervals(run, [SEX, AGE]).of) == {"age"}


def test_visits_of_nine_people_calibrate_nothing(tmp_path: Path) -> None:
    assert run_intervals(make_run(tmp_path / "run", np.ones(NUM), range(18)), [AGE]) == Intervals()


def test_an_unfinished_run_has_no_intervals(tmp_path: Path) -> None:
    assert run_intervals(RunDirectory(tmp_path / "none"), [AGE]) == Intervals()


def test_several_runs_are_calibrated_on_what_all_have_in_units_of_their_spread(tmp_path: Path) -> None:
    errors_2N = np.random.default_rng(2).normal(size=(2, NUM))
    common = range(10, 30)
    runs = [
        make_run(tmp_path / "first", errors_2N[0], range(30)),
        make_run(tmp_path / "second", errors_2N[1], range(10, NUM)),
    ]
    intervals = ensemble_intervals(runs, [AGE], [0.8]).of["age"]
    assert intervals.num_samples == len(common)
    means_N, spreads_N = errors_2N[:, common].mean(axis=0), errors_2N[:, common].std(axis=0)
    assert intervals.spread_floor is not None
    scores_N = np.sort(np.abs(means_N) / np.maximum(spreads_N, intervals.spread_floor))
    assert intervals.half_widths[0.8] == pytest.approx(scores_N[16], rel=0.01)  # the 17th, for 21 times 0.8 is 16.8


def test_runs_without_a_validation_sample_in_common_have_no_intervals(tmp_path: Path) -> None:
    folds = [make_run(tmp_path / str(start), np.ones(NUM), range(start, start + 20)) for start in (0, 20)]
    assert ensemble_intervals(folds, [AGE]) == Intervals()
