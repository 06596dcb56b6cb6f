"""How far a metric would differ with other participants: percentile intervals of a bootstrap over participants.

All visits of a participant are drawn together, because they say less than as many strangers would.
Source: Efron and Tibshirani 1993, An introduction to the bootstrap, chapter 13; of clusters: Davison and Hinkley 1997,
Bootstrap methods and their application, section 3.8.

Legend of shapes: N samples, P participants, D draws.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmtrain.metrics.metric import Metric, Scored, Values, Weights, measure_draws

NUM_DRAWS = 1000
COVERAGE = 0.95
_ENDS = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)
MIN_PARTICIPANTS = 10
"""With fewer there is no interval: it would be far too narrow."""
MAX_UNDEFINED = 0.05
"""Share of draws in which a metric may not be defined, e.g. because they have one class alone."""
BLOCK_BYTES = 4 << 20
"""Of the weights that are held at once: as much as stays near the processor."""
Interval: TypeAlias = tuple[float, float] | None
"""Lower and upper end; None where it cannot be computed."""


def bootstrap(
    metrics: Sequence[Metric], scored: Scored, participants: NDArray[np.int64], seed: int
) -> dict[str, Interval]:
    """Return an interval for each metric.

    Parameters
    ----------
    participants
        Whose each sample is, shape (N,).
    """
    return _intervals(metrics, participants, seed, lambda metric, weights: measure_draws(metric, scored, weights))


def bootstrap_difference(
    metrics: Sequence[Metric], scored: Scored, other: Scored, participants: NDArray[np.int64], seed: int
) -> dict[str, Interval]:
    """Return an interval for the difference of each metric between two predictions of the same samples.

    Both are measured on the same draws, so that what makes participants hard for both does not widen it. The metrics
    of `other` are subtracted.
    """

    def difference(metric: Metric, weights_DN: Weights) -> Values:
        return measure_draws(metric, scored, weights_DN) - measure_draws(metric, other, weights_DN)

    return _intervals(metrics, participants, seed, difference)


def percentile_intervals(values_DK: Values) -> list[Interval]:
    """Return what the middle of each column's draws spans; None where too many of them are not defined."""
    is_undefined_DK = np.isnan(values_DK)
    found: list[Interval] = [None] * values_DK.shape[1]
    whole = np.flatnonzero(~is_undefined_DK.any(axis=0))
    for k, low, high in zip(whole, *np.quantile(values_DK[:, whole], _ENDS, axis=0), strict=True):
        found[k] = float(low), float(high)
    for k in np.flatnonzero(is_undefined_DK.any(axis=0)):
        defined = values_DK[~is_undefined_DK[:, k], k]
        if len(defined) >= (1 - MAX_UNDEFINED) * len(values_DK):
            low, high = np.quantile(defined, _ENDS)
            found[k] = float(low), float(high)
    return found


def _intervals(
    metrics: Sequence[Metric],
    participants: NDArray[np.int64],
    seed: int,
    of_draws: Callable[[Metric, Weights], Values],
) -> dict[str, Interval]:
    """Return an interval for what each metric is asked for of draws of participants."""
    people, person_N = np.unique(participants, return_inverse=True)
    if len(people) < MIN_PARTICIPANTS:
        return dict.fromkeys((metric.name for metric in metrics), None)
    values: dict[str, list[Values]] = {metric.name: [] for metric in metrics}
    for weights_DP in draw_people(len(people), len(person_N), seed):
        weights_DN = weights_DP[:, person_N]
        for metric in metrics:
            values[metric.name].append(of_draws(metric, weights_DN))
    of_all = [np.concatenate(of_metric) for of_metric in values.values()]
    return dict(zip(values, percentile_intervals(np.column_stack(of_all)), strict=True)) if of_all else {}


def draw_people(num_people: int, num_samples: int, seed: int) -> Iterator[Weights]:
    """Yield how often each of `NUM_DRAWS` draws has each participant, in blocks of shape (D, P)."""
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK_BYTES // (8 * num_samples))
    for start in range(0, NUM_DRAWS, block):
        num = min(block, NUM_DRAWS - start)
        drawn_DP = rng.integers(0, num_people, (num, num_people)) + num_people * np.arange(num)[:, None]
        counts = np.bincount(drawn_DP.ravel(), minlength=num * num_people)
        yield counts.reshape(num, num_people).astype(np.float64)
