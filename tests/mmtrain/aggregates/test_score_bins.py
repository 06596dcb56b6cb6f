"""What is told of probabilities is one table without small cells, and its curves are points of the exact ones."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_score, recall_score, roc_curve

from mmtrain.aggregates.score_bins import ScoreBins, bin_scores
from mmtrain.metrics.predicted import Predicted


def predicted(n: int, seed: int, share: float = 0.5, effect: float = 1.5, visits: int = 1) -> Predicted:
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < share).astype(float)
    prediction = 1 / (1 + np.exp(-rng.normal(effect * (truth - 0.5), 1)))
    return Predicted(truth=truth, prediction=prediction, participants=np.arange(n) // visits)


def people(data: Predicted, label: int, cuts: list[float]) -> list[int]:
    """Count people of a class between cuts, in a loop of its own."""
    edges = [-1.0, *sorted(cuts), 2.0]
    chosen = data.truth == label
    return [
        len(set(data.participants[chosen & (data.prediction >= low) & (data.prediction < high)]))
        for low, high in pairwise(edges)
    ]


def shared_cuts(data: Predicted, bins: ScoreBins) -> list[float]:
    """Find cuts that have the counts which are told."""
    candidates = np.unique(np.concatenate([data.prediction, [np.inf]]))
    found = []
    for column in bins.above_2C.T:
        above = [[int(((data.truth == c) & (data.prediction >= cut)).sum()) for c in (0, 1)] for cut in candidates]
        found.append(float(candidates[above.index(column.tolist())]))
    return found


@given(
    st.integers(40, 500),
    st.integers(0, 1000),
    st.floats(0.05, 0.95),
    st.floats(0, 4),
    st.floats(0.02, 0.98),
    st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_no_two_things_that_are_told_differ_by_fewer_than_ten_people(
    n: int, seed: int, share: float, effect: float, chosen: float, visits: int
) -> None:
    data = predicted(n, seed, share, effect, visits)
    bins = bin_scores(data, (0.5, chosen))
    if bins is None:
        assert min(len(set(data.participants[data.truth == label])) for label in (0, 1)) < 10
        return
    cuts = shared_cuts(data, bins)
    for label in (0, 1):
        told = people(data, label, [*cuts, *bins.decisions[label]])
        assert all(number == 0 or number >= 10 for number in told)


def test_the_curve_runs_through_points_of_the_exact_one() -> None:
    data = predicted(2000, 3)
    bins = bin_scores(data, (0.5,))
    assert bins is not None
    false, true, _ = roc_curve(data.truth, data.prediction, drop_intermediate=False)
    exact = set(zip(false.round(9), true.round(9), strict=True))
    assert {tuple(point) for point in bins.rates.T.round(9)} <= exact
    assert 10 < bins.rates.shape[1] <= 23
    decided = (data.prediction >= 0.5).astype(int)
    recall, precision = recall_score(data.truth, decided), precision_score(data.truth, decided)
    assert any(np.allclose(point, (recall, precision)) for point in bins.precision_recall.T)


def test_calibrated_probabilities_lie_on_the_diagonal() -> None:
    rng = np.random.default_rng(1)
    prediction = rng.random(20_000)
    truth = (rng.random(20_000) < prediction).astype(float)
    bins = bin_scores(Predicted(truth=truth, prediction=prediction, participants=np.arange(20_000)), (0.5,))
    assert bins is not None
    probability, share = bins.reliability
    assert np.abs(probability - share).max() < 0.06 and (np.diff(probability) > 0).all()


def test_participants_of_each_point_are_counted_once_whatever_their_visits_and_classes() -> None:
    data = predicted(900, 8, visits=3)
    bins = bin_scores(data, (0.5,))
    assert bins is not None
    edges = [-1.0, *sorted(set(shared_cuts(data, bins))), 2.0]
    counted = [
        len(set(data.participants[(data.prediction >= low) & (data.prediction < high)]))
        for low, high in pairwise(edges)
    ]
    assert bins.people_of_reliability.tolist() == counted and len(counted) == bins.reliability.shape[1] > 5


def test_a_threshold_beside_another_is_told_for_neither_class_that_has_few_between() -> None:
    data = predicted(400, 5)
    bins = bin_scores(data, (0.5, 0.5001))
    assert (bins is not None and bins.decisions == ((0.5, 0.5001), (0.5, 0.5001))) or bins.decisions == ((0.5,), (0.5,))


@pytest.mark.parametrize("share", [0.0, 0.02, 1.0])
def test_a_class_of_a_few_people_is_not_told_of(share: float) -> None:
    assert bin_scores(predicted(200, 2, share), (0.5,)) is None
