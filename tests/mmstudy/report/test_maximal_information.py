"""MICe against closed forms, and its best cuts against every possible choice of cuts."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from mmstudy.report.maximal_information import _best_cuts, maximal_information

X = np.random.default_rng(0).normal(size=1000)
Y = np.random.default_rng(1).normal(size=1000)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        (X, 0.999, 1.0),
        (-3 * X + 2, 0.999, 1.0),
        (np.exp(X), 0.999, 1.0),
        (X**2, 0.95, 1.0),
        (Y, 0.0, 0.1),
        (np.zeros(1000), 0.0, 0.0),
    ],
)
def test_a_functional_relation_is_near_one_and_independence_near_nothing(
    values: np.ndarray, low: float, high: float
) -> None:
    assert low <= maximal_information(X, values) <= high + 1e-9


def test_it_is_symmetric_and_depends_on_ranks_alone() -> None:
    noisy = X + Y
    found = maximal_information(X, noisy)
    assert 0.1 < found < 0.6
    assert maximal_information(noisy, X) == found
    assert maximal_information(np.exp(X), noisy**3) == pytest.approx(found)


def test_of_two_equal_classes_it_is_their_entropy_in_bits() -> None:
    for share in (0.5, 0.2, 0.1):
        classes = (np.arange(1000) < share * 1000).astype(float)
        entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
        assert maximal_information(classes, classes) == pytest.approx(entropy, abs=0.002)


def test_the_best_cuts_are_those_of_every_possible_choice() -> None:
    rng = np.random.default_rng(4)
    counts_CR = rng.integers(0, 9, (7, 3)).astype(float) + 1
    rows_N = np.repeat(np.tile(np.arange(3), 7), counts_CR.astype(int).ravel())
    clumps_N = np.repeat(np.repeat(np.arange(7), 3), counts_CR.astype(int).ravel())
    found = _best_cuts(counts_CR, 4)
    for num_columns, value in enumerate(found, 2):
        every = [
            mutual_info_score(np.searchsorted(cuts, clumps_N, side="right"), rows_N)
            for cuts in combinations(range(1, 7), num_columns - 1)
        ]
        assert value == pytest.approx(max(every))
