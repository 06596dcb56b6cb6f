"""Find the files of a study, beside its shards, that are not as they were written: receipts, descriptions of arrays."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmdata.ledger.descriptions import recorded_arrays
from mmdata.ledger.receipts import (
    COPY_RECEIPTS,
    REMOVAL_RECEIPTS,
    SAMPLE_RECEIPTS,
    SCAN_RECEIPTS,
    WITHDRAWAL_RECEIPTS,
    explain_damaged,
    find_damaged_receipts,
)
from mmdata.ledger.tombstones import explain_lost_tombstones, num_lost_tombstones
from mmdata.store.description import DESCRIPTION
from mmdata.store.spec import differing_settings, lost_descriptions
from mmdata.study import Study

ROW_RECEIPTS = frozenset({SAMPLE_RECEIPTS, SCAN_RECEIPTS, COPY_RECEIPTS})
"""Without them it is not known which rows are stored."""
_MAX_LINES = 5
"""Whose numbers are told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DamagedFile:
    """A file that is not as it was written."""

    file: str
    """Path inside the study."""
    problem: str
    """What is wrong with it, to follow the path in a sentence."""
    remedy: str
    """What to do about it; whole sentences."""


def find_damaged_files(study: Study) -> list[DamagedFile]:
    """Return which receipts and descriptions of arrays are damaged; descriptions only where receipts tell of rows."""
    damaged = find_damaged_receipts(study.layout.receipts)
    rows_are_known = ROW_RECEIPTS.isdisjoint(damaged)
    return [*_receipts(study, damaged), *(_descriptions(study) if rows_are_known else ())]


def _receipts(study: Study, damaged: dict[str, list[int]]) -> Iterator[DamagedFile]:
    receipts = study.layout.receipts
    for name, lines in damaged.items():
        told = ", ".join(map(str, lines[:_MAX_LINES])) + (" and others" if len(lines) > _MAX_LINES else "")
        yield DamagedFile(
            file=f"{receipts.name}/{name}", problem=f"is damaged in line {told}", remedy=explain_damaged(name)
        )
    if {WITHDRAWAL_RECEIPTS, REMOVAL_RECEIPTS}.isdisjoint(damaged) and (number := num_lost_tombstones(receipts)):
        problem, remedy = explain_lost_tombstones(number)
        yield DamagedFile(file=f"{receipts.name}/{WITHDRAWAL_RECEIPTS}", problem=problem, remedy=remedy)


def _descriptions(study: Study) -> Iterator[DamagedFile]:
    lost: set[Path] = set()
    for spec in recorded_arrays(study):
        lost.update(lost_descriptions(spec))
        if differing := differing_settings(spec):
            yield DamagedFile(
                file=str((spec.path / DESCRIPTION).relative_to(study.layout.root)),
                problem=f"is not what study.toml says ({', '.join(differing)})",
                remedy="Put study.toml back as it was. If nobody changed it, remove this file, then run: mm repair",
            )
    for path in sorted(lost):
        yield DamagedFile(
            file=str(path.relative_to(study.layout.root)),
            problem="is damaged" if path.exists() else "is missing",
            remedy="Make it again with: mm repair",
        )
