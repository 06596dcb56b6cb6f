"""What samples add to scores, against the metrics of runs."""

import numpy as np
import pytest

from mmstudy.comparison.contributions import contributions_of
from mmtrain.metrics.metric import Scored, measure, measure_draws
from mmtrain.metrics.registry import METRICS

N, M, D = 120, 3, 40
RNG = np.random.default_rng(3)
WEIGHTS_DN = np.stack([np.bincount(RNG.integers(0, N, N), minlength=N) for _ in range(D)]).astype(float)
VALUES = RNG.normal(50, 10, N)
CLASSES = (RNG.random(N) < 0.3).astype(float)
OF_VALUES = VALUES[:, None] + RNG.normal(0, 8, (N, M))
OF_CLASSES = np.round(np.clip(0.2 + 0.3 * CLASSES[:, None] + RNG.normal(0, 0.3, (N, M)), 0, 1), 1)  # with ties


@pytest.mark.parametrize("name", ["r2", "mae", "balanced_accuracy", "auc"])
def test_scores_and_differences_are_those_of_the_metric(name: str) -> None:
    truth, predictions = (VALUES, OF_VALUES) if name in ("r2", "mae") else (CLASSES, OF_CLASSES)
    expected = [measure([METRICS[name]], Scored(truth, of_model))[name] for of_model in predictions.T]
    found = contributions_of(name, truth, predictions)
    np.testing.assert_allclose(found.of_sums(found.summed_NS.sum(axis=0, keepdims=True))[0], expected, rtol=1e-12)
    added = found.added_NM.sum(axis=0)
    np.testing.assert_allclose(added[1:] - added[0], np.subtract(expected[1:], expected[0]), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "tolerance"), [("r2", 1e-12), ("mae", 1e-12), ("balanced_accuracy", 1e-12), ("auc", 0.02)]
)
def test_draws_are_those_of_the_metric_and_of_auc_to_first_order(name: str, tolerance: float) -> None:
    truth, predictions = (VALUES, OF_VALUES) if name in ("r2", "mae") else (CLASSES, OF_CLASSES)
    expected = [measure_draws(METRICS[name], Scored(truth, of_model), WEIGHTS_DN) for of_model in predictions.T]
    found = contributions_of(name, truth, predictions)
    drawn = found.of_sums(WEIGHTS_DN @ found.summed_NS)
    np.testing.assert_allclose(drawn, np.stack(expected, axis=1), atol=tolerance)
    assert np.std(drawn, axis=0).min() > 5 * tolerance or tolerance > 1e-6


def test_a_draw_with_one_class_defines_neither_balanced_accuracy_nor_auc() -> None:
    only_ones = CLASSES[None, :]
    for name in ("balanced_accuracy", "auc"):
        found = contributions_of(name, CLASSES, OF_CLASSES)
        assert np.isnan(found.of_sums(only_ones @ found.summed_NS)).all()


def test_a_missing_prediction_makes_the_scores_of_its_model_alone_unknown() -> None:
    holed = OF_CLASSES.copy()
    holed[5, 1] = np.nan
    for name in ("balanced_accuracy", "auc"):
        found = contributions_of(name, CLASSES, holed)
        scores = found.of_sums(found.summed_NS.sum(axis=0, keepdims=True))[0]
        assert np.isnan(scores[1]) and np.isfinite(scores[[0, 2]]).all()
