"""Probabilities in bins, from which every curve of a binary target is drawn.

Terms
-----
cut      a probability that parts bins; a sample lies above it when its probability is at least as large
table    of people by class and bin: both classes have the same cuts, and a class may have cuts of its own beside them

Everything that is told of a split is read off one table in which each cell counts nobody, or ten people at least. So no
small count can be worked out by taking one curve, or one confusion matrix, from another: their differences are sums of
such cells too. Cuts come from a fixed grid, or are thresholds of decisions, and are nobody's own probability.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mmbase.disclosure import SMALLEST_COUNT, rounded
from mmtrain.aggregates.people import may_be_told, people_in_bins
from mmtrain.metrics.predicted import Predicted

MAX_BINS = 20
_ENDS = (0.001, 0.002, 0.005)
GRID = (*_ENDS, *(number / 100 for number in range(1, 100)), *(1 - end for end in reversed(_ENDS)))
"""Probabilities that may part bins: every hundredth, and finer at both ends, where rare classes lie."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreBins:
    """The table of a split, as far as it may be published."""

    decisions: tuple[tuple[float, ...], tuple[float, ...]]
    """Of class 0 and of class 1: thresholds at which their decisions may be told."""
    above_2C: NDArray[np.int64]
    """Samples of class 0 and 1 above each cut, shape (2, C), cuts falling."""
    totals: tuple[int, int]
    """Samples of both classes."""
    mean_prediction_B: NDArray[np.float64]
    """Mean probability of each bin, B = C + 1, the highest bin first; NaN of an empty one."""
    people_B: NDArray[np.int64]
    """Participants in each bin, of either class."""

    @property
    def rates(self) -> NDArray[np.float64]:
        """Return false and true positive rate from (0, 0) to (1, 1), shape (2, C + 2)."""
        edges = np.concatenate([np.zeros((2, 1)), self.above_2C, np.array(self.totals)[:, None]], axis=1)
        rates: NDArray[np.float64] = edges / np.array(self.totals)[:, None]
        return rates

    @property
    def precision_recall(self) -> NDArray[np.float64]:
        """Return recall and precision above each cut, and with everybody above, shape (2, P)."""
        above = np.concatenate([self.above_2C, np.array(self.totals)[:, None]], axis=1)
        given = above[:, above.sum(axis=0) > 0]
        return np.stack([given[1] / self.totals[1], given[1] / given.sum(axis=0)])

    @property
    def reliability(self) -> NDArray[np.float64]:
        """Return mean probability and share of class 1 of each bin that has samples, shape (2, B), rising."""
        edges = np.concatenate([np.zeros((2, 1)), self.above_2C, np.array(self.totals)[:, None]], axis=1)
        counts = np.diff(edges, axis=1)
        filled = counts.sum(axis=0) > 0
        share = counts[1, filled] / counts[:, filled].sum(axis=0)
        return np.stack([self.mean_prediction_B[filled], share])[:, ::-1]

    @property
    def people_of_reliability(self) -> NDArray[np.int64]:
        """Return how many participants each point of `reliability` is of."""
        return self.people_B[self.people_B > 0][::-1]


def bin_scores(predicted: Predicted, thresholds: Sequence[float]) -> ScoreBins | None:
    """Return the table of a split; None where a class has fewer than ten people.

    Parameters
    ----------
    thresholds
        Of decisions, the most important first: it is kept where one of them alone can be told.
    """
    classes = [predicted.select(predicted.truth == label) for label in (0.0, 1.0)]
    if any(of_class.num_participants < SMALLEST_COUNT for of_class in classes):
        return None
    own = (_accepted(classes[0], thresholds), _accepted(classes[1], thresholds))
    shared = [cut for cut in own[0] if cut in own[1]]
    smallest = len(predicted.truth) / MAX_BINS
    for cut in reversed(GRID):
        if _smallest_beside(predicted.prediction, shared, cut) >= smallest and all(
            _divides(part, [*cuts, *shared, cut]) for part, cuts in zip(classes, own, strict=True)
        ):
            shared.append(cut)
    cuts = np.array(sorted(shared, reverse=True))
    above = [[int((part.prediction >= cut).sum()) for cut in cuts] for part in classes]
    return ScoreBins(
        decisions=own,
        above_2C=np.array(above, np.int64).reshape(2, len(cuts)),
        totals=(len(classes[0].truth), len(classes[1].truth)),
        mean_prediction_B=_means(predicted.prediction, cuts),
        people_B=_people(predicted, cuts),
    )


def _smallest_beside(prediction: NDArray[np.float64], cuts: Sequence[float], cut: float) -> int:
    """Return how many samples the smaller of two bins has that another cut would leave on both its sides."""
    above = min((other for other in cuts if other > cut), default=np.inf)
    below = max((other for other in cuts if other < cut), default=-np.inf)
    return min(
        int(((prediction >= cut) & (prediction < above)).sum()), int(((prediction >= below) & (prediction < cut)).sum())
    )


def _accepted(of_class: Predicted, thresholds: Sequence[float]) -> tuple[float, ...]:
    """Return the thresholds that part people of one class into bins which may be told."""
    accepted: list[float] = []
    for threshold in thresholds:
        if threshold not in accepted and _divides(of_class, [*accepted, threshold]):
            accepted.append(threshold)
    return tuple(accepted)


def _divides(of_class: Predicted, cuts: Sequence[float]) -> bool:
    """Return whether cuts part people of one class into bins which may be told."""
    edges = np.unique(cuts)
    bins = np.searchsorted(edges, of_class.prediction, side="right")
    return may_be_told(people_in_bins(bins, of_class.participants, len(edges) + 1))


def _means(prediction: NDArray[np.float64], cuts: NDArray[np.float64]) -> NDArray[np.float64]:
    edges = [np.inf, *cuts, -np.inf]
    bins = [prediction[(prediction < high) & (prediction >= low)] for high, low in pairwise(edges)]
    return np.array([rounded(float(values.mean())) if len(values) else np.nan for values in bins])


def _people(predicted: Predicted, cuts: NDArray[np.float64]) -> NDArray[np.int64]:
    bins = np.searchsorted(cuts[::-1], predicted.prediction, side="right")  # the lowest is 0
    return people_in_bins(bins, predicted.participants, len(cuts) + 1)[::-1]
