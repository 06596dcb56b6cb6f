"""How alike targets are, by how well the same sets of inputs predict them.

A target's profile is its balanced accuracy from each set; of a continuous target, that of the split at the training
median. Profiles are those of one series.

published distance   1 / mean over all sets of the table of |difference|, a score that is missing being 0. So two
                     targets that were trained on the same sets are alike by that alone. A target without any model
                     of the series has no profile, and no edge.
corrected distance   the same mean over the sets that both targets have, of which it needs `MIN_SHARED`.
profile correlation  Pearson's, over the sets that both have.

Two equal profiles are 0 apart, so 1 / distance is no number. Such a pair has an edge all the same, as strong as the
strongest other one of its measure, and is counted as equal.

Source of the first: the published page of Ruffle et al., NeuroImage 2024, doi 10.1016/j.neuroimage.2024.120600.

Legend of shapes: T targets, S sets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mmstudy.report.models import shortened
from mmstudy.report.names import Names
from mmtrain.metrics.metric import Values

CORRECTED_DISTANCE = "corrected_distance"
MIN_SHARED = 3
_ROUNDING = 1e-12
"""Of squared scores: what is less is no spread."""
_NO_DISTANCE = 1e-9
"""Profiles that are less apart differ in the last digits of their sums alone: they are equal."""
_ALONE = 1.0
"""Strength of equal pairs where there is no other pair to be as strong as."""
_OF_EQUAL = "Equal profiles have no such number: they count as the strongest other pair."
SCORE = "balanced_accuracy"


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeMeasure:
    """A way to say how alike two targets are."""

    name: str
    title: str
    told: str
    """What it is, in a sentence."""
    of_profiles: Callable[[Values], Values]
    """From profiles (T, S) with NaN where a score is missing to a symmetric (T, T); NaN where it is not defined."""


def published_distance(profiles_TS: Values) -> Values:
    """Return 1 / mean |difference| over all sets, what is missing being 0; infinite of equal profiles."""
    has_T = ~np.isnan(profiles_TS).all(axis=1)
    return np.where(np.outer(has_T, has_T), _inverse_distance(np.nan_to_num(profiles_TS, nan=0.0)), np.nan)


def corrected_distance(profiles_TS: Values) -> Values:
    """Return 1 / mean |difference| over the sets that both have; infinite of equal profiles."""
    has_TS = (~np.isnan(profiles_TS)).astype(int)
    return np.where(has_TS @ has_TS.T >= MIN_SHARED, _inverse_distance(profiles_TS), np.nan)


def profile_correlation(profiles_TS: Values) -> Values:
    """Return the correlation over the sets that both have; means and spreads are of these sets too."""
    is_known_TS = ~np.isnan(profiles_TS)
    if not is_known_TS.any():
        return np.full((len(profiles_TS), len(profiles_TS)), np.nan)
    has_TS = is_known_TS.astype(float)
    scores_TS = np.nan_to_num(profiles_TS - profiles_TS[is_known_TS].mean(), nan=0.0)
    shared_TT = has_TS @ has_TS.T
    sums_TT, squares_TT = scores_TS @ has_TS.T, scores_TS**2 @ has_TS.T  # of the first target, over the shared sets
    spread_TT = np.maximum(shared_TT * squares_TT - sums_TT**2, 0.0)
    together_TT = shared_TT * (scores_TS @ scores_TS.T) - sums_TT * sums_TT.T
    is_defined_TT = (shared_TT >= MIN_SHARED) & (np.minimum(spread_TT, spread_TT.T) > _ROUNDING)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(is_defined_TT, together_TT / np.sqrt(spread_TT * spread_TT.T), np.nan)


MEASURES = (
    EdgeMeasure(
        name="published_distance",
        title="inverse distance, as published",
        told="1 / mean over all sets of inputs of the difference in balanced accuracy; a model that does not exist "
        f"counts as 0, so targets that were trained on the same sets are alike by that alone. {_OF_EQUAL}",
        of_profiles=published_distance,
    ),
    EdgeMeasure(
        name=CORRECTED_DISTANCE,
        title="inverse distance over shared sets",
        told="1 / mean of the difference in balanced accuracy over the sets of inputs that both targets have. "
        f"{_OF_EQUAL}",
        of_profiles=corrected_distance,
    ),
    EdgeMeasure(
        name="profile_correlation",
        title="correlation of profiles",
        told="Pearson's correlation of balanced accuracy over the sets of inputs that both targets have.",
        of_profiles=profile_correlation,
    ),
)


def edges_of(contenders: pl.DataFrame, names: Names) -> list[Mapping[str, Any]]:
    """Return the edges of each measure and compared series, as columns, the strongest first.

    Parameters
    ----------
    contenders
        Of `mmstudy.comparison.contenders.find_contenders`: a difference of two scores needs all their digits.
    """
    found: list[Mapping[str, Any]] = []
    for place in names.compared_series:
        profiles_TS = profiles_of(contenders, names, place)
        for measure in MEASURES:
            found.append(
                {
                    "name": measure.name,
                    "title": measure.title,
                    "told": measure.told,
                    "series": place,
                    **edge_columns(measure.of_profiles(profiles_TS)),
                }
            )
    return found


def profiles_of(contenders: pl.DataFrame, names: Names, series: int) -> Values:
    """Return the profile of each target, (T, S)."""
    profiles_TS = np.full((len(names.targets), len(names.sets)), np.nan)
    method, network = list(names.series)[series]
    of_series = contenders.filter(pl.col("method") == method, pl.col("network") == network).drop_nulls(SCORE)
    for target, inputs, blocks, score in of_series.select("target", "inputs", "blocks", SCORE).iter_rows():
        profiles_TS[names.place_of_target(target), names.place_of_set(inputs, blocks)] = score
    return profiles_TS


def edge_columns(strength_TT: Values) -> dict[str, Any]:
    """Return each pair of targets once, the strongest first, and how many pairs are equal; without what is not known.

    Equal pairs, whose strength is infinite, are the first. They are given the largest strength that is a number.

    >>> edge_columns(np.array([[0, 2.0, np.inf], [2.0, 0, np.nan], [np.inf, np.nan, 0]]))
    {'one': [0, 0], 'other': [2, 1], 'strength': [2.0, 2.0], 'num_equal': 1}
    """
    one_E, other_E = np.triu_indices(len(strength_TT), k=1)
    strength_E = strength_TT[one_E, other_E]
    order = np.argsort(-strength_E, kind="stable")
    order = order[~np.isnan(strength_E[order])]
    is_equal_E = np.isinf(strength_E[order])
    largest = max(strength_E[order][~is_equal_E].tolist(), default=_ALONE)
    return {
        "one": one_E[order].tolist(),
        "other": other_E[order].tolist(),
        "strength": [shortened(value) for value in np.where(is_equal_E, largest, strength_E[order]).tolist()],
        "num_equal": int(is_equal_E.sum()),
    }


def _inverse_distance(profiles_TS: Values) -> Values:
    apart_TTS = np.abs(profiles_TS[:, None] - profiles_TS[None])
    num_TT = (~np.isnan(apart_TTS)).sum(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance_TT = np.nansum(apart_TTS, axis=2) / num_TT
        strength_TT: Values = 1 / np.where(distance_TT < _NO_DISTANCE, 0.0, distance_TT)
    return strength_TT
