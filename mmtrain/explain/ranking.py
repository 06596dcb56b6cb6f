"""Which features, regions or inputs account for most, with intervals over participants.

Legend of shapes: N samples, P parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mmtrain.explain.attribution import Floats
from mmtrain.metrics.bootstrap import Interval, bootstrap
from mmtrain.metrics.metric import Metric, Scored, Weights, means_of_draws


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedPart:
    """One part of the inputs; numbers are in the unit of what is explained."""

    name: str
    mean_size: float
    """Mean over samples of the absolute attribution."""
    interval: Interval
    """Of it, 95 %; None: fewer than ten people."""
    mean: float
    """Mean over samples of the attribution with its sign."""


def rank_parts(
    names: Sequence[str], values_NP: Floats, sizes_NP: Floats, participants: NDArray[np.int64], seed: int
) -> list[RankedPart]:
    """Return the parts by their mean absolute attribution, the largest first.

    Parameters
    ----------
    values_NP, sizes_NP
        Attribution of each part, and what its absolute value is taken to be.
    participants
        Whose each sample is, shape (N,).
    """
    metrics = [
        Metric(name=name, label=name, of=partial(_mean, sizes), of_draws=partial(_means_of_draws, sizes))
        for name, sizes in zip(names, sizes_NP.T, strict=True)
    ]
    nothing = np.zeros(len(values_NP))
    intervals = bootstrap(metrics, Scored(nothing, nothing), participants, seed)
    parts = [
        RankedPart(name=name, mean_size=float(sizes.mean()), interval=intervals[name], mean=float(values.mean()))
        for name, values, sizes in zip(names, values_NP.T, sizes_NP.T, strict=True)
    ]
    return sorted(parts, key=lambda part: -part.mean_size)


def _mean(values_N: Floats, _: Scored) -> float:
    return float(values_N.mean())


def _means_of_draws(values_N: Floats, _: Scored, weights_DN: Weights) -> Floats:
    return means_of_draws(weights_DN, values_N)
