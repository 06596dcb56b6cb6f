import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmtrain.metrics import classification_metrics, regression_metrics

TRUTH = np.array([50.0, 60.0, 70.0, 80.0])


def test_regression_metrics_of_a_case_worked_by_hand() -> None:
    # Errors 2, -4, 0, 6: mae 3, squares sum to 56 of 500 about the mean 65.
    # Predictions 52 56 70 86 about 66: -14 -10 4 20; with -15 -5 5 15: 580; squares 712 and 500.
    found = regression_metrics(TRUTH, TRUTH + np.array([2.0, -4.0, 0.0, 6.0]))
    assert found == pytest.approx({"mae": 3.0, "r2": 1 - 56 / 500, "r": 580 / (712 * 500) ** 0.5})


def test_predicting_the_mean_is_worth_nothing() -> None:
    assert regression_metrics(TRUTH, np.full(4, 65.0)) == {"mae": 10.0, "r2": 0.0, "r": 0.0}


@given(st.floats(0.1, 10), st.floats(-100, 100))
def test_correlation_ignores_scale_and_offset_but_the_error_does_not(scale: float, offset: float) -> None:
    found = regression_metrics(TRUTH, TRUTH * scale + offset)
    assert found["r"] == pytest.approx(1.0)
    assert found["mae"] == pytest.approx(np.abs(TRUTH * (scale - 1) + offset).mean())


def test_the_error_is_in_the_targets_own_unit() -> None:
    years = regression_metrics(TRUTH, TRUTH + 1)
    months = regression_metrics(TRUTH * 12, (TRUTH + 1) * 12)
    assert months["mae"] == 12 * years["mae"] == 12.0
    assert months["r2"] == pytest.approx(years["r2"])


def test_classification_metrics_of_a_case_worked_by_hand() -> None:
    # Decided at 0.5: 1 1 0 | 1 0 0 0 0. Of 3 positives 2 found; of 5 negatives 4; 3 called positive.
    # Pairs ranked rightly: 0.9 beats 5, 0.5 beats 4 (0.6 is above), 0.2 beats 2 and ties with 1: 11.5 of 15.
    truth = np.array([1.0, 1, 1, 0, 0, 0, 0, 0])
    probability = np.array([0.9, 0.5, 0.2, 0.6, 0.3, 0.2, 0.1, 0.0])
    assert classification_metrics(truth, probability) == pytest.approx(
        {"balanced_accuracy": (2 / 3 + 4 / 5) / 2, "auc": 11.5 / 15, "f1": 2 / 3, "precision": 2 / 3, "recall": 2 / 3}
    )


def test_calling_nobody_positive_is_0_and_no_warning() -> None:
    found = classification_metrics(np.array([1.0, 0.0]), np.array([0.4, 0.1]))
    assert found == {"balanced_accuracy": 0.5, "auc": 1.0, "f1": 0.0, "precision": 0.0, "recall": 0.0}
