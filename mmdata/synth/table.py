"""The release's table row by row, and its withdrawal list."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmdata.synth.participant import TABLE_ONLY_INDEX, draw_participant, eid_of
from mmdata.synth.phenotype import (
    DISEASES,
    MEASURES,
    NUM_SLOTS,
    PSYCHOLOGY_FIELDS,
    TABLE_POSITION_FIELDS,
    draw_row,
)
from mmdata.synth.plan import ReleasePlan
from mmdata.synth.seeds import generator

_FIRST_REPEAT_SHARE = 0.1
_UNKNOWN_INDEX = 2 * TABLE_ONLY_INDEX
"""Of a withdrawn person the release knows nothing else of."""
_ALL, _ONCE, _IMAGING = (0, 1, 2, 3), (0,), (2, 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    """One participant's cells."""

    eid: int = field(repr=False)
    cells: dict[str, str]
    """Text by ukbconv's column name; a column that is not there is empty."""
    has_imaging: bool


def column_names() -> list[str]:
    """Return the columns after ``eid``, by field, instance and array index.

    >>> column_names()[:3]
    ['31-0.0', '34-0.0', '53-0.0']
    """
    return [
        f"{number}-{instance}.{slot}"
        for number, instances in sorted(_instances_of_fields().items())
        for instance in instances
        for slot in range(NUM_SLOTS.get(number, 1))
    ]


def asked_once() -> frozenset[int]:
    """Return the fields that have one value for life: no instance is told from another."""
    return frozenset((31, 34, 21022, *(disease.date_field for disease in DISEASES.values())))


def draw_rows(seed: int, plan: ReleasePlan) -> Iterator[TableRow]:
    """Draw every participant's row, with imaging and without, by eid."""
    imaging = {visit.index: {2, 3} if visit.index in plan.repeats else {2} for visit in plan.visits}
    imaging |= {TABLE_ONLY_INDEX + number: set() for number in range(plan.num_table_only)}
    for index in sorted(imaging, key=lambda index: eid_of(seed, index)):
        cells = draw_row(seed, draw_participant(seed, index), _instances(seed, index, imaging[index]))
        yield TableRow(eid=eid_of(seed, index), cells=cells, has_imaging=bool(imaging[index]))


def write_withdrawals(path: Path, seed: int, plan: ReleasePlan) -> None:
    """Write a withdrawal list: one participant with imaging, one with a table row only, one the release never had."""
    eids = sorted(eid_of(seed, index) for index in (plan.withdrawn, TABLE_ONLY_INDEX, _UNKNOWN_INDEX))
    path.write_text("".join(f"{eid}\n" for eid in eids), encoding="utf-8")


def _instances_of_fields() -> dict[int, tuple[int, ...]]:
    return (
        dict.fromkeys((*asked_once(), 20127), _ONCE)
        | dict.fromkeys((21003, 53, 54, 20116, *NUM_SLOTS, *PSYCHOLOGY_FIELDS), _ALL)
        | dict.fromkeys((25741, 24419, 25000, *TABLE_POSITION_FIELDS), _IMAGING)
        | {1707: (0, 1, 2)}
        | {number: measure.instances for number, measure in MEASURES.items()}
    )


def _instances(seed: int, index: int, imaging: set[int]) -> tuple[int, ...]:
    came_again = generator(seed, "first-repeat", index).random() < _FIRST_REPEAT_SHARE
    return tuple(sorted({0} | ({1} if came_again else set()) | imaging))
