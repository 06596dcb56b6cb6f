"""Groups of participants by sex, age and centre, in which predictions are judged by themselves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmtrain.metrics.metric import Classes, Values

MIN_GROUP = 20
"""Participants of a group that is shown."""
AGE_BANDS = ((0, "under 45"), (45, "45-54"), (55, "55-64"), (65, "65-74"), (75, "75 and over"))
"""First year of each, and its name: the decades in which UK Biobank tells of ages."""
_SEXES = {0.0: "female", 1.0: "male"}


@dataclass(frozen=True, slots=True)
class Subgroup:
    """A group by one feature."""

    by: str
    """sex, age or centre."""
    name: str
    members: Classes
    """Whether each sample is in it, shape (N,)."""


def find_subgroups(groups: Mapping[str, Values], participants: NDArray[np.int64]) -> Iterator[Subgroup]:
    """Yield the groups that have `MIN_GROUP` participants or more.

    Parameters
    ----------
    groups
        ``sex`` (0 female, 1 male), ``age`` in years and ``centre`` (its code) of each sample, shape (N,); NaN where
        unknown. Others are ignored.
    participants
        Whose each sample is, shape (N,).
    """
    for by in ("sex", "age", "centre"):
        if by not in groups:
            continue
        names = np.array([_group_of(by, value) for value in groups[by]])
        order = [name for _, name in AGE_BANDS] if by == "age" else sorted(set(names))
        for name in order:
            members = names == name
            if name and len(np.unique(participants[members])) >= MIN_GROUP:
                yield Subgroup(by, name, members)


def _group_of(by: str, value: float) -> str:
    """Return the group of a value; none where it is not known.

    >>> _group_of("age", 54.9), _group_of("centre", 11025.0), _group_of("sex", float("nan"))
    ('45-54', '11025', '')
    """
    if np.isnan(value):
        return ""
    if by == "age":
        return next((name for first, name in reversed(AGE_BANDS) if value >= first), "")
    return _SEXES.get(value, "") if by == "sex" else f"{value:g}"
