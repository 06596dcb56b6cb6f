"""How good predictions are, by scikit-learn's definitions."""

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

DECISION_THRESHOLD = 0.5


def regression_metrics(truth: NDArray[np.float64], prediction: NDArray[np.float64]) -> dict[str, float]:
    """Return mae in the target's own unit, r2 (coefficient of determination) and r (Pearson)."""
    varies = np.std(truth) > 0 and np.std(prediction) > 0
    return {
        "mae": float(sk.mean_absolute_error(truth, prediction)),
        "r2": float(sk.r2_score(truth, prediction)),
        "r": float(np.corrcoef(truth, prediction)[0, 1]) if varies else 0.0,
    }


def classification_metrics(truth: NDArray[np.float64], probability: NDArray[np.float64]) -> dict[str, float]:
    """Return balanced_accuracy, auc, f1, precision and recall of class 1, decided at a probability of 0.5."""
    decided = (probability >= DECISION_THRESHOLD).astype(int)
    labels = truth.astype(int)
    return {
        "balanced_accuracy": float(sk.balanced_accuracy_score(labels, decided)),
        "auc": float(sk.roc_auc_score(labels, probability)),
        "f1": float(sk.f1_score(labels, decided, zero_division=0.0)),
        "precision": float(sk.precision_score(labels, decided, zero_division=0.0)),
        "recall": float(sk.recall_score(labels, decided, zero_division=0.0)),
    }
