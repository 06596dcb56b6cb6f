"""Boosted trees as arrays, against scikit-learn's own predictions."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from mmtrain.errors import TrainError
from mmtrain.models.trees import BoostedTrees, predict_raw, read_trees, round_down, trees_of

SETTINGS: dict[str, Any] = {"max_iter": 12, "early_stopping": False, "min_samples_leaf": 5, "random_state": 0}


def samples(num: int, seed: int) -> NDArray[np.float32]:
    """Return columns of many and of few values, with gaps, one of which is only ever missing or 1."""
    rng = np.random.default_rng(seed)
    x_NF = np.c_[rng.normal(size=(num, 2)), rng.integers(0, 4, num), np.ones(num)].astype(np.float32)
    x_NF[rng.random(x_NF.shape) < 0.2] = np.nan
    return x_NF


def answers(x_NF: NDArray[np.float32]) -> NDArray[np.float64]:
    filled = np.nan_to_num(x_NF, nan=-2.0).astype(np.float64)
    return filled[:, 0] * filled[:, 2] + np.sin(3 * filled[:, 1]) + 2 * filled[:, 3]


@pytest.fixture(scope="module")
def regressor() -> HistGradientBoostingRegressor:
    x_NF = samples(600, 1)
    return HistGradientBoostingRegressor(**SETTINGS).fit(x_NF, answers(x_NF))


def test_values_are_predicted_as_by_scikit_learn_at_every_number_of_trees(regressor: Any) -> None:
    """Training samples are among those whose values equal a threshold."""
    for x_NF in (samples(600, 1), samples(400, 2)):
        ensemble = read_trees(regressor, x_NF)
        for num_trees, expected in enumerate(regressor.staged_predict(x_NF), start=1):
            assert predict_raw(ensemble.first(num_trees), x_NF) == pytest.approx(expected, abs=1e-6)
        baseline = predict_raw(ensemble.first(0), x_NF)
        assert baseline == pytest.approx(answers(samples(600, 1)).mean())


def test_classes_are_predicted_as_by_scikit_learn() -> None:
    x_NF = samples(600, 1)
    model = HistGradientBoostingClassifier(**SETTINGS).fit(x_NF, answers(x_NF) > 0)
    assert predict_raw(read_trees(model, x_NF), x_NF) == pytest.approx(model.decision_function(x_NF), abs=1e-6)


def test_ensembles_of_several_targets_have_outputs_of_their_own(regressor: Any) -> None:
    x_NF = samples(50, 3)
    ensemble = read_trees(regressor, x_NF)
    trees = trees_of(4, [ensemble.first(3), ensemble], np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 1.0]]))
    stages = list(regressor.staged_predict(x_NF))
    expected = np.c_[stages[2], -stages[-1], stages[-1]]
    assert trees(torch.from_numpy(x_NF)).detach().numpy() == pytest.approx(expected, abs=1e-6)


@given(st.floats(width=64, allow_nan=False, min_value=-1e30, max_value=1e30), st.integers(-2, 2))
def test_a_threshold_rounded_down_decides_every_float32_as_before(threshold: float, steps: int) -> None:
    (rounded,) = round_down(np.array([threshold]))
    value = np.float32(threshold)
    for _ in range(abs(steps)):
        value = np.nextafter(value, np.float32(np.sign(steps) * np.inf))
    assert (value <= rounded) == (float(value) <= threshold)


class Unlike:
    """A model of a version of scikit-learn that keeps its trees elsewhere, or otherwise."""

    def __init__(self, model: Any, **changes: Any) -> None:
        self.__dict__.update(model.__dict__ | changes)
        self.predict = model.predict


def test_trees_in_another_form_are_refused(regressor: Any) -> None:
    x_NF = samples(50, 3)
    other = [[type("Tree", (), {"nodes": tree.nodes.copy()})] for (tree,) in regressor._predictors]
    for (tree,) in other:
        tree.nodes["missing_go_to_left"] ^= 1
    fewer = [[type("Tree", (), {"nodes": tree.nodes[["value", "left"]]})] for (tree,) in regressor._predictors]
    for changes, why in (
        ({"_predictors": other}, "they predict something else"),
        ({"_predictors": fewer}, "no field of name feature_idx"),
        ({"_predictors": [(1, 2)]}, "too many values to unpack"),
    ):
        with pytest.raises(TrainError, match=rf"trees of scikit-learn \S+ are not in the form that mm reads: {why}"):
            read_trees(Unlike(regressor, **changes), x_NF)


@pytest.mark.parametrize("name", ["roots", "left", "right", "feature"])
@pytest.mark.parametrize("value", [-1, 0, 1 << 40])
def test_nodes_that_are_no_trees_are_refused(regressor: Any, name: str, value: int) -> None:
    """A child before its parent would be visited for ever."""
    ensemble = read_trees(regressor, samples(50, 3))
    trees = trees_of(4, [ensemble], np.ones((1, 1)))
    state = {key: tensor.clone() for key, tensor in trees.state_dict().items()}
    state[name][-1] = value
    copy = BoostedTrees(4, trees.num_trees, len(trees.value), 1)
    if value == 0 and name in ("roots", "feature"):  # another tree, and one all the same
        copy.load_state_dict(state)
        return
    with pytest.raises(RuntimeError, match="its nodes are no trees"):
        copy.load_state_dict(state)
