import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmtrain.data.scaling import TargetScaler, fit_features, fit_target
from mmtrain.errors import TrainError


@pytest.mark.parametrize(
    ("value", "scaled"), [(40.0, -1.0), (60.0, 0.0), (80.0, 1.0), (50.0, -0.5), (10.0, -1.0), (95.0, 1.0)]
)
def test_targets_are_clamped_and_scaled_to_the_unit_interval(value: float, scaled: float) -> None:
    assert TargetScaler(40.0, 80.0).scale(np.array([value])).tolist() == [scaled]


def test_predictions_beyond_the_bounds_are_not_clamped() -> None:
    assert TargetScaler(40.0, 80.0).unscale(np.array([-1.5, 0.0, 2.0])).tolist() == [30.0, 60.0, 100.0]


@given(
    st.floats(-1e4, 1e4),
    st.floats(0.01, 1e4),
    st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=20),
)
def test_scaling_there_and_back_is_clamping(low: float, width: float, values: list[float]) -> None:
    scaler, targets = TargetScaler(low, low + width), np.asarray(values)
    back = scaler.unscale(scaler.scale(targets))
    np.testing.assert_allclose(back, np.clip(targets, low, low + width), rtol=1e-9, atol=1e-9 * (abs(low) + width))


def test_the_bounds_are_percentiles_of_the_training_targets() -> None:
    scaler = fit_target(np.arange(1001.0))
    assert (scaler.low, scaler.high) == pytest.approx((5.0, 995.0))


def test_a_target_that_never_varies_is_refused() -> None:
    with pytest.raises(TrainError, match="The target is 7 for all training samples"):
        fit_target(np.full(50, 7.0))


def test_features_become_z_scores_with_a_flag_where_missing() -> None:
    # Mean 3 and population standard deviation 2 of the first; 10 and 5 of the second, without its gap.
    training = np.array([[1.0, 5.0], [5.0, 15.0], [3.0 - 8**0.5, np.nan], [3.0 + 8**0.5, 10.0]])
    training = training[:2]
    scaler = fit_features(["a", "b"], training, ["a", "b"])
    scaled = scaler.scale(np.array([[7.0, np.nan], [np.nan, 20.0], [3.0, 10.0]]))
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [[2.0, 0.0, 0.0, 1.0], [0.0, 2.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    assert scaler.to_json() == [
        {"name": "a", "mean": 3.0, "std": 2.0, "shown": True},
        {"name": "b", "mean": 10.0, "std": 5.0, "shown": True},
    ]


def test_what_is_not_shown_is_zero_whether_known_or_missing() -> None:
    known = np.array([[1.0, 5.0], [5.0, 15.0]])
    scaler = fit_features(["a", "b"], known, ["b"])
    assert scaler.scale(np.array([[7.0, np.nan], [np.nan, 20.0]])).tolist() == [[0, 0, 0, 1], [0, 2, 0, 0]]
    unknown = fit_features(["a", "b"], np.array([[np.nan, 5.0], [np.nan, 15.0]]), ["b"])
    assert unknown.scale(np.array([[np.nan, 20.0]])).tolist() == [[0, 2, 0, 0]]


def test_gaps_in_training_do_not_count() -> None:
    scaler = fit_features(["a"], np.array([[1.0], [np.nan], [5.0]]), ["a"])
    assert (scaler.means, scaler.stds) == ((3.0,), (2.0,))


@pytest.mark.parametrize("column", [[4.0, 4.0], [np.nan, np.nan]], ids=["never varies", "never there"])
def test_a_feature_that_says_nothing_stays_finite(column: list[float]) -> None:
    scaler = fit_features(["a"], np.array(column)[:, None], ["a"])
    scaled = scaler.scale(np.array(column)[:, None])
    assert scaled[:, 0].tolist() == [0.0, 0.0]
    assert scaled[:, 1].tolist() == np.isnan(column).astype(float).tolist()


def test_no_features_are_no_columns() -> None:
    assert fit_features([], np.empty((5, 0)), []).scale(np.empty((3, 0))).shape == (3, 0)
