"""What a metric is: a name, a label, a function, and what that function needs beside truth and prediction.

Terms
-----
fixed    what is decided before the samples that are judged are looked at: on validation or training samples.
draw     a sample of participants with replacement. Its weights say how often it has each sample.

Legend of shapes: N samples, D draws.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float64]
Classes: TypeAlias = NDArray[np.bool_]
"""Whether each sample is of class 1, shape (N,)."""
Weights: TypeAlias = NDArray[np.float64]
"""How often each draw has each sample, whole numbers of shape (D, N)."""


@dataclass(frozen=True, slots=True)
class AgeBias:
    """The line by which predicted ages depend on true ones: prediction = slope × age + intercept."""

    slope: float
    intercept: float
    """In years."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fixed:
    """What was fixed on other samples than those that are judged; None where it does not apply."""

    threshold: float | None = None
    """Probability from which class 1 is decided; chosen on validation."""
    training_median: float | None = None
    """Of the training labels, in the target's unit."""
    age_bias: AgeBias | None = None
    """Fitted on validation."""


NOTHING_FIXED = Fixed()


@dataclass(frozen=True, slots=True)
class Scored:
    """What metrics look at: predictions of N samples beside the truth, and what was fixed beforehand."""

    truth: Values
    """In the target's own unit, or classes 0 and 1."""
    prediction: Values
    """In the target's own unit, or probabilities of class 1."""
    fixed: Fixed = NOTHING_FIXED


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One way to judge predictions."""

    name: str
    """As in metrics.json, the catalogue and `mm runs --sort`."""
    label: str
    """For people."""
    of: Callable[[Scored], float]
    """The number, by scikit-learn where it has it."""
    of_draws: Callable[[Scored, Weights], Values] | None = None
    """The same of D draws at once, shape (D,), for speed; left out: `of` is asked for each."""
    needs: Literal["threshold", "training_median", "age_bias"] | None = None
    """Field of `Fixed` without which there is no such number."""
    compares: Callable[[Scored], Classes] | None = None
    """Classes that must both be among the samples; otherwise the number is not defined."""
    better: Literal["larger", "smaller"] | None = None
    """None: neither; it describes the samples."""
    no_skill: float | None = None
    """What a model that has learnt nothing comes to, where that is the same for all targets."""
    in_target_unit: bool = False
    is_main: bool = True
    """Whether tables for people show it; metrics.json has all."""
    every_epoch: bool = True
    """Whether metrics.jsonl has it for each epoch."""


def applicable(metrics: Sequence[Metric], fixed: Fixed) -> list[Metric]:
    """Return the metrics that have what they need."""
    return [metric for metric in metrics if metric.needs is None or getattr(fixed, metric.needs) is not None]


def measure(metrics: Sequence[Metric], scored: Scored) -> dict[str, float]:
    """Return metrics by name; NaN where one is not defined for these samples."""
    return {metric.name: metric.of(scored) if _has_both_classes(metric, scored) else float("nan") for metric in metrics}


def measure_draws(metric: Metric, scored: Scored, weights_DN: Weights) -> Values:
    """Return a metric of each draw, shape (D,); NaN where it is not defined."""
    if metric.of_draws is None:
        return np.array([measure([metric], _drawn(scored, weights))[metric.name] for weights in weights_DN])
    values = metric.of_draws(scored, weights_DN)
    if metric.compares is None:
        return values
    num_ones, num = weights_DN @ metric.compares(scored), weights_DN.sum(axis=1)
    return np.where((num_ones > 0) & (num_ones < num), values, np.nan)


def means_of_draws(weights_DN: Weights, values_N: Values) -> Values:
    """Return the mean of some values of the samples in each draw, shape (D,)."""
    return np.asarray(weights_DN @ values_N / weights_DN.sum(axis=1))


def ratio_of_draws(part: Values, whole: Values) -> Values:
    """Return part over whole, 0 where there is no whole; of equal shapes."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def _has_both_classes(metric: Metric, scored: Scored) -> bool:
    return metric.compares is None or len(np.unique(metric.compares(scored))) == 2


def _drawn(scored: Scored, weights: Values) -> Scored:
    """Return the samples of one draw, each as often as it was drawn."""
    times = weights.astype(np.int64)
    return Scored(np.repeat(scored.truth, times), np.repeat(scored.prediction, times), scored.fixed)
