"""Prediction intervals against closed forms, and their coverage on simulated errors."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmtrain.errors import TrainError
from mmtrain.intervals import (
    LEVELS,
    Calibration,
    Intervals,
    TargetIntervals,
    calibrate,
    conformal_half_width,
    conformal_rank,
    read_intervals,
    write_intervals,
)

NUM = 6000


def calibration(error_N: np.ndarray, spread_N: np.ndarray | None = None) -> Calibration:
    truth_N = np.linspace(45, 80, len(error_N))
    return Calibration(
        truth_N=truth_N, prediction_N=truth_N + error_N, people_N=np.arange(len(error_N)), spread_N=spread_N
    )


def coverage(
    intervals: TargetIntervals, level: float, error_N: np.ndarray, spread_N: np.ndarray | None = None
) -> float:
    lower_N, upper_N = intervals.bounds(level, error_N, spread_N)
    return float(np.mean((lower_N <= 0) & (upper_N >= 0)))


@given(num=st.integers(1, 2000), percent=st.integers(1, 99))
def test_the_rank_is_that_of_exact_fractions(num: int, percent: int) -> None:
    assert conformal_rank(num, percent / 100) == math.ceil((num + 1) * Fraction(percent, 100))


@pytest.mark.parametrize("num", [9, 19, 40])
@pytest.mark.parametrize("level", LEVELS)
def test_the_average_coverage_is_the_rank_over_one_more_than_the_samples(num: int, level: float) -> None:
    """With uniform errors, the k-th smallest of n is Beta(k, n + 1 - k), so it covers k / (n + 1) in the mean."""
    rank = math.ceil(round((num + 1) * level, 9))
    draws = np.random.default_rng(num).uniform(size=(4000, num))
    widths = [conformal_half_width(row, level) for row in draws]
    if rank > num:
        assert np.isinf(widths).all()
        return
    deviation = math.sqrt(rank * (num + 1 - rank) / ((num + 1) ** 2 * (num + 2)) / len(draws))
    assert np.mean(widths) == pytest.approx(rank / (num + 1), abs=4 * deviation)
    assert rank / (num + 1) >= level


@pytest.mark.parametrize("draw", ["normal", "laplace", "standard_t"])
def test_nine_in_ten_are_covered_where_errors_are_alike(draw: str) -> None:
    rng = np.random.default_rng(3)
    errors_2N = {
        "normal": lambda: rng.normal(1.0, 4.0, (2, NUM)),  # biased: a half-width makes up for that too
        "laplace": lambda: rng.laplace(0.0, 3.0, (2, NUM)),
        "standard_t": lambda: rng.standard_t(2, (2, NUM)),
    }[draw]()
    intervals = calibrate(calibration(errors_2N[0]))
    assert intervals is not None
    for level in LEVELS:
        assert coverage(intervals, level, errors_2N[1]) == pytest.approx(level, abs=0.03)


def test_nine_in_ten_are_covered_at_every_spread_where_errors_grow_with_it() -> None:
    rng = np.random.default_rng(4)
    spread_2N = rng.uniform(0.5, 8.0, (2, NUM))
    error_2N = rng.normal(0.0, 1.5, spread_2N.shape) * spread_2N
    adaptive = calibrate(calibration(error_2N[0], spread_2N[0]))
    plain = calibrate(calibration(error_2N[0]))
    assert adaptive is not None
    assert plain is not None
    assert coverage(adaptive, 0.9, error_2N[1], spread_2N[1]) == pytest.approx(0.9, abs=0.03)
    assert coverage(plain, 0.9, error_2N[1]) == pytest.approx(0.9, abs=0.03)
    least, most = (spread_2N[1] > 1.5) & (spread_2N[1] < 2.5), spread_2N[1] > 6  # above the floor
    for some in (least, most):
        assert coverage(adaptive, 0.9, error_2N[1][some], spread_2N[1][some]) == pytest.approx(0.9, abs=0.03)
    assert coverage(plain, 0.9, error_2N[1][least]) > 0.98  # one width for all is too wide for some
    assert coverage(plain, 0.9, error_2N[1][most]) < 0.85


def test_a_spread_below_the_floor_counts_as_the_floor() -> None:
    rng = np.random.default_rng(5)
    intervals = calibrate(calibration(rng.normal(size=100), rng.uniform(1, 2, 100)))
    assert intervals is not None
    assert intervals.spread_floor is not None
    assert intervals.spread_floor >= 1
    lower_N, upper_N = intervals.bounds(0.9, np.zeros(2), np.array([0.0, intervals.spread_floor]))
    assert upper_N[0] - lower_N[0] == upper_N[1] - lower_N[1] > 0


def test_models_that_never_disagree_have_the_half_widths_of_one() -> None:
    error_N = np.random.default_rng(6).normal(size=60)
    agreeing, alone = calibrate(calibration(error_N, np.zeros(60))), calibrate(calibration(error_N))
    assert agreeing is not None
    assert alone is not None
    for level in LEVELS:
        for ours, theirs in zip(
            agreeing.bounds(level, np.ones(1), np.zeros(1)), alone.bounds(level, np.ones(1)), strict=True
        ):
            assert ours == theirs


def test_fewer_than_ten_people_calibrate_nothing() -> None:
    error_N = np.random.default_rng(7).normal(size=30)
    whole = calibration(error_N)
    visits = Calibration(truth_N=whole.truth_N, prediction_N=whole.prediction_N, people_N=np.arange(30) % 9)
    assert calibrate(visits) is None
    assert calibrate(calibration(error_N[:10])) is not None


def test_a_level_that_the_samples_do_not_suffice_for_has_no_interval() -> None:
    intervals = calibrate(calibration(np.random.default_rng(8).normal(size=12)))
    assert intervals is not None
    assert set(intervals.half_widths) == {0.5, 0.8, 0.9}
    assert np.isnan(intervals.bounds(0.95, np.zeros(1))).all()


@given(st.lists(st.floats(1e-3, 1e4), min_size=10, max_size=40))
def test_half_widths_are_those_of_the_errors_rounded_up_to_three_digits(errors: list[float]) -> None:
    made = calibrate(
        Calibration(truth_N=np.zeros(len(errors)), prediction_N=np.array(errors), people_N=np.arange(len(errors)))
    )
    assert made is not None
    for level, width in made.half_widths.items():
        exact = conformal_half_width(np.array(errors), level)
        assert exact * (1 - 1e-9) <= width <= exact * 1.01
        assert float(f"{width:.3g}") == pytest.approx(width, rel=1e-12)


def test_intervals_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    some = {
        "age": calibrate(calibration(rng.normal(size=200))),
        "LDL": calibrate(calibration(rng.normal(size=40), rng.uniform(1, 2, 40))),
    }
    intervals = Intervals({name: one for name, one in some.items() if one})
    write_intervals(tmp_path / "intervals.json", intervals)
    assert read_intervals(tmp_path / "intervals.json") == intervals
    assert read_intervals(tmp_path / "none.json") == Intervals()


def test_a_file_of_fewer_than_ten_samples_or_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "intervals.json"
    path.write_text('{"schema_version": 1, "targets": {"age": {"num_samples": 9, "half_widths": {"0.9": 3.0}}}}')
    with pytest.raises(TrainError, match="is damaged"):
        read_intervals(path)
    path.write_text('{"schema_version": 2, "targets": {}}')
    with pytest.raises(TrainError, match="schema_version 2; this mm reads 1"):
        read_intervals(path)
