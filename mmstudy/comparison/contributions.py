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

Legend of shapes: N samples, M models, D draws, S sums.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmtrain.metrics.decisions import DECISION_THRESHOLD
from mmtrain.metrics.metric import Values

CONTINUOUS, BINARY = "continuous", "binary"
MAIN = {CONTINUOUS: "r2", BINARY: "balanced_accuracy"}
"""The metric that cells are compared by, of each kind of target."""
MAIN_TITLES = {CONTINUOUS: "R²", BINARY: "balanced accuracy"}
METRICS = {CONTINUOUS: ("r2", "mae"), BINARY: ("balanced_accuracy", "auc")}
"""The main metric first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contributions:
    """One metric of M models on the same N samples."""

    added_NM: Values
    """What each sample adds: the difference of two columns sums to the difference of their scores."""
    summed_NS: Values
    """What has to be known of the samples of a draw: only its sums over them."""
    of_sums: Callable[[Values], Values]
    """The scores (D, M) from such sums (D, S); NaN where a score is not defined."""


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

    def of_sums(sums_DS: Values) -> Values:
        totals_D = sums_DS[:, -1] - sums_DS[:, -2] ** 2 / sums_DS[:, -3]
        return 1 - _ratio(sums_DS[:, :-3], totals_D)

    return Contributions(
        added_NM=-_ratio(squares_NM, np.full(len(truth_N), (centred_N**2).sum())),
        summed_NS=np.column_stack([squares_NM, np.ones_like(truth_N), centred_N, centred_N**2]),
        of_sums=of_sums,
    )


def _mae(truth_N: Values, predictions_NM: Values) -> Contributions:
    errors_NM = np.abs(predictions_NM - truth_N[:, None])
    return Contributions(
        added_NM=errors_NM / len(truth_N),
        summed_NS=np.column_stack([errors_NM, np.ones_like(truth_N)]),
        of_sums=lambda sums_DS: _ratio(sums_DS[:, :-1], sums_DS[:, -1]),
    )


def _balanced_accuracy(truth_N: Values, predictions_NM: Values) -> Contributions:
    is_right_NM = (predictions_NM >= DECISION_THRESHOLD) == (truth_N == 1)[:, None]
    half_NM = np.where(np.isnan(predictions_NM), np.nan, is_right_NM / 2)
    return Contributions(
        added_NM=_over_class_size(truth_N, half_NM), summed_NS=_by_class(truth_N, half_NM), of_sums=_sum_of_class_means
    )


def _auc(truth_N: Values, predictions_NM: Values) -> Contributions:
    ranked_NM = _ranked_rightly(truth_N, predictions_NM)
    auc_M = _over_class_size(truth_N, ranked_NM).sum(axis=0) / 2
    return Contributions(
        added_NM=_over_class_size(truth_N, ranked_NM - auc_M) + auc_M / len(truth_N),
        summed_NS=_by_class(truth_N, ranked_NM),
        of_sums=lambda sums_DS: _sum_of_class_means(sums_DS) - auc_M,
    )


_OF_METRIC: dict[str, Callable[[Values, Values], Contributions]] = {
    "r2": _r2,
    "mae": _mae,
    "balanced_accuracy": _balanced_accuracy,
    "auc": _auc,
}


def _ranked_rightly(truth_N: Values, predictions_NM: Values) -> Values:
    """Return the share of the other class that each sample is ranked rightly against, (N, M), by ranks."""
    from scipy.stats import rankdata

    is_one_N = truth_N == 1
    num_one, num_zero = is_one_N.sum(), (~is_one_N).sum()
    if not (num_one and num_zero):
        return np.full(predictions_NM.shape, np.nan)
    in_all_NM: Values = rankdata(predictions_NM, axis=0)
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


def _by_class(truth_N: Values, values_NM: Values) -> Values:
    """Return values of class 1, values of class 0, and membership of each, side by side: (N, 2 M + 2)."""
    is_one_N1 = (truth_N == 1)[:, None]
    return np.column_stack(
        [np.where(is_one_N1, values_NM, 0), np.where(is_one_N1, 0, values_NM), is_one_N1, ~is_one_N1]
    )


def _sum_of_class_means(sums_DS: Values) -> Values:
    """Return the sum of the two classes' means in each draw, (D, M); NaN where a draw has one class alone."""
    num_models = sums_DS.shape[1] // 2 - 1
    ones_DM, zeros_DM = sums_DS[:, :num_models], sums_DS[:, num_models:-2]
    return _ratio(ones_DM, sums_DS[:, -2]) + _ratio(zeros_DM, sums_DS[:, -1])


def _ratio(part_DM: Values, whole_D: Values) -> Values:
    """Return each row over its own number; NaN where that is not above 0."""
    return part_DM / np.where(whole_D > 0, whole_D, np.nan)[:, None]
