"""Who is scanned when, what is missing, and what is deliberately wrong.

Roles go to the participants of a seeded permutation, one each: a truncated T1, a withdrawal, the phantom, repeat
visits, and (from 8 participants on) an unusable T1. Missing modalities are drawn among the others; from 8 participants
on, each is missing at least once.
"""

from dataclasses import dataclass
from typing import Literal

from mmdata.synth.seeds import generator

T1_FIELD, FLAIR_FIELD, DWI_FIELD, GLASSER_FIELD, EDGES_FIELD = "20252", "20253", "20250", "31016", "25751"
MODALITY_FIELDS = {
    "t1": (T1_FIELD,),
    "flair": (FLAIR_FIELD,),
    "dwi": (DWI_FIELD,),
    "connectivity": (GLASSER_FIELD, EDGES_FIELD),
}
ALL_FIELDS = tuple(field for fields in MODALITY_FIELDS.values() for field in fields)
_MISSING_SHARE = 0.06
_REPEAT_SHARE = 0.03
_MIN_FOR_EVERY_KIND = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """One participant at one imaging visit."""

    index: int
    """The participant's."""
    instance: int
    """2 for the imaging visit, 3 for the repeat visit."""
    fields: tuple[str, ...]
    """Bulk fields that exist, in the order of `ALL_FIELDS`."""
    t1_defect: Literal["none", "unusable", "truncated"] = "none"
    flair_has_matrix: bool = True
    is_phantom: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleasePlan:
    """Everything a release holds, before anything is written."""

    visits: tuple[Visit, ...]
    """By participant, then instance."""
    num_table_only: int
    """Participants with a row in the table and no imaging."""
    withdrawn: int
    """Index of the withdrawn participant with imaging."""


def plan_release(seed: int, participants: int) -> ReleasePlan:
    """Plan a release of at least 4 participants with imaging."""
    order = generator(seed, "roles").permutation(participants).tolist()
    truncated, withdrawn, phantom = order[:3]
    num_repeats = max(1, round(_REPEAT_SHARE * participants))
    repeats = order[3 : 3 + num_repeats]
    ordinary = order[3 + num_repeats :]
    unusable = ordinary.pop() if participants >= _MIN_FOR_EVERY_KIND else None
    num_absent = max(round(_MISSING_SHARE * participants), 0 if unusable is None else 1)
    absent = _draw_absent(seed, ordinary, num_absent)
    visits = [
        Visit(
            index=index,
            instance=2,
            fields=tuple(field for field in ALL_FIELDS if (index, field) not in absent),
            t1_defect="truncated" if index == truncated else "unusable" if index == unusable else "none",
            flair_has_matrix=index in (truncated, unusable) or _flair_has_matrix(seed, index, 2),
            is_phantom=index == phantom,
        )
        for index in range(participants)
    ] + [
        Visit(index=index, instance=3, fields=ALL_FIELDS, flair_has_matrix=_flair_has_matrix(seed, index, 3))
        for index in repeats
    ]
    return ReleasePlan(
        visits=tuple(sorted(visits, key=lambda visit: (visit.index, visit.instance))),
        num_table_only=max(2, round(0.1 * participants)),
        withdrawn=withdrawn,
    )


def _draw_absent(seed: int, ordinary: list[int], num_absent: int) -> set[tuple[int, str]]:
    """Draw the (participant, field) pairs that do not exist: one modality at a time."""
    return {
        (int(index), field)
        for modality, fields in MODALITY_FIELDS.items()
        for index in generator(seed, "absent", modality).permutation(ordinary)[:num_absent]
        for field in fields
    }


def _flair_has_matrix(seed: int, index: int, instance: int) -> bool:
    return bool(generator(seed, "flair-matrix", index, instance).random() < 0.5)
