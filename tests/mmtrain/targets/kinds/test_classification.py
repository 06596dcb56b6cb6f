import numpy as np
import pytest

from mmtrain.errors import TrainError
from mmtrain.metrics.metric import Scored, measure
from mmtrain.targets.kinds.classification import Kind


def score(truth: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Return the metrics that every epoch has."""
    return measure([metric for metric in Kind.metrics if metric.every_epoch], Scored(truth, probability))


def test_metrics_of_a_case_worked_by_hand() -> None:
    # Decided at 0.5: 1 1 0 | 1 0 0 0 0. Of 3 positives 2 found; of 5 negatives 4; 3 called positive.
    # Pairs ranked rightly: 0.9 beats 5, 0.5 beats 4 (0.6 is above), 0.2 beats 2 and ties with 1: 11.5 of 15.
    truth = np.array([1.0, 1, 1, 0, 0, 0, 0, 0])
    probability = np.array([0.9, 0.5, 0.2, 0.6, 0.3, 0.2, 0.1, 0.0])
    expected = {"balanced_accuracy": (2 / 3 + 4 / 5) / 2, "auc": 11.5 / 15, "f1": 2 / 3, "precision": 2 / 3}
    assert score(truth, probability) == pytest.approx({**expected, "recall": 2 / 3})


def test_calling_nobody_positive_is_0_and_no_warning() -> None:
    found = score(np.array([1.0, 0.0]), np.array([0.4, 0.1]))
    assert found == {"balanced_accuracy": 0.5, "auc": 1.0, "f1": 0.0, "precision": 0.0, "recall": 0.0}


def test_one_class_alone_cannot_be_weighted() -> None:
    with pytest.raises(TrainError, match="nothing to learn"):
        Kind.fit(np.ones(5), weighted=True)


def test_a_prediction_is_the_probability_of_class_1_whatever_its_weight() -> None:
    outputs = np.array([[0.0, 0.0], [-30.0, 30.0], [30.0, -30.0], [0.0, 30.0]])
    expected = [0.5, 1.0, 0.0, 2 / 3]
    for kind in (Kind(), Kind.fit(np.array([0.0, 0, 0, 1]), weighted=True)):
        assert kind.predictions(outputs).tolist() == pytest.approx(expected, abs=1e-9)
