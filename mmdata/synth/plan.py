"""Who is scanned when, what is missing, and what is deliberately wrong.

Roles go to the participants of a seeded permutation, one each: a truncated T1, a withdrawal, the phantom, repeat
visits, and (from 8 participants on) an unusable T1. Missing modalities are drawn among the others; from 8 participants
on, each is missing at least once.

Participants with one fault each (`faults`) may be added behind all others, who stay as they are.
"""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass

from mmbase.names import CONNECTIVITY
from mmdata.sources.volume_files import VOLUME_FILES
from mmdata.synth.seeds import generator

VOLUME_FIELDS = {modality: str(files.ukb.field) for modality, files in VOLUME_FILES.items()}
T1_FIELD, FLAIR_FIELD = VOLUME_FIELDS["t1"], VOLUME_FIELDS["flair"]
GLASSER_FIELD, EDGES_FIELD = "31016", "25751"
MODALITY_FIELDS = {
    **{modality: (field,) for modality, field in VOLUME_FIELDS.items()},
    CONNECTIVITY: (GLASSER_FIELD, EDGES_FIELD),
}
ALL_FIELDS = tuple(field for fields in MODALITY_FIELDS.values() for field in fields)
SCHAEFER_FIELD, TIAN_FIELD = "31018", "31019"
EXTRA_FIELDS = (SCHAEFER_FIELD, TIAN_FIELD, "25750", "25752", "25753")
"""Further kinds of connectivity."""
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
    """Bulk fields that exist, in the order of `ALL_FIELDS` and `EXTRA_FIELDS`."""
    fault: str | None = None
    """What is deliberately wrong: a name in `faults.kinds.FAULTS`."""
    drawn_as: int | None = None
    """Index of the participant whose scans these are, where it is another's."""
    flair_has_matrix: bool = True
    is_phantom: bool = False
    has_extras: bool = False
    """Whether archives hold the images that only some studies choose."""

    @property
    def drawn_index(self) -> int:
        """Return the index of the participant whom the scans show."""
        return self.index if self.drawn_as is None else self.drawn_as

    @property
    def t1_defect(self) -> str:
        """Return ``unusable``, ``truncated`` or ``none``: the two faults that ordinary participants have."""
        return self.fault if self.fault in ("unusable", "truncated") else "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleasePlan:
    """Everything a release holds, before anything is written."""

    visits: tuple[Visit, ...]
    """By participant, then instance."""
    repeats: frozenset[int]
    """Indices of the participants who came again, whether or not a layout can hold it."""
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
            fault="truncated" if index == truncated else "unusable" if index == unusable else None,
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
        repeats=frozenset(repeats),
        num_table_only=max(2, round(0.1 * participants)),
        withdrawn=withdrawn,
    )


def add_extras(plan: ReleasePlan) -> ReleasePlan:
    """Add what only some studies choose to every visit: diffusion maps, warped images, further connectivity."""
    visits = tuple(
        dataclasses.replace(
            visit,
            has_extras=True,
            fields=(*visit.fields, *EXTRA_FIELDS) if GLASSER_FIELD in visit.fields else visit.fields,
        )
        for visit in plan.visits
    )
    return dataclasses.replace(plan, visits=visits)


def complete(plan: ReleasePlan, fields: Collection[str]) -> ReleasePlan:
    """Give every visit all of some fields, and none of them a fault."""
    has = tuple(field for field in ALL_FIELDS if field in fields)
    visits = tuple(dataclasses.replace(visit, fields=has, fault=None) for visit in plan.visits)
    return dataclasses.replace(plan, visits=visits)


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
