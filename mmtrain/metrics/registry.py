"""Every metric that mm comes with, by name. A kind of target of your own may have others, which go by their names."""

from collections.abc import Iterable

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


def in_table_order(names: Iterable[str]) -> list[str]:
    """Return names of metrics in the order of tables; those that are not known here come last, as they came.

    >>> in_table_order(["pinball", "r", "mae"])
    ['mae', 'r', 'pinball']
    """
    given = dict.fromkeys(names)
    return [*(name for name in METRICS if name in given), *(name for name in given if name not in METRICS)]


def no_skill(name: str) -> float | None:
    """Return what a model that has learnt nothing comes to; None where that is not known."""
    return METRICS[name].no_skill if name in METRICS else None


def is_main(name: str) -> bool:
    """Return whether tables for people show a metric; those that are not known here are shown."""
    return name not in METRICS or METRICS[name].is_main
