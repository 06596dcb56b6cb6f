"""Metrics of classes that were decided: where, at a probability or at the median of a continuous target, is not theirs.

Legend of shapes: N samples, D draws. A confusion matrix has true classes along rows and decided ones along columns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmtrain.metrics.metric import Classes, Metric, Scored, Values, Weights, ratio_of_draws

DECISION_THRESHOLD = 0.5
"""Probability from which class 1 is decided."""
Decided: TypeAlias = tuple[Classes, Classes]
"""True and decided class of each sample, shape (N,) each."""
Decide: TypeAlias = Callable[[Scored], Decided]
Confusions: TypeAlias = NDArray[np.float64]
"""Confusion matrices of D draws, shape (D, 2, 2)."""


@dataclass(frozen=True, slots=True)
class ClassScore:
    """A number that decided classes have."""

    of_confusions: Callable[[Confusions], Values]
    needs_both: bool = True
    """Whether both classes must be among the true ones."""


def thresholds_of(threshold: float | None) -> tuple[float, ...]:
    """Return the thresholds of decisions, `DECISION_THRESHOLD` first; the other, where there is one, was chosen."""
    return (DECISION_THRESHOLD,) if threshold is None else (DECISION_THRESHOLD, threshold)


def decided_metric(
    name: str, label: str, score: ClassScore, decide: Callable[[Scored], Decided], **more: Any
) -> Metric:
    """Return a score of decided classes as a metric; `more` are other fields of it."""

    def of(scored: Scored) -> float:
        decided = decide(scored)
        return float(score.of_confusions(confusions(decided, np.ones((1, len(decided[0])))))[0])

    def of_draws(scored: Scored, weights_DN: Weights) -> Values:
        return score.of_confusions(confusions(decide(scored), weights_DN))

    compares = (lambda scored: decide(scored)[0]) if score.needs_both else None
    return Metric(name=name, label=label, of=of, of_draws=of_draws, compares=compares, better="larger", **more)


def confusions(decided: Decided, weights_DN: Weights) -> Confusions:
    """Return the confusion matrix of each draw."""
    cells_N = 2 * decided[0] + decided[1]
    cells_N4 = (cells_N[:, None] == np.arange(4)).astype(np.float64)
    return np.reshape(weights_DN @ cells_N4, (-1, 2, 2))


def _precisions(counts_D22: Confusions) -> Values:
    """Return the precision of each class, shape (D, 2); 0 where nobody is decided to be of it."""
    return ratio_of_draws(_diagonal(counts_D22), counts_D22.sum(axis=1))


def _recalls(counts_D22: Confusions) -> Values:
    return ratio_of_draws(_diagonal(counts_D22), counts_D22.sum(axis=2))


def _f1s(counts_D22: Confusions) -> Values:
    return ratio_of_draws(2 * _diagonal(counts_D22), counts_D22.sum(axis=1) + counts_D22.sum(axis=2))


def _share_right(counts_D22: Confusions) -> Values:
    return np.asarray(_diagonal(counts_D22).sum(axis=1) / counts_D22.sum(axis=(1, 2)))


def _diagonal(counts_D22: Confusions) -> Values:
    return np.diagonal(counts_D22, axis1=1, axis2=2)


BALANCED_ACCURACY = ClassScore(lambda counts: _recalls(counts).mean(axis=1))
PRECISION = ClassScore(lambda counts: _precisions(counts)[:, 1])
RECALL = ClassScore(lambda counts: _recalls(counts)[:, 1])
F1 = ClassScore(lambda counts: _f1s(counts)[:, 1])
MACRO_PRECISION = ClassScore(lambda counts: _precisions(counts).mean(axis=1))
MACRO_RECALL = ClassScore(lambda counts: _recalls(counts).mean(axis=1))
MACRO_F1 = ClassScore(lambda counts: _f1s(counts).mean(axis=1))
MICRO_AUC = ClassScore(_share_right, needs_both=False)
"""The area under the ROC of both classes' decisions together is the share that is right."""
