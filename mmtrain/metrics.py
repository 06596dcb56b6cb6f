"""How good predictions are, by scikit-learn's definitions: a metric is one function and its name in a list below.

Each takes truth and prediction of shape (N,): values in the target's own unit, or classes 0 and 1 and the probability
of class 1.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

DECISION_THRESHOLD = 0.5
"""Probability from which class 1 is decided."""
Values = NDArray[np.float64]
Metric = Callable[[Values, Values], float]


def mae(truth: Values, prediction: Values) -> float:
    """Mean absolute error, in the target's own unit."""
    return float(sk.mean_absolute_error(truth, prediction))


def r2(truth: Values, prediction: Values) -> float:
    """Coefficient of determination."""
    return float(sk.r2_score(truth, prediction))


def r(truth: Values, prediction: Values) -> float:
    """Pearson's correlation; 0 where one of the two does not vary."""
    varies = np.std(truth) > 0 and np.std(prediction) > 0
    return float(np.corrcoef(truth, prediction)[0, 1]) if varies else 0.0


def balanced_accuracy(truth: Values, probability: Values) -> float:
    """Mean of the recalls of both classes."""
    return float(sk.balanced_accuracy_score(truth.astype(int), _decided(probability)))


def auc(truth: Values, probability: Values) -> float:
    """Area under the receiver operating characteristic."""
    return float(sk.roc_auc_score(truth.astype(int), probability))


def f1(truth: Values, probability: Values) -> float:
    """Harmonic mean of precision and recall of class 1."""
    return float(sk.f1_score(truth.astype(int), _decided(probability), zero_division=0.0))


def precision(truth: Values, probability: Values) -> float:
    """Share of class 1 among those decided to be."""
    return float(sk.precision_score(truth.astype(int), _decided(probability), zero_division=0.0))


def recall(truth: Values, probability: Values) -> float:
    """Share of class 1 that is decided to be."""
    return float(sk.recall_score(truth.astype(int), _decided(probability), zero_division=0.0))


OF_VALUES: tuple[Metric, ...] = (mae, r2, r)
"""Of continuous targets, in the order of tables."""
OF_PROBABILITIES: tuple[Metric, ...] = (balanced_accuracy, auc, f1, precision, recall)
"""Of binary targets."""
IN_TARGET_UNIT = (mae.__name__,)
"""Metrics whose unit is the target's."""


def measure(metrics: Sequence[Metric], truth: Values, prediction: Values) -> dict[str, float]:
    """Return metrics by name."""
    return {metric.__name__: metric(truth, prediction) for metric in metrics}


def _decided(probability: Values) -> NDArray[np.int64]:
    return (probability >= DECISION_THRESHOLD).astype(int)
