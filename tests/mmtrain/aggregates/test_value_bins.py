"""Bins of values have ten people at least, and round edges that are nobody's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrain.aggregates.people import may_be_told
from mmtrain.aggregates.value_bins import LEVELS, bin_truth, find_axis, find_density, round_step
from mmtrain.metrics.predicted import Predicted


def predicted(n: int, seed: int, visits: int = 1) -> Predicted:
    rng = np.random.default_rng(seed)
    truth = rng.normal(62, 8, n)
    return Predicted(truth=truth, prediction=truth + rng.normal(0, 4, n), participants=np.arange(n) // visits)


def people_in(data: Predicted, low: float, high: float, bottom: float = -np.inf, top: float = np.inf) -> int:
    chosen = (data.truth >= low) & (data.truth < high) & (data.prediction >= bottom) & (data.prediction < top)
    return len(set(data.participants[chosen]))


@given(st.integers(1, 3000), st.integers(0, 100), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_no_cell_of_fewer_than_ten_people_is_shown(n: int, seed: int, visits: int) -> None:
    data = predicted(n, seed, visits)
    assert all(people_in(data, part.low, part.high) >= 10 for part in bin_truth(data))
    density = find_density(data)
    if density is None:
        return
    for x, row in enumerate(density.levels):
        for y, level in enumerate(row):
            number = people_in(data, *density.edges[x : x + 2], *density.edges[y : y + 2])
            assert (level < 0) == (number < LEVELS[0])
            assert level < 0 or LEVELS[level] <= number


@pytest.mark.parametrize("n", [9, 30, 99])
def test_thirty_people_have_no_density(n: int) -> None:
    assert find_density(predicted(n, 1)) is None
    assert bool(bin_truth(predicted(n, 1))) == (n >= 10)


def test_many_people_have_a_density_that_shows_most_of_them() -> None:
    density = find_density(predicted(5000, 1))
    assert density is not None and len(density.edges) > 10 and (density.levels >= 0).sum() > 20


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
@settings(deadline=None)
def test_an_axis_ends_at_round_numbers(values: list[float]) -> None:
    axis = find_axis(np.array(values), len(values))
    assert axis.low < axis.high
    low, high = np.percentile(values, (5, 95))
    if high - low > 1e-3 * max(map(abs, values)):
        step = round_step((high - low) / 10)
        for end in (axis.low, axis.high):
            assert abs(end / step - round(end / step)) < 1e-3
        assert axis.low <= low + step and axis.high >= high - step


def test_means_along_the_truth_are_those_of_its_bins() -> None:
    data = predicted(500, 4)
    for part in bin_truth(data):
        inside = (data.truth >= part.low) & (data.truth < part.high)
        assert part.mean_prediction == pytest.approx(data.prediction[inside].mean(), rel=0.005)
        assert part.mean_truth == pytest.approx(data.truth[inside].mean(), rel=0.005)
        assert part.people == len(set(data.participants[inside]))


def test_nobody_and_ten_may_be_told_of() -> None:
    assert may_be_told(np.array([0, 10, 400])) and not may_be_told(np.array([0, 9, 400]))
