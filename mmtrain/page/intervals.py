"""95 % intervals by formula, for runs that kept none: older ones, and those some of whose people have withdrawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import atanh, sqrt, tanh

from mmtrain.aggregates.scored import Scored

_Z = 1.959963984540054
"""Of the normal distribution, for 95 %."""
MIN_PEOPLE = 10


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends of a 95 % interval."""

    low: float
    high: float

    def includes(self, value: float) -> bool:
        """Return whether a value lies inside."""
        return self.low <= value <= self.high

    @property
    def width(self) -> float:
        """Return how far apart both ends are."""
        return self.high - self.low


def closed_form_intervals(metrics: Mapping[str, float], scored: Scored | None) -> dict[str, Interval]:
    """Return the intervals of those metrics that have a formula; none of fewer than ten people.

    People count, not their visits.
    """
    if scored is None or scored.num_participants < MIN_PEOPLE:
        return {}
    n = scored.num_participants
    found: dict[str, Interval] = {}
    if "auc" in metrics:
        num_positive = scored.select(scored.truth == 1).num_participants
        found["auc"] = auc_interval(metrics["auc"], num_positive, max(1, n - num_positive))
    if "r" in metrics:
        found["r"] = correlation_interval(metrics["r"], n)
    if "r2" in metrics:
        found["r2"] = r2_interval(metrics["r2"], n)
    return found


def auc_interval(auc: float, num_positive: int, num_negative: int) -> Interval:
    """Return the interval of an area under the curve.

    Source: Hanley and McNeil, Radiology 1982, 143:29-36.

    >>> auc_interval(0.8, 50, 50)
    Interval(low=0.71..., high=0.88...)
    """
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    of_pairs = auc * (1 - auc) + (num_positive - 1) * (q1 - auc**2) + (num_negative - 1) * (q2 - auc**2)
    error = _Z * sqrt(max(0.0, of_pairs) / max(1, num_positive * num_negative))
    return Interval(max(0.0, auc - error), min(1.0, auc + error))


def correlation_interval(r: float, n: int) -> Interval:
    """Return the interval of Pearson's correlation, by Fisher's transform.

    >>> correlation_interval(0.0, 100)
    Interval(low=-0.196..., high=0.196...)
    """
    z, error = atanh(min(max(r, -0.999999), 0.999999)), _Z / sqrt(max(1, n - 3))
    return Interval(tanh(z - error), tanh(z + error))


def r2_interval(r2: float, n: int) -> Interval:
    """Return the interval of the coefficient of determination.

    Source: Olkin and Finn, Psychological Bulletin 1995, 118:155-164, for R² of 0 to 1; below 0 the width at 0.1 stands
    in, for no formula fits.
    """
    share = min(max(abs(r2), 0.1), 1.0)
    error = _Z * sqrt(4 * share * (1 - share) ** 2 / n)
    return Interval(r2 - error, min(1.0, r2 + error))
