"""The groups of people over which attributions are averaged: all, and classes or bands of the target.

A group of fewer than ten people is not told, nor one that would tell of such a group by subtraction; see
`mmbase.disclosure`.

Legend of shapes: N samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbase.disclosure import SMALLEST_COUNT, hidden_places
from mmtrain.aggregates.people import people_in_bins
from mmtrain.config.data import TargetConfig
from mmtrain.errors import TrainError
from mmtrain.explain.attribution import Floats
from mmtrain.metrics.subgroups import AGE_BANDS
from mmtrain.targets.protocol import TargetKind

ALL = "all"
_THIRDS = ("lowest third", "middle third", "highest third")


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Some of the people."""

    name: str
    """Part of file names."""
    title: str
    """For people."""
    members: NDArray[np.bool_]
    """Whether each sample is in it, shape (N,)."""
    num_people: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """Those that may be told, all people first, and the titles of the others."""

    told: Sequence[Group]
    hidden: Sequence[str]


def find_groups(target: TargetConfig, kind: TargetKind, labels_N: Floats, participants: NDArray[np.int64]) -> Groups:
    """Return all people, and the classes or bands of the target among them.

    Parameters
    ----------
    kind
        Of the target, as the model's card has it.
    labels_N
        Of the target, NaN where missing.
    participants
        Whose each sample is, shape (N,).

    Raises
    ------
    TrainError
        There are fewer than ten people.
    """
    num_people = len(np.unique(participants))
    if num_people < SMALLEST_COUNT:
        raise TrainError(
            f"Expected at least {SMALLEST_COUNT} people to average over, got {num_people}: a mean of fewer may tell of "
            "one of them.",
            "Choose another --split, or explain one sample with --sample, whose files stay where the study is.",
        )
    names, titles, band_N = _bands(target, kind, labels_N)
    counts = people_in_bins(band_N, participants, len(names) + 1)  # the last: of those without a label
    hidden = hidden_places(counts.tolist())
    told = [Group(name=ALL, title="all", members=np.ones(len(labels_N), bool), num_people=num_people)]
    for place, (name, title) in enumerate(zip(names, titles, strict=True)):
        if counts[place] and place not in hidden:
            members = band_N == place
            told.append(Group(name=name, title=title, members=members, num_people=int(counts[place])))
    return Groups(told=told, hidden=[title for place, title in enumerate(titles) if place in hidden])


def _bands(
    target: TargetConfig, kind: TargetKind, labels_N: Floats
) -> tuple[Sequence[str], Sequence[str], NDArray[np.int64]]:
    """Return names and titles of the groups of a target, and the index of each sample's; the last where it has none."""
    known = ~np.isnan(labels_N)
    classes = kind.classes(np.where(known, labels_N, 0.0))
    if classes is not None:
        return ("class-0", "class-1"), ("class 0", "class 1"), np.where(known, classes, 2)
    if (target.name, target.unit) == ("age", "years"):
        firsts = [first for first, _ in AGE_BANDS]
        bands = [name for _, name in AGE_BANDS]
        names, titles = [f"age-{name.replace(' ', '-')}" for name in bands], [f"age {name}" for name in bands]
        return names, titles, np.where(known, np.digitize(labels_N, firsts) - 1, len(bands))
    edges = np.quantile(labels_N[known], (1 / 3, 2 / 3)) if known.any() else np.zeros(2)
    names = [title.replace(" ", "-") for title in _THIRDS]
    return names, _THIRDS, np.where(known, np.digitize(labels_N, edges), len(_THIRDS))
