"""The release's table as ukbconv writes it, and its withdrawal list."""

from collections.abc import Iterable
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


def column_names() -> list[str]:
    """Return the columns after ``eid``, by field, instance and array index.

    >>> column_names()[:3]
    ['31-0.0', '53-0.0', '53-1.0']
    """
    instances = (
        dict.fromkeys((31, 21022, 20127, *(disease.date_field for disease in DISEASES.values())), _ONCE)
        | dict.fromkeys((21003, 53, 54, 20116, *NUM_SLOTS, *PSYCHOLOGY_FIELDS), _ALL)
        | dict.fromkeys((25741, 24419, 25000, *TABLE_POSITION_FIELDS), _IMAGING)
        | {1707: (0, 1, 2)}
        | {field: measure.instances for field, measure in MEASURES.items()}
    )
    return [
        f"{field}-{instance}.{slot}"
        for field in sorted(instances)
        for instance in instances[field]
        for slot in range(NUM_SLOTS.get(field, 1))
    ]


def write_table(path: Path, seed: int, plan: ReleasePlan) -> int:
    """Write the table, rows by eid; return their number."""
    imaging: dict[int, set[int]] = {}
    for visit in plan.visits:
        imaging.setdefault(visit.index, set()).add(visit.instance)
    imaging |= {TABLE_ONLY_INDEX + number: set() for number in range(plan.num_table_only)}
    columns = column_names()
    lines = []
    for index in sorted(imaging, key=lambda index: eid_of(seed, index)):
        cells = draw_row(seed, draw_participant(seed, index), _instances(seed, index, imaging[index]))
        lines.append(_quoted([str(eid_of(seed, index)), *(cells.get(column, "") for column in columns)]))
    path.write_text("".join([_quoted(["eid", *columns]), *lines]), encoding="utf-8")
    return len(lines)


def write_withdrawals(path: Path, seed: int, plan: ReleasePlan) -> None:
    """Write a withdrawal list: one participant with imaging, one with a table row only, one the release never had."""
    eids = sorted(eid_of(seed, index) for index in (plan.withdrawn, TABLE_ONLY_INDEX, _UNKNOWN_INDEX))
    path.write_text("".join(f"{eid}\n" for eid in eids), encoding="utf-8")


def _instances(seed: int, index: int, imaging: set[int]) -> tuple[int, ...]:
    came_again = generator(seed, "first-repeat", index).random() < _FIRST_REPEAT_SHARE
    return tuple(sorted({0} | ({1} if came_again else set()) | imaging))


def _quoted(cells: Iterable[str]) -> str:
    return ",".join(f'"{cell}"' for cell in cells) + "\n"
