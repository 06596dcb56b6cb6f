"""Who has which fault in a layout: one participant more for each kind, and the list of all that should be rejected."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mmdata.synth.faults.kinds import FAULTS, Part
from mmdata.synth.participant import eid_of
from mmdata.synth.plan import FLAIR_FIELD, T1_FIELD, ReleasePlan, Visit

FAULTY_INDEX = 2_000_000
"""Index of the first participant who is there for a fault: the same people in releases of any size."""
_SCHEMA = {"eid": pl.Int64, "field": pl.String, "fault": pl.String, "expected_reason": pl.String}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What of the visits a layout can hold."""

    fields: frozenset[str]
    """Bulk fields."""
    parts: frozenset[Part]
    """What of a bulk item is there, and so can be wrong."""
    has_repeats: bool = True
    """Whether repeat visits are written."""


def limit_plan(plan: ReleasePlan, shown: Shown) -> ReleasePlan:
    """Leave out what a layout does not show: a scan spoilt in a way that leaves no image is then missing."""
    visits = tuple(_limit_visit(visit, shown) for visit in plan.visits if shown.has_repeats or visit.instance == 2)
    return dataclasses.replace(plan, visits=visits)


def add_faults(plan: ReleasePlan, shown: Shown) -> ReleasePlan:
    """Add a participant for every fault that a layout shows, two for the duplicate, behind all others.

    They have the spoilt item alone.
    """
    visits = [
        Visit(index=FAULTY_INDEX + number, instance=2, fields=(fault.field,), fault=name)
        for number, (name, fault) in enumerate(FAULTS.items())
        if fault.part in shown.parts
    ]
    originals = [
        dataclasses.replace(visit, index=FAULTY_INDEX - 1, drawn_as=visit.index)
        for visit in visits
        if visit.fault == "duplicate"
    ]
    return dataclasses.replace(plan, visits=(*plan.visits, *originals, *visits))


def write_faults(path: Path, seed: int, plan: ReleasePlan) -> None:
    """Write every scan that should be rejected, the ordinary participants' as well: `faults.parquet`.

    Columns: eid, field (the bulk field), fault (a name in `kinds.FAULTS`, or ``no-matrix`` for a FLAIR that neither has
    a matrix nor a T1 to share one with), expected_reason.
    """
    rows = [(eid_of(seed, visit.index), *row) for visit in plan.visits for row in _faults_of(visit)]
    pl.DataFrame(rows, schema=_SCHEMA, orient="row").write_parquet(path)


def _limit_visit(visit: Visit, shown: Shown) -> Visit:
    fault = None if visit.fault is None else FAULTS[visit.fault]
    lost = {fault.field} if fault and fault.part not in shown.parts else set()
    fields = tuple(field for field in visit.fields if field in shown.fields - lost)
    return dataclasses.replace(
        visit,
        fields=fields,
        fault=None if lost else visit.fault,
        flair_has_matrix=visit.flair_has_matrix or "members" not in shown.parts,
    )


def _faults_of(visit: Visit) -> Iterator[tuple[str, str, str]]:
    if visit.fault is not None:
        fault = FAULTS[visit.fault]
        yield fault.field, visit.fault, fault.expected_reason
    if FLAIR_FIELD in visit.fields and T1_FIELD not in visit.fields and not visit.flair_has_matrix:
        yield FLAIR_FIELD, "no-matrix", "missing-transform"
