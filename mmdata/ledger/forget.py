"""Take rows out of a study's receipts, and find whose scans are the very same as theirs.

A duplicate is a scan with the same voxels as a withdrawn participant's, under another sample: a mix-up of files. Both
counted as rejected, because nobody could tell whose it is. When one of the two participants withdraws, both scans are
removed, and the other sample's stays rejected until its file changes.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from mmdata.ledger.receipts import (
    COPY_RECEIPTS,
    SAMPLE_RECEIPTS,
    SCAN_RECEIPTS,
    ReceiptChange,
    count_changes,
    read_samples,
    read_scan_receipts,
    rewrite_receipts,
)

Duplicates = dict[str, frozenset[int]]
"""Modality to the rows of scans that are the same as one of a withdrawn participant."""
_DUPLICATE = {
    "status": "rejected",
    "reason": "duplicate",
    "detail": "the same voxels as a scan of somebody who has withdrawn",
    "checksums": {},
    "measures": {},
    "provenance": {},
}


def find_duplicates(receipts: Path, rows: frozenset[int]) -> Duplicates:
    """Return which scans of other rows have the very same bytes as one of some rows, in any array."""
    scans = read_scan_receipts(receipts).values() if rows else ()
    withdrawn = {
        (scan.modality, array, checksum)
        for scan in scans
        if scan.row in rows
        for array, checksum in scan.checksums.items()
    }
    duplicates: dict[str, set[int]] = defaultdict(set)
    for scan in scans:
        contents = {(scan.modality, array, checksum) for array, checksum in scan.checksums.items()}
        if scan.row not in rows and not contents.isdisjoint(withdrawn):
            duplicates[scan.modality].add(scan.row)
    return {modality: frozenset(of_modality) for modality, of_modality in duplicates.items()}


def samples_on_record(receipts: Path, keys: frozenset[str], rows: frozenset[int]) -> list[tuple[str, str, int]]:
    """Return participant key, sample id and row of every sample of some participants, or with some rows."""
    return [
        (sample.participant_key, sample.sample_id, sample.row)
        for sample in read_samples(receipts).values()
        if sample.participant_key in keys or sample.row in rows
    ]


def count_receipts(receipts: Path, rows: frozenset[int], duplicates: Duplicates) -> dict[str, int]:
    """Return for each file how many of its lines speak of some rows or of duplicates."""
    changes = {SAMPLE_RECEIPTS: _without_samples(rows), **_scan_changes(rows, duplicates)}
    return {name: count_changes(receipts / name, change) for name, change in changes.items()}


def forget_scans(receipts: Path, rows: frozenset[int], duplicates: Duplicates) -> None:
    """Take the copies and scans of some rows off the record, and put on record that their duplicates are gone too.

    The scans, by which duplicates are found, come last: a kill in between loses nothing.
    """
    for name, change in _scan_changes(rows, duplicates).items():
        rewrite_receipts(receipts / name, change)


def forget_samples(receipts: Path, rows: frozenset[int]) -> None:
    """Take the samples of some rows off the record."""
    rewrite_receipts(receipts / SAMPLE_RECEIPTS, _without_samples(rows))


def _scan_changes(rows: frozenset[int], duplicates: Duplicates) -> dict[str, ReceiptChange]:
    def change_scan(entry: dict[str, Any]) -> dict[str, Any] | None:
        if entry["row"] in rows:
            return None
        if entry["row"] in duplicates.get(entry["modality"], ()) and entry.get("checksums"):
            return entry | _DUPLICATE
        return entry

    def change_copy(entry: dict[str, Any]) -> dict[str, Any] | None:
        gone = rows | duplicates.get(entry["modality"], frozenset())
        kept = [row for row in entry["rows"] if row not in gone]
        return entry | {"rows": kept} if kept else None

    return {COPY_RECEIPTS: change_copy, SCAN_RECEIPTS: change_scan}


def _without_samples(rows: frozenset[int]) -> ReceiptChange:
    return lambda entry: None if entry["row"] in rows else entry
