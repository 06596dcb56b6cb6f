"""Compare many columns with many others over the drawn samples.

A pair of columns is compared over the samples that have both. Products of whole matrices tell which pairs can reach a
bound, and only those are looked at one by one: 500 columns make a quarter of a million pairs.

Shapes: S samples, F features, T targets, I inputs. NaN: the sample has no value.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from catalog.audit.scope import Scope
from catalog.statements import fetch_frame

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
_ROUNDING = 1e-6
"""Far above what a sum over the drawn samples loses to rounding."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The values of some features in the drawn samples."""

    names: tuple[str, ...]
    values_SF: Floats

    def of(self, names: Sequence[str]) -> "Drawn":
        """Return some of the features, by name."""
        places = {name: place for place, name in enumerate(self.names)}
        return Drawn(tuple(sorted(names)), self.values_SF[:, [places[name] for name in sorted(names)]])

    def labels(self) -> "Drawn":
        """Return only values of 0 and 1."""
        return Drawn(self.names, np.where(np.isin(self.values_SF, (0.0, 1.0)), self.values_SF, np.nan))


def fetch_drawn(scope: Scope, names: Sequence[str]) -> Drawn:
    """Return the drawn samples' values of some features; what nobody has is all missing."""
    names = tuple(dict.fromkeys(names))
    query = "SELECT row, name, value FROM audit_drawn WHERE list_contains($names, name) AND isfinite(value)"
    long = fetch_frame(scope.connection, query, {"names": list(names)})
    rows, places = np.unique(long["row"].to_numpy(), return_inverse=True)
    features = long["name"].cast(pl.Enum(names)).to_physical().to_numpy()
    values_SF = np.full((len(rows), len(names)), np.nan)
    values_SF[places, features] = long["value"].to_numpy()
    return Drawn(names, values_SF)


def correlations(targets: Drawn, inputs: Drawn, *, least: float) -> Iterator[tuple[str, str, int, float]]:
    """Yield target, input, samples that have both, and r of every pair whose correlation is so strong or stronger."""
    for target, name, truth, values in _pairs(targets, inputs, _can_correlate(targets, inputs, least)):
        r = _correlation(truth, values)
        if r is not None and abs(r) >= least:
            yield target, name, len(truth), r


def separations(
    targets: Drawn, inputs: Drawn, *, auc: float, r: float
) -> Iterator[tuple[str, str, list[int], float, float | None]]:
    """Yield target, input, samples of class 0 and 1, AUC and r of every pair that can reach one of the two bounds."""
    labels = targets.labels()
    likely_TI = _can_correlate(labels, inputs, r) | _can_separate(labels, inputs, auc)
    for target, name, truth, values in _pairs(labels, inputs, likely_TI):
        zeros, ones = np.sort(values[truth == 0]), values[truth == 1]
        if len(zeros) and len(ones):
            below = zeros.searchsorted(ones, "left").sum() + zeros.searchsorted(ones, "right").sum()  # ties are halved
            found = float(below) / (2 * len(zeros) * len(ones))
            yield target, name, [len(zeros), len(ones)], found, _correlation(truth, values)


def presence(targets: Drawn, inputs: Drawn) -> Iterator[tuple[str, str, list[int], list[int]]]:
    """Yield target, input, samples of class 0 and 1, and how many of these have the input, for every pair."""
    present_SI = _present(inputs)
    classes = [(targets.values_SF == label).astype(np.float64) for label in (0.0, 1.0)]
    totals_CT = np.array([of_class_ST.sum(axis=0) for of_class_ST in classes]).astype(int)
    counts_CTI = np.array([of_class_ST.T @ present_SI for of_class_ST in classes]).astype(int)
    for t, target in enumerate(targets.names):
        for i, name in enumerate(inputs.names):
            if name != target:
                yield target, name, totals_CT[:, t].tolist(), counts_CTI[:, t, i].tolist()


def _pairs(targets: Drawn, inputs: Drawn, likely_TI: Mask) -> Iterator[tuple[str, str, Floats, Floats]]:
    """Yield the values of likely pairs, in the samples that have both."""
    for t, i in np.argwhere(likely_TI).tolist():
        truth, values = targets.values_SF[:, t], inputs.values_SF[:, i]
        both = ~(np.isnan(truth) | np.isnan(values))
        if targets.names[t] != inputs.names[i]:
            yield targets.names[t], inputs.names[i], truth[both], values[both]


def _correlation(one: Floats, other: Floats) -> float | None:
    """Return Pearson's r; None where one of the two does not vary."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(one, other)[0, 1])


def _can_correlate(targets: Drawn, inputs: Drawn, least: float) -> Mask:
    """Tell which pairs can have so strong a correlation; where rounding hides it, they can."""
    present_ST, present_SI = _present(targets), _present(inputs)
    scores_ST, scores_SI = _scores(targets), _scores(inputs)
    num_TI = np.maximum(present_ST.T @ present_SI, 1)
    sum_TI, other_sum_TI = scores_ST.T @ present_SI, present_ST.T @ scores_SI
    squares_TI, other_squares_TI = (scores_ST**2).T @ present_SI, present_ST.T @ scores_SI**2
    spread_TI, other_spread_TI = squares_TI - sum_TI**2 / num_TI, other_squares_TI - other_sum_TI**2 / num_TI
    common_TI = scores_ST.T @ scores_SI - sum_TI * other_sum_TI / num_TI
    is_hidden_TI = (spread_TI <= _ROUNDING * squares_TI) | (other_spread_TI <= _ROUNDING * other_squares_TI)
    bound_TI = (least - _ROUNDING) * np.sqrt(np.maximum(spread_TI * other_spread_TI, 0))
    vary_TI = np.outer(_varies(targets), _varies(inputs))
    return np.asarray(vary_TI & (is_hidden_TI | (np.abs(common_TI) >= bound_TI)), dtype=np.bool_)


def _can_separate(labels: Drawn, inputs: Drawn, auc: float) -> Mask:
    """Tell by ranks among all values of an input which pairs can have so high an AUC, or so low a one.

    With n values of samples that have the target and m of those that have not, it needs mean ranks of the classes that
    differ by (AUC - 0.5) n - (1 - AUC) m, since those m add to what concordant pairs differ by, and take it from
    discordant ones.
    """
    present_SI = _present(inputs)
    ranks = pl.from_numpy(inputs.values_SF, schema=list(inputs.names)).fill_nan(None).select(pl.all().rank("average"))
    ranks_SI = np.nan_to_num(ranks.to_numpy().astype(np.float64))
    num_of_class, mean_rank = [], []
    for label in (0.0, 1.0):
        of_class_ST = (labels.values_SF == label).astype(np.float64)
        num_of_class.append(of_class_ST.T @ present_SI)
        mean_rank.append(of_class_ST.T @ ranks_SI / np.maximum(num_of_class[-1], 1))
    num_TI = num_of_class[0] + num_of_class[1]
    bound_TI = (auc - 0.5) * num_TI - (1 - auc) * (present_SI.sum(axis=0) - num_TI)
    has_both_TI = (num_of_class[0] > 0) & (num_of_class[1] > 0)
    far_TI = np.abs(mean_rank[1] - mean_rank[0]) >= bound_TI - _ROUNDING
    return np.asarray(has_both_TI & far_TI & _varies(inputs), dtype=np.bool_)


def _present(drawn: Drawn) -> Floats:
    return (~np.isnan(drawn.values_SF)).astype(np.float64)


def _varies(drawn: Drawn) -> Mask:
    values_SF = drawn.values_SF
    highest = np.where(np.isnan(values_SF), -np.inf, values_SF).max(axis=0, initial=-np.inf)
    lowest = np.where(np.isnan(values_SF), np.inf, values_SF).min(axis=0, initial=np.inf)
    return np.asarray(highest > lowest, dtype=np.bool_)


def _scores(drawn: Drawn) -> Floats:
    """Return values in standard deviations from the mean, so that sums of squares lose nothing; 0 where missing."""
    num_F = np.maximum(_present(drawn).sum(axis=0), 1)
    centred_SF = np.nan_to_num(drawn.values_SF - np.nansum(drawn.values_SF, axis=0) / num_F)
    deviation_F = np.sqrt((centred_SF**2).sum(axis=0) / num_F)
    return np.asarray(centred_SF / np.where(deviation_F > 0, deviation_F, 1), dtype=np.float64)
