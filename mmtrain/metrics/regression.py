"""Metrics of continuous targets, in the target's own unit, and the published classification of them.

The published study splits truth and prediction at the training median (above it is class 1) and scores the two as
classes; its AUC is of these decisions too, which makes it the share that is right.

Legend of shapes: N samples, D draws.
"""

from dataclasses import replace

import numpy as np

from mmtrain.metrics import decisions
from mmtrain.metrics.decisions import Decided, decided_metric
from mmtrain.metrics.metric import Metric, Scored, Values, Weights, means_of_draws

_ROUNDING = 1e-12
"""Of a sum of squares: a variance below that share of it is none."""


def mae(scored: Scored) -> float:
    """Return the mean absolute error, in the target's own unit."""
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(scored.truth, scored.prediction))


def median_absolute_error(scored: Scored) -> float:
    """Return the median of the absolute errors, in the target's own unit."""
    from sklearn.metrics import median_absolute_error

    return float(median_absolute_error(scored.truth, scored.prediction))


def r2(scored: Scored) -> float:
    """Return the coefficient of determination."""
    from sklearn.metrics import r2_score

    return float(r2_score(scored.truth, scored.prediction))


def r(scored: Scored) -> float:
    """Return Pearson's correlation; 0 where one of the two does not vary."""
    varies = np.ptp(scored.truth) > 0 and np.ptp(scored.prediction) > 0
    return float(np.corrcoef(scored.truth, scored.prediction)[0, 1]) if varies else 0.0


def mae_bias_corrected(scored: Scored) -> float:
    """Return the mean absolute error of ages after `correct_age_bias`."""
    return mae(replace(scored, prediction=correct_age_bias(scored)))


def correct_age_bias(scored: Scored) -> Values:
    """Return predicted ages without their dependence on age, shape (N,): prediction + age − (slope × age + intercept).

    It needs the true age, so the error that is left is no measure of prediction: a model that predicts the same age for
    everybody has none.
    Source: Beheshti et al. 2019, NeuroImage: Clinical 24, 102063; de Lange and Cole 2020, the same 26, 102229.
    """
    bias = scored.fixed.age_bias
    assert bias is not None
    return scored.prediction + (scored.truth - (bias.slope * scored.truth + bias.intercept))


def split_at_median(scored: Scored) -> Decided:
    """Return whether truth and prediction are above the training median."""
    median = scored.fixed.training_median
    assert median is not None
    return scored.truth > median, scored.prediction > median


def _mae_of_draws(scored: Scored, weights_DN: Weights) -> Values:
    return means_of_draws(weights_DN, np.abs(scored.prediction - scored.truth))


def _corrected_of_draws(scored: Scored, weights_DN: Weights) -> Values:
    return means_of_draws(weights_DN, np.abs(correct_age_bias(scored) - scored.truth))


def _median_of_draws(scored: Scored, weights_DN: Weights) -> Values:
    errors = np.abs(scored.prediction - scored.truth)
    order = np.argsort(errors)
    ranks_DN, sorted_errors = np.cumsum(weights_DN[:, order], axis=1), errors[order]
    num_D = ranks_DN[:, -1]
    middle = [(ranks_DN <= place[:, None]).sum(axis=1) for place in ((num_D - 1) // 2, num_D // 2)]
    return np.asarray((sorted_errors[middle[0]] + sorted_errors[middle[1]]) / 2)


def _r2_of_draws(scored: Scored, weights_DN: Weights) -> Values:
    residual_D = weights_DN @ (scored.prediction - scored.truth) ** 2
    total_D = _variation(weights_DN, scored.truth)
    constant = np.where(residual_D == 0, 1.0, 0.0)  # as scikit-learn
    return np.where(total_D > 0, 1 - residual_D / np.where(total_D > 0, total_D, 1), constant)


def _r_of_draws(scored: Scored, weights_DN: Weights) -> Values:
    truth, prediction = _centred(scored.truth), _centred(scored.prediction)
    products_D = weights_DN @ (truth * prediction)
    products_D -= (weights_DN @ truth) * (weights_DN @ prediction) / weights_DN.sum(axis=1)
    squares_D = _variation(weights_DN, truth) * _variation(weights_DN, prediction)
    return np.divide(products_D, np.sqrt(squares_D), out=np.zeros_like(products_D), where=squares_D > 0)


def _variation(weights_DN: Weights, values_N: Values) -> Values:
    """Return the sum of squares about the mean of each draw; 0 where only rounding is left of it."""
    centred = _centred(values_N)
    squares_D = weights_DN @ centred**2
    about_D = squares_D - (weights_DN @ centred) ** 2 / weights_DN.sum(axis=1)
    return np.where(about_D > _ROUNDING * squares_D, about_D, 0.0)


def _centred(values_N: Values) -> Values:
    centred: Values = values_N - values_N.mean()
    return centred


def _split_metric(name: str, label: str, score: decisions.ClassScore) -> Metric:
    return decided_metric(
        f"median_split_{name}",
        f"{label}, split at the training median",
        score,
        split_at_median,
        needs="training_median",
        is_main=False,
        every_epoch=False,
    )


MAE = Metric(name="mae", label="MAE", of=mae, of_draws=_mae_of_draws, better="smaller", in_target_unit=True)
OF_VALUES = (
    MAE,
    Metric(
        name="mae_bias_corrected",
        label="MAE without age bias, no measure of prediction",
        of=mae_bias_corrected,
        of_draws=_corrected_of_draws,
        needs="age_bias",
        in_target_unit=True,
        is_main=False,
        every_epoch=False,
    ),
    Metric(
        name="median_absolute_error",
        label="median absolute error",
        of=median_absolute_error,
        of_draws=_median_of_draws,
        better="smaller",
        in_target_unit=True,
        every_epoch=False,
    ),
    Metric(name="r2", label="R²", of=r2, of_draws=_r2_of_draws, better="larger", no_skill=0.0),
    Metric(name="r", label="r", of=r, of_draws=_r_of_draws, better="larger", no_skill=0.0),
    _split_metric("balanced_accuracy", "balanced accuracy", decisions.BALANCED_ACCURACY),
    _split_metric("macro_precision", "macro precision (published as weighted)", decisions.MACRO_PRECISION),
    _split_metric("macro_recall", "macro recall (published as weighted)", decisions.MACRO_RECALL),
    _split_metric("macro_f1", "macro F1 (published as weighted)", decisions.MACRO_F1),
    _split_metric("micro_auc", "micro AUC of hard labels (published as AUC)", decisions.MICRO_AUC),
)
"""Of continuous targets, in the order of tables."""
