"""Which scans of a cohort are unlike the others, by what was measured of each.

Terms
-----
spread   1.4826 times the median absolute deviation, which of a normal distribution is the standard deviation. Where
         more than half of the values are equal that is 0, and the standard deviation itself is used.
z        how many spreads a value lies from the median.
score    of a scan: the largest |z| among its measures.

Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers, ASQC 1993: values beyond 3.5 deserve a look.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MEAN_CORRELATION = "mean_correlation"
"""Measure of a scan: the correlation of its voxels or edges with the cohort's mean."""
UNUSUAL_Z = 3.5
"""A scan with a score beyond this is unusual."""
MIN_SCANS_TO_RANK = 8
"""With fewer scans a median and a spread say little."""
_FAULT_ONLY_WHERE_LOW = (MEAN_CORRELATION, "template_overlap", "registration_nmi")
_NOT_RANKED = ("flat_share",)
"""Near 0 in every image of tissue, where its spread says nothing; `mmbase.doubts` has a bound."""
_SPREAD_PER_MAD = 1.4826
_RELATIVE_ROUNDING = 1e-9
_HIGHEST_CORRELATION = 1 - 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class UnusualScan:
    """One scan and why it stands out."""

    position: int
    """Index of the scan in the cohort's measures."""
    score: float
    reasons: tuple[tuple[str, float], ...]
    """(measure, z), the largest |z| first: all beyond `UNUSUAL_Z`, or the first alone."""


def robust_z(values_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many spreads each value lies from the median; NaN where it is not finite, 0 where all are equal.

    >>> robust_z(np.array([1.0, 2.0, 3.0, 4.0, 100.0])).round(2).tolist()
    [-1.35, -0.67, 0.0, 0.67, 65.43]
    """
    z_N = np.full(len(values_N), np.nan)
    is_taken = np.isfinite(values_N)
    taken = values_N[is_taken]
    if not len(taken):
        return z_N
    centre = float(np.median(taken))
    rounding = _RELATIVE_ROUNDING * abs(centre)
    spread = _SPREAD_PER_MAD * float(np.median(np.abs(taken - centre)))
    if spread <= rounding:
        spread = float(np.std(taken))
    z_N[is_taken] = (taken - centre) / spread if spread > rounding else 0.0
    return z_N


def deviations(measure: str, values_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the z of one measure as it counts for a scan's score.

    Correlations are compared by Fisher's z, for they crowd below 1. Where only a low value is a fault, a high one is 0.
    """
    if measure == MEAN_CORRELATION:
        values_N = np.arctanh(np.clip(values_N, -_HIGHEST_CORRELATION, _HIGHEST_CORRELATION))
    z_N = robust_z(values_N)
    return np.minimum(z_N, 0.0) if measure in _FAULT_ONLY_WHERE_LOW else z_N


def rank_scans(measures: Mapping[str, NDArray[np.float64]]) -> list[UnusualScan]:
    """Order a cohort's scans by score, the most unusual first; equal scores by position.

    Parameters
    ----------
    measures
        Measure to its value of each scan, shape (N,), NaN where it was not taken.

    Returns
    -------
    list of UnusualScan
        The scans with a score above 0; none where there are fewer than `MIN_SCANS_TO_RANK`.
    """
    names = [name for name in measures if name not in _NOT_RANKED]
    z_MN = np.array([np.nan_to_num(deviations(name, measures[name])) for name in names])
    if z_MN.ndim < 2 or z_MN.shape[1] < MIN_SCANS_TO_RANK:
        return []
    scores_N = np.abs(z_MN).max(axis=0)
    return [
        UnusualScan(position=int(n), score=float(scores_N[n]), reasons=_reasons(names, z_MN[:, n]))
        for n in np.argsort(-scores_N, kind="stable")
        if scores_N[n] > 0
    ]


def _reasons(names: list[str], z_M: NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
    strongest = np.argsort(-np.abs(z_M), kind="stable")
    return tuple((names[m], float(z_M[m])) for m in strongest if abs(z_M[m]) > UNUSUAL_Z or m == strongest[0])
