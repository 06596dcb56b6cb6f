"""Every metric that mm comes with, by name. A kind of target of your own may have others, which go by their names."""

from mmtrain.metrics.classification import OF_PROBABILITIES
from mmtrain.metrics.metric import Metric
from mmtrain.metrics.regression import OF_VALUES

METRICS: dict[str, Metric] = {metric.name: metric for metric in (*OF_VALUES, *OF_PROBABILITIES)}
"""In the order of tables."""


def label_of(name: str, unit: str = "") -> str:
    """Return what a metric is called for people, with its unit where that is the target's.

    >>> label_of("mae", "years"), label_of("auc", "1 yes"), label_of("pinball")
    ('MAE (years)', 'AUC', 'pinball')
    """
    metric = METRICS.get(name)
    if metric is None:
        return name
    return f"{metric.label} ({unit})" if metric.in_target_unit and unit else metric.label


def is_main(name: str) -> bool:
    """Return whether tables for people show a metric; those that are not known here are shown."""
    return name not in METRICS or METRICS[name].is_main
