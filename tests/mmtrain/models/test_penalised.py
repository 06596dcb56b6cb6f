"""Regressions along a path of penalties, against scikit-learn at each penalty alone."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from mmtrain.models.networks.linear import PENALTIES
from mmtrain.models.penalised import decompose, logistic_path, ridge_path

FROM_LARGEST = PENALTIES[::-1].tolist()
SHAPES = [(120, 7), (60, 90)]
"""More samples than columns, and fewer."""


def drawn(num_samples: int, num_columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return columns of different size and mean, a number to predict, and weights."""
    rng = np.random.default_rng(3)
    x_NP = rng.normal(size=(num_samples, num_columns)) * np.logspace(0, -2, num_columns) + 2
    answers = x_NP @ rng.normal(size=num_columns) + rng.normal(size=num_samples)
    return x_NP, answers, rng.uniform(0.5, 3.0, num_samples)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_is_the_ridge_regression_of_scikit_learn(shape: tuple[int, int]) -> None:
    x_NP, answers, weights = drawn(*shape)
    for fitted in ridge_path(decompose(x_NP, weights), answers, FROM_LARGEST):
        expected = Ridge(fitted.penalty, solver="svd").fit(x_NP, answers, sample_weight=weights)
        assert fitted.weights == pytest.approx(expected.coef_, rel=1e-6, abs=1e-9)
        assert fitted.bias == pytest.approx(expected.intercept_, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_is_the_logistic_regression_of_scikit_learn(shape: tuple[int, int]) -> None:
    x_NP, answers, weights = drawn(*shape)
    classes = (answers > np.quantile(answers, 0.7)).astype(float)
    for fitted in logistic_path(decompose(x_NP, weights), classes, FROM_LARGEST):
        model = LogisticRegression(C=1 / fitted.penalty, solver="newton-cholesky", tol=1e-10, max_iter=1000)
        expected = model.fit(x_NP, classes, sample_weight=weights)
        assert fitted.raw(x_NP) == pytest.approx(expected.decision_function(x_NP), rel=1e-3, abs=1e-4)


def test_columns_that_say_the_same_share_the_weight() -> None:
    x_NP, answers, weights = drawn(50, 3)
    twice = decompose(np.concatenate([x_NP, x_NP], axis=1), weights)
    for fitted in (*ridge_path(twice, answers, [1.0]), *logistic_path(twice, (answers > 0).astype(float), [1.0])):
        assert fitted.weights[:3] == pytest.approx(fitted.weights[3:], abs=1e-6)
