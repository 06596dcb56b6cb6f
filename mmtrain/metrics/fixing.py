"""What is fixed before the test split is looked at: a threshold and an age bias on validation, a median in training."""

import numpy as np

from mmbase.names import AGE
from mmtrain.config.data import TargetConfig
from mmtrain.metrics.classification import true_classes
from mmtrain.metrics.decisions import DECISION_THRESHOLD
from mmtrain.metrics.metric import AgeBias, Fixed, Metric, Scored, Values

YEARS = "year"
"""How the unit begins of the target whose bias by age is looked at."""
_ROUNDING = 1e-12


def fix(metrics: tuple[Metric, ...], target: TargetConfig, training_truth: Values, val: Scored) -> Fixed:
    """Fix what metrics need.

    Parameters
    ----------
    training_truth
        Labels of the training samples that have one.
    val
        The validation samples.
    """
    needs = {metric.needs for metric in metrics}
    return Fixed(
        threshold=choose_threshold(val) if "threshold" in needs else None,
        training_median=float(np.median(training_truth)) if "training_median" in needs else None,
        age_bias=fit_age_bias(val) if "age_bias" in needs and is_age(target) else None,
    )


def is_age(target: TargetConfig) -> bool:
    """Return whether a target is the age at the scan, in years."""
    return target.name == AGE and target.unit.startswith(YEARS)


def choose_threshold(val: Scored) -> float | None:
    """Return the probability from which to decide class 1 for the largest balanced accuracy; None for one class alone.

    Of several that are equally good it is the one nearest to a half.
    """
    from sklearn.metrics import roc_curve

    truth = true_classes(val)
    if len(np.unique(truth)) < 2:
        return None
    false_positive, true_positive, thresholds = roc_curve(truth, val.prediction, drop_intermediate=False)
    gain = (true_positive - false_positive)[1:]  # the first is to decide class 1 for nobody
    best = thresholds[1:][gain >= gain.max() - _ROUNDING]
    return float(best[np.argmin(np.abs(best - DECISION_THRESHOLD))])


def fit_age_bias(val: Scored) -> AgeBias | None:
    """Return the line of predicted by true age, by least squares; None where all have the same age."""
    if len(val.truth) == 0 or np.ptp(val.truth) == 0:
        return None
    slope, intercept = np.polyfit(val.truth, val.prediction, 1)
    return AgeBias(float(slope), float(intercept))
