"""What each participant adds to the scores of many models of one target, and the scores of drawn participants.

Every score here is a sum over samples of u_n, up to a constant that all models share, so the difference of two models
is a sum over participants too:

=================  ==================================================================================
R²                 −(prediction − truth)² / Σ (truth − mean truth)²
balanced accuracy  1 / (2 × size of the sample's class) where the sample is decided rightly
MAE                |prediction − truth| / N
AUC                (V − AUC) / size of the sample's class + AUC / N, V being the share of the other class
                   that the sample is ranked rightly against, ties for a half
=================  ==================================================================================

AUC is a sum of these only nearly: they are its first-order terms, on which its usual standard error rests.
Source: DeLong, DeLong, Clarke-Pearson 1988, Biometrics 44, 837-845; of several visits of one person: Obuchowski 1997,
Biometrics 53, 567-578.

Legend of shapes: N samples, M models, P participants, D draws.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from mmtrain.metrics.classification import DECISION_THRESHOLD
from mmtrain.metrics.metric import Values, Weights

CONTINUOUS, BINARY = "continuous", "binary"
MAIN = {CONTINUOUS: "r2", BINARY: "balanced_accuracy"}
"""The metric that cells are compared by, of each kind of target."""
METRICS = {CONTINUOUS: ("r2", "mae"), BINARY: ("balanced_accuracy", "auc")}
"""The main metric first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contributions:
    """One metric of M models on the same N samples."""

    scores_M: Values
    added_NM: Values
    """What each sample adds: the difference of two columns sums to the difference of their scores."""
    of_draws: Callable[[Weights], Values]
    """The scores (D, M) of draws, from how often each has each sample (D, N); NaN where one is not defined."""


def contributions_of(metric: str, truth_N: Values, predictions_NM: Values) -> Contributions:
    """Return one metric of many models.

    Parameters
    ----------
    truth_N
        In the target's own unit, or classes 0 and 1.
    predictions_NM
        In the same unit, or probabilities of class 1.
    """
    return _OF_METRIC[metric](truth_N, predictions_NM)


def _r2(truth_N: Values, predictions_NM: Values) -> Contributions:
    squares_NM, centred_N = (predictions_NM - truth_N[:, None]) ** 2, truth_N - truth_N.mean()
    total = (centred_N**2).sum()

    def of_draws(weights_DN: Weights) -> Values:
        totals_D = weights_DN @ centred_N**2 - (weights_DN @ centred_N) ** 2 / weights_DN.sum(axis=1)
        return 1 - _ratio(weights_DN @ squares_NM, totals_D)

    added_NM = -_ratio(squares_NM, np.full(len(truth_N), total))
    return Contributions(scores_M=1 + added_NM.sum(axis=0), added_NM=added_NM, of_draws=of_draws)


def _mae(truth_N: Values, predictions_NM: Values) -> Contributions:
    errors_NM = np.abs(predictions_NM - truth_N[:, None])
    return Contributions(
        scores_M=errors_NM.mean(axis=0),
        added_NM=errors_NM / len(truth_N),
        of_draws=lambda weights_DN: _ratio(weights_DN @ errors_NM, weights_DN.sum(axis=1)),
    )


def _balanced_accuracy(truth_N: Values, predictions_NM: Values) -> Contributions:
    is_right_NM = ((predictions_NM >= DECISION_THRESHOLD) == (truth_N == 1)[:, None]) / 2
    added_NM = _over_class_size(truth_N, is_right_NM)
    return Contributions(
        scores_M=added_NM.sum(axis=0),
        added_NM=added_NM,
        of_draws=lambda weights_DN: _class_means(truth_N, is_right_NM, weights_DN),
    )


def _auc(truth_N: Values, predictions_NM: Values) -> Contributions:
    ranked_NM = _ranked_rightly(truth_N, predictions_NM)
    auc_M = _class_means(truth_N, ranked_NM, np.ones((1, len(truth_N))))[0] / 2
    return Contributions(
        scores_M=auc_M,
        added_NM=_over_class_size(truth_N, ranked_NM - auc_M) + auc_M / len(truth_N),
        of_draws=lambda weights_DN: _class_means(truth_N, ranked_NM, weights_DN) - auc_M,
    )


_OF_METRIC: dict[str, Callable[[Values, Values], Contributions]] = {
    "r2": _r2,
    "mae": _mae,
    "balanced_accuracy": _balanced_accuracy,
    "auc": _auc,
}


def _ranked_rightly(truth_N: Values, predictions_NM: Values) -> Values:
    """Return the share of the other class that each sample is ranked rightly against, (N, M), by ranks."""
    is_one_N = truth_N == 1
    num_one, num_zero = is_one_N.sum(), (~is_one_N).sum()
    if not (num_one and num_zero):
        return np.full(predictions_NM.shape, np.nan)
    in_all_NM = rankdata(predictions_NM, axis=0)
    ranked_NM = np.empty_like(in_all_NM)
    ranked_NM[is_one_N] = (in_all_NM[is_one_N] - rankdata(predictions_NM[is_one_N], axis=0)) / num_zero
    below_NM = (in_all_NM[~is_one_N] - rankdata(predictions_NM[~is_one_N], axis=0)) / num_one
    ranked_NM[~is_one_N] = 1 - below_NM
    return ranked_NM


def _over_class_size(truth_N: Values, values_NM: Values) -> Values:
    """Return values over the number of samples of their class; NaN for one class alone."""
    is_one_N = truth_N == 1
    sizes_N = np.where(is_one_N, is_one_N.sum(), (~is_one_N).sum()).astype(np.float64)
    return values_NM / (sizes_N[:, None] if 0 < is_one_N.sum() < len(truth_N) else np.nan)


def _class_means(truth_N: Values, values_NM: Values, weights_DN: Weights) -> Values:
    """Return the sum of the two classes' means in each draw, (D, M); NaN where a draw has one class alone."""
    is_one_N: NDArray[np.bool_] = truth_N == 1
    means = [
        _ratio(weights_DN[:, members_N] @ values_NM[members_N], weights_DN[:, members_N].sum(axis=1))
        for members_N in (is_one_N, ~is_one_N)
    ]
    return means[0] + means[1]


def _ratio(part_DM: Values, whole_D: Values) -> Values:
    """Return each row over its own number; NaN where that is not above 0."""
    return part_DM / np.where(whole_D > 0, whole_D, np.nan)[:, None]
