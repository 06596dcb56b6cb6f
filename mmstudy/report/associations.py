"""How much the labels of two targets tell of each other, each participant counted once.

mutual information   in nats, by the nearest neighbours of scikit-learn where a target is continuous (two continuous
                     ones: Kraskov 2004; one of them: Ross 2014), by counts where both are binary. It is symmetric
                     because each pair is computed once, and never negative.
maximal information  the coefficient MICe: `mmstudy.report.maximal_information`.

Of a pair nothing is told where fewer than ten people have both labels, where a class of a binary target counts fewer
than ten of these, or where a cell of two binary targets counts one to nine: the count would follow from the value.

Source: Kraskov, Stögbauer, Grassberger 2004, Phys. Rev. E 69, 066138; Ross 2014, PLoS ONE 9, e87357.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from mmbase.disclosure import SMALLEST_COUNT, rounded
from mmdata.qc.mean import spread_evenly
from mmstudy.comparison.contributions import BINARY
from mmstudy.report.edges import edge_columns
from mmstudy.report.facts import Association
from mmstudy.report.maximal_information import maximal_information
from mmstudy.report.names import Names
from mmtrain.metrics.metric import Values

SPLITS_OF_LABELS = ("train", "val")
"""Whose labels are looked at: who sees the graph and then trains has not seen labels of test participants."""
NEIGHBOURS = 3
SEED = 1337
"""Of the noise, ten digits below the values, that scikit-learn adds to part equal ones."""
_OF_LABELS = "of the labels of training and validation participants, each once, by the first imaging visit"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelMeasure:
    """A way to say how much two labels tell of each other."""

    name: str
    title: str
    told: str
    most_people: int
    """More are thinned out evenly: a map of targets needs two digits, and the time grows faster than their number."""
    of_labels: Callable[[Values, Values, str, str], float]
    """From labels (N,), (N,) and both kinds."""


def mutual_information(one_N: Values, other_N: Values, kind: str, other_kind: str) -> float:
    """Return the mutual information of two labels in nats."""
    from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
    from sklearn.metrics import mutual_info_score

    if kind == other_kind == BINARY:
        return float(mutual_info_score(one_N, other_N))
    if kind == BINARY:
        one_N, other_N, kind, other_kind = other_N, one_N, other_kind, kind
    estimate = mutual_info_classif if other_kind == BINARY else mutual_info_regression
    options: dict[str, Any] = {"discrete_features": False, "n_neighbors": NEIGHBOURS, "random_state": SEED}
    return float(estimate(one_N[:, None], other_N, **options)[0])


def _maximal_information(one_N: Values, other_N: Values, _kind: str, _other_kind: str) -> float:
    return maximal_information(one_N, other_N)


MEASURES = (
    LabelMeasure(
        name="mutual_information",
        title="mutual information",
        told=f"In nats, {_OF_LABELS}; by nearest neighbours where a target is continuous, else by counts.",
        most_people=5000,
        of_labels=mutual_information,
    ),
    LabelMeasure(
        name="maximal_information_coefficient",
        title="maximal information coefficient",
        told=f"MICe, from 0 to 1, {_OF_LABELS}; of a binary target at most the entropy of its classes in bits.",
        most_people=2000,
        of_labels=_maximal_information,
    ),
)


def associations_of(
    labels: pl.DataFrame, kinds: Mapping[str, str], on_pair: Callable[[int], None]
) -> list[Association]:
    """Return every measure of all pairs of targets.

    Parameters
    ----------
    labels
        A row for each participant, a column for each target; null where there is no label.
    kinds
        Target to continuous or binary.
    on_pair
        Called with 1 after each pair.
    """
    strengths: dict[str, dict[tuple[str, str], float]] = {measure.name: {} for measure in MEASURES}
    for pair in combinations(sorted(kinds), 2):
        both_NK = labels.select(pair).drop_nulls().to_numpy()
        of_pair = [kinds[name] for name in pair]
        if may_be_told(both_NK, of_pair):
            for measure in MEASURES:
                taken = spread_evenly(range(len(both_NK)), measure.most_people)
                one_N, other_N = both_NK[taken].T
                strengths[measure.name][pair] = rounded(measure.of_labels(one_N, other_N, *of_pair))
        on_pair(1)
    return [Association(name=of.name, title=of.title, told=of.told, strengths=strengths[of.name]) for of in MEASURES]


def may_be_told(both_NK: Values, kinds: Sequence[str]) -> bool:
    """Return whether something may be said of the labels (N, 2) of a pair."""
    classes = [values for values, kind in zip(both_NK.T, kinds, strict=True) if kind == BINARY]
    if len(both_NK) < SMALLEST_COUNT:
        return False
    if not classes:
        return True
    cells = np.zeros(len(both_NK), dtype=np.int64)
    for values in classes:
        cells = 2 * cells + (values == 1)
    counts = np.bincount(cells, minlength=2 ** len(classes))
    return bool(((counts == 0) | (counts >= SMALLEST_COUNT)).all())


def label_edges(associations: Sequence[Association], names: Names) -> Iterator[Mapping[str, Any]]:
    """Yield the edges of each measure, as columns, the strongest first."""
    places = {name: place for place, name in enumerate(names.targets)}
    for of in associations:
        strength_TT = np.full((len(places), len(places)), np.nan)
        for (one, other), strength in of.strengths.items():
            if one in places and other in places:
                strength_TT[places[one], places[other]] = strength_TT[places[other], places[one]] = strength
        yield {"name": of.name, "title": of.title, "told": of.told, "series": None, **edge_columns(strength_TT)}
