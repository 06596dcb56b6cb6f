"""Small cells stay hidden, also from whoever has the metrics; what is told is what scikit-learn says."""

from itertools import product

import numpy as np
import pytest
from sklearn import metrics as sk

from mmtrain.aggregates.decisions import decide, decided_metrics
from mmtrain.aggregates.score_bins import bin_scores
from mmtrain.metrics.predicted import Predicted

BY_SKLEARN = {
    "balanced_accuracy": sk.balanced_accuracy_score,
    "precision": lambda t, d: sk.precision_score(t, d, zero_division=0.0),
    "recall": sk.recall_score,
    "f1": lambda t, d: sk.f1_score(t, d, zero_division=0.0),
    "macro_precision": lambda t, d: sk.precision_score(t, d, average="macro", zero_division=0.0),
    "macro_recall": lambda t, d: sk.recall_score(t, d, average="macro"),
    "macro_f1": lambda t, d: sk.f1_score(t, d, average="macro", zero_division=0.0),
}


def with_counts(tn: int, fp: int, fn: int, tp: int) -> Predicted:
    truth = np.repeat([0.0, 0, 1, 1], (tn, fp, fn, tp))
    prediction = np.repeat([0.2, 0.8, 0.2, 0.8], (tn, fp, fn, tp))
    return Predicted(truth=truth, prediction=prediction, participants=np.arange(len(truth)))


@pytest.mark.parametrize("counts", [(50, 20, 30, 40), (70, 0, 35, 0), (11, 10, 0, 90)])
def test_cells_of_ten_are_told_with_the_metrics_that_follow(counts: tuple[int, int, int, int]) -> None:
    data = with_counts(*counts)
    decisions = decide(data, 0.5, bin_scores(data, (0.5,)))
    assert decisions.cells == tuple((str(a), str(b)) for a, b in (counts[:2], counts[2:])) and decisions.is_exact
    decided = (data.prediction >= 0.5).astype(int)
    for name, (low, high) in decided_metrics(decisions).items():
        assert low == high == pytest.approx(BY_SKLEARN[name](data.truth.astype(int), decided), abs=1e-12)


@pytest.mark.parametrize("small", range(1, 10))
def test_a_small_cell_reads_the_same_whatever_it_holds_and_so_do_its_metrics(small: int) -> None:
    data = with_counts(80, 20, 100 - small, small)
    decisions = decide(data, 0.5, bin_scores(data, (0.5,)))
    assert decisions.cells == (("80", "20"), (">90", "<10")) and decisions.shares[1] == ("", "")
    low, high = decided_metrics(decisions)["recall"]
    assert (low, high) == (0.01, 0.09)
    other = with_counts(80, 20, 95, 5)
    assert decided_metrics(decide(other, 0.5, bin_scores(other, (0.5,)))) == decided_metrics(decisions)


def test_the_ranges_are_those_of_every_matrix_that_fits() -> None:
    data = with_counts(46, 4, 57, 3)
    found = decided_metrics(decide(data, 0.5, bin_scores(data, (0.5,))))
    truth = np.repeat([0, 1], (50, 60))
    values = [
        sk.f1_score(truth, np.repeat([0, 1, 0, 1], (50 - fp, fp, 60 - tp, tp)))
        for fp, tp in product(range(1, 10), repeat=2)
    ]
    assert found["f1"] == pytest.approx((min(values), max(values)))


def test_people_with_several_visits_give_no_range() -> None:
    data = with_counts(80, 20, 94, 6)
    twice = Predicted(truth=data.truth, prediction=data.prediction, participants=np.arange(200) // 2)
    decisions = decide(twice, 0.5, bin_scores(twice, (0.5,)))
    assert decisions.cells[1] == (">90", "<10") and decided_metrics(decisions) == {}


def test_a_class_of_a_few_hides_everything_and_the_internal_page_hides_nothing() -> None:
    data = with_counts(80, 20, 4, 3)
    assert decide(data, 0.5, bin_scores(data, (0.5,))).cells == (("hidden", "hidden"),) * 2
    assert decide(data, 0.5, None, exact=True).cells == (("80", "20"), ("4", "3"))
