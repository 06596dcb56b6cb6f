import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmtrain.errors import TrainError
from mmtrain.metrics.metric import Scored, measure
from mmtrain.targets.kinds.regression import Kind

TRUTH = np.array([50.0, 60.0, 70.0, 80.0])


def score(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Return the metrics that every epoch has."""
    return measure([metric for metric in Kind.metrics if metric.every_epoch], Scored(truth, prediction))


@pytest.mark.parametrize(
    ("value", "scaled"), [(40.0, -1.0), (60.0, 0.0), (80.0, 1.0), (50.0, -0.5), (10.0, -1.0), (95.0, 1.0)]
)
def test_targets_are_clamped_and_scaled_to_the_unit_interval(value: float, scaled: float) -> None:
    assert Kind(40.0, 80.0).scale(np.array([value])).tolist() == [scaled]


def test_predictions_beyond_the_bounds_are_not_clamped() -> None:
    outputs = np.array([[-1.5], [0.0], [2.0]])
    assert Kind(40.0, 80.0).predictions(outputs).tolist() == [30.0, 60.0, 100.0]


@given(
    st.floats(-1e4, 1e4),
    st.floats(0.01, 1e4),
    st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=20),
)
def test_scaling_there_and_back_is_clamping(low: float, width: float, values: list[float]) -> None:
    kind, labels = Kind(low, low + width), np.asarray(values)
    back = kind.predictions(kind.scale(labels)[:, None])
    np.testing.assert_allclose(back, np.clip(labels, low, low + width), rtol=1e-9, atol=1e-9 * (abs(low) + width))


def test_the_bounds_are_percentiles_of_the_training_labels() -> None:
    kind = Kind.fit(np.arange(1001.0), weighted=False)
    assert (kind.low, kind.high) == pytest.approx((5.0, 995.0))


def test_a_target_that_never_varies_is_refused() -> None:
    with pytest.raises(TrainError, match="The target is 7 for all training samples"):
        Kind.fit(np.full(50, 7.0), weighted=False)


def test_a_scaling_survives_the_card() -> None:
    kind = Kind(41.25, 79.0625)
    assert Kind.from_json(kind.to_json()) == kind


def test_metrics_of_a_case_worked_by_hand() -> None:
    # Errors 2, -4, 0, 6: mae 3, squares sum to 56 of 500 about the mean 65.
    # Predictions 52 56 70 86 about 66: -14 -10 4 20; with -15 -5 5 15: 580; squares 712 and 500.
    found = score(TRUTH, TRUTH + np.array([2.0, -4.0, 0.0, 6.0]))
    assert found == pytest.approx({"mae": 3.0, "r2": 1 - 56 / 500, "r": 580 / (712 * 500) ** 0.5})


def test_predicting_the_mean_is_worth_nothing() -> None:
    assert score(TRUTH, np.full(4, 65.0)) == {"mae": 10.0, "r2": 0.0, "r": 0.0}


@given(st.floats(0.1, 10), st.floats(-100, 100))
def test_correlation_ignores_scale_and_offset_but_the_error_does_not(scale: float, offset: float) -> None:
    found = score(TRUTH, TRUTH * scale + offset)
    assert found["r"] == pytest.approx(1.0)
    assert found["mae"] == pytest.approx(np.abs(TRUTH * (scale - 1) + offset).mean())


def test_the_error_is_in_the_targets_own_unit() -> None:
    years = score(TRUTH, TRUTH + 1)
    months = score(TRUTH * 12, (TRUTH + 1) * 12)
    assert months["mae"] == 12 * years["mae"] == 12.0
    assert months["r2"] == pytest.approx(years["r2"])
