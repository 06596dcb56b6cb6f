import json

import numpy as np
import pytest

from mmtrain.config.data import FeatureScaling
from mmtrain.data.scaling import FeatureScaler, fit_features


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


@pytest.mark.parametrize("training", [[4.0, 4.0], [0.1] * 26, [0.3, 0.1 + 0.2], [np.nan, np.nan], [4.0, np.nan]])
def test_a_feature_without_two_values_in_training_scores_nothing_whatever_comes_later(training: list[float]) -> None:
    scaler = fit_features(["a"], np.array(training)[:, None], ["a"])
    for value in (-300.0, 4.0, 1e9):
        assert scaler.scale(np.array([[value]])).tolist() == [[0.0, 0.0]]
    assert scaler.scale(np.array([[np.nan]])).tolist() == [[0.0, 1.0]]
    assert FeatureScaler.from_json(json.loads(json.dumps(scaler.to_json()))) == scaler


def test_the_least_spread_that_is_no_rounding_counts() -> None:
    scaler = fit_features(["a"], np.array([[1e6], [1e6 + 0.1]]), ["a"])
    assert scaler.scale(np.array([[1e6 + 0.1]]))[0, 0] == pytest.approx(1)


def test_raw_features_are_as_they_are_a_column_each_and_the_training_mean_where_missing() -> None:
    training = np.array([[1.0, 5.0, 4.0], [5.0, 15.0, 4.0], [np.nan, 10.0, 4.0]])
    scaler = fit_features(["a", "b", "c"], training, ["a", "c"], "raw")
    scaled = scaler.scale(np.array([[7.0, 20.0, 9.0], [np.nan, np.nan, np.nan]]))
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [[7.0, 0.0, 9.0], [3.0, 0.0, 4.0]]
    assert FeatureScaler.num_columns_of(scaler.names, "raw") == 3
    assert FeatureScaler.from_json(json.loads(json.dumps(scaler.to_json())), "raw") == scaler


def test_no_features_are_no_columns() -> None:
    assert fit_features([], np.empty((5, 0)), []).scale(np.empty((3, 0))).shape == (3, 0)


@pytest.mark.parametrize("scaling", ["standardised", "raw"])
def test_what_is_known_of_unseen_features_can_be_left_out(scaling: FeatureScaling) -> None:
    scaler = FeatureScaler(("a", "b"), (3.5, 0.05), (0.75, 0.2), (True, False), scaling)
    told = scaler.without_unseen()
    assert (told.means, told.stds) == ((3.5, 0.0), (0.75, 1.0))
    values_NF = np.array([[3.0, 1.0], [np.nan, 0.0], [4.0, np.nan]])
    np.testing.assert_array_equal(told.scale(values_NF), scaler.scale(values_NF))
