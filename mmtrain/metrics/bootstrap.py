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
MIN_PARTICIPANTS = 10
"""With fewer there is no interval: it would be far too narrow."""
MAX_UNDEFINED = 0.05
"""Share of draws in which a metric may not be defined, e.g. because they have one class alone."""
BLOCK_BYTES = 16 << 20
"""Of the weights that are held at once."""
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


def percentile_interval(values_D: Values) -> Interval:
    """Return what the middle of the draws spans; None where too many of them are not defined."""
    defined = values_D[~np.isnan(values_D)]
    if len(defined) < (1 - MAX_UNDEFINED) * len(values_D):
        return None
    low, high = np.quantile(defined, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)


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
    return {name: percentile_interval(np.concatenate(of_metric)) for name, of_metric in values.items()}


def draw_people(num_people: int, num_samples: int, seed: int) -> Iterator[Weights]:
    """Yield how often each of `NUM_DRAWS` draws has each participant, in blocks of shape (D, P)."""
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK_BYTES // (8 * num_samples))
    for start in range(0, NUM_DRAWS, block):
        num = min(block, NUM_DRAWS - start)
        drawn_DP = rng.integers(0, num_people, (num, num_people)) + num_people * np.arange(num)[:, None]
        counts = np.bincount(drawn_DP.ravel(), minlength=num * num_people)
        yield counts.reshape(num, num_people).astype(np.float64)
