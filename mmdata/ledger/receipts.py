"""Receipts: append-only records of what became of every scan and copy, the truth the catalogue is rebuilt from.

A receipt is one line of JSON, written and flushed to the disk only after the shard it speaks of. A line that a kill
tore is cut off by the next writer and passed over by readers; any other line that is not as it was written stops them,
for what it said may be who has withdrawn. Receipts name samples, never participants. Lines are only
added, but for a withdrawal, which takes out those of the withdrawn participants' samples.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

from pydantic import ConfigDict, Field
from pydantic_core import from_json

from mmbase.files import replace_file, sync_directory
from mmbase.json_text import EXACT, Count, DamagedTextError, parse_json_line
from mmbase.records import EnrolledSample
from mmdata.errors import StoreError

ArrayPart: TypeAlias = Annotated[str, Field(pattern=r"^[\w-]+$")]
"""Of the path of an array: a modality, a side or a kind of connectivity."""
ScanStatus: TypeAlias = Annotated[str, Field(pattern="^(stored|rejected)$")]
CopyStatus: TypeAlias = Annotated[str, Field(pattern="^(stored|damaged)$")]
RemovalStatus: TypeAlias = Annotated[str, Field(pattern="^(begun|removed)$")]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanReceipt:
    """What became of one scan; fields that older versions had besides are passed over."""

    sample_id: str
    row: Count
    modality: ArrayPart
    checksums: dict[ArrayPart, str] = field(default_factory=dict)
    """Array name (a side, or the kind of connectivity) to the checksum of the row that was written."""
    status: ScanStatus
    """``stored`` or ``rejected``."""
    reason: str = ""
    """Why it was rejected: a fixed code."""
    detail: str = ""
    """What was expected and what came."""
    fingerprint: str = ""
    """Of the source files and the settings that decide whether they can be used: when it changes, a rejected scan is
    tried again."""
    measures: dict[str, float] = field(default_factory=dict)
    """What was measured on the way, e.g. the upper clamp in the scan's own unit."""
    provenance: dict[str, str] = field(default_factory=dict)
    """Where its brain mask and its transform came from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyReceipt:
    """The rows of one shard of one augmented copy that were stored, or found damaged."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    modality: ArrayPart
    side: Annotated[int, Field(ge=1)]
    copy: Annotated[int, Field(ge=1)]
    rows: list[Count]
    status: CopyStatus = "stored"
    """``stored`` or ``damaged``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawalReceipt:
    """A participant who must never come back, by key."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    participant_key: str
    status: RemovalStatus = "begun"
    """``begun``, or ``removed`` when nothing of them is left."""
    date: str = ""
    """YYYY-MM-DD; empty: not known."""
    removal: Count = 0
    """Number of the removal that they are part of; 0: none has been planned yet."""
    rows: list[Count] = field(default_factory=list)
    """Rows that their samples had in every array; nobody gets them again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RemovalReceipt:
    """What was removed from where, of all participants who withdrew together; of whom it says nothing."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    removal: Count
    """Number, from 1."""
    status: RemovalStatus
    """``begun``, with what was found before any of it was removed; or ``removed``."""
    date: str
    """YYYY-MM-DD."""
    participants: Count
    known: Count
    """Participants who had samples in the study."""
    samples: Count
    places: dict[str, Count]
    """Array, file or table to what it held of them: rows, lines or entries."""
    runs: list[str]
    """Runs whose cohort had some of them; each is marked."""


Receipt = EnrolledSample | ScanReceipt | CopyReceipt | WithdrawalReceipt | RemovalReceipt
SAMPLE_RECEIPTS, SCAN_RECEIPTS = "samples.jsonl", "scans.jsonl"
COPY_RECEIPTS, WITHDRAWAL_RECEIPTS = "copies.jsonl", "withdrawn.jsonl"
REMOVAL_RECEIPTS = "removals.jsonl"
REMOVED = "removed"
"""Status of a withdrawal that is done."""
CopyKey = tuple[str, int, int]
"""Modality, side and copy."""
ReceiptChange = Callable[[dict[str, Any]], dict[str, Any] | None]
"""Given the entries of a receipt, returns what they are to be, or None where the receipt is to go."""
_SHAPES: dict[str, type[Receipt]] = {
    SAMPLE_RECEIPTS: EnrolledSample,
    SCAN_RECEIPTS: ScanReceipt,
    COPY_RECEIPTS: CopyReceipt,
    WITHDRAWAL_RECEIPTS: WithdrawalReceipt,
    REMOVAL_RECEIPTS: RemovalReceipt,
}
_REMEDIES = {
    SAMPLE_RECEIPTS: "Put the file back from a backup. Without one, take that line out and run mm ingest again: the "
    "catalogue, where it is whole, tells it what the line said.",
    SCAN_RECEIPTS: "Take that line out, then run mm ingest again: its scans are read again.",
    COPY_RECEIPTS: "Take that line out, then run mm precompute-augs again: its copies are made again.",
    WITHDRAWAL_RECEIPTS: "It tells who must never come back, so put the file back from a backup. Without one, take "
    "that line out, then run mm withdraw with every list there ever was, before anything else.",
    REMOVAL_RECEIPTS: "Put the file back from a backup. Without one, take that line out: whoever was removed stays so.",
}
"""What to do about a damaged line of each file."""
AnyReceipt = TypeVar("AnyReceipt", bound=Receipt)


def append_receipts(path: Path, receipts: Iterable[Receipt]) -> None:
    """Add receipts to a file and flush them to the disk."""
    lines = b"".join(_to_line(asdict(receipt)) for receipt in receipts)
    is_new = not path.exists()
    with path.open("ab+") as file:
        _cut_torn_line(file)
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync_directory(path.parent)


def read_scan_receipts(directory: Path) -> dict[tuple[str, str], ScanReceipt]:
    """Return the newest receipt of each (sample_id, modality)."""
    receipts = _read_receipts(directory / SCAN_RECEIPTS, ScanReceipt)
    return {(receipt.sample_id, receipt.modality): receipt for receipt in receipts}


def read_copy_receipts(directory: Path, status: str = "stored") -> dict[CopyKey, set[int]]:
    """Return the rows whose newest receipt has a status, for each (modality, side, copy)."""
    rows_by_key: dict[CopyKey, set[int]] = {}
    for receipt in _read_receipts(directory / COPY_RECEIPTS, CopyReceipt):
        rows = rows_by_key.setdefault((receipt.modality, receipt.side, receipt.copy), set())
        if receipt.status == status:
            rows.update(receipt.rows)
        else:
            rows.difference_update(receipt.rows)
    return rows_by_key


def read_samples(directory: Path) -> dict[str, EnrolledSample]:
    """Return the row and split that every sample was given for good, by sample id."""
    return {sample.sample_id: sample for sample in _read_receipts(directory / SAMPLE_RECEIPTS, EnrolledSample)}


def record_samples(directory: Path, samples: Iterable[EnrolledSample]) -> None:
    """Add a receipt for every sample that has none yet."""
    known = read_samples(directory)
    new = sorted((sample for sample in samples if sample.sample_id not in known), key=lambda sample: sample.row)
    if new:
        append_receipts(directory / SAMPLE_RECEIPTS, new)


def read_withdrawal_receipts(directory: Path) -> frozenset[str]:
    """Return the keys of everyone who has withdrawn."""
    receipts = _read_receipts(directory / WITHDRAWAL_RECEIPTS, WithdrawalReceipt)
    return frozenset(receipt.participant_key for receipt in receipts)


def record_withdrawals(directory: Path, keys: frozenset[str]) -> None:
    """Add a receipt for everyone who has none yet."""
    new = sorted(keys - read_withdrawal_receipts(directory))
    if new:
        append_receipts(directory / WITHDRAWAL_RECEIPTS, [WithdrawalReceipt(participant_key=key) for key in new])


def read_tombstones(directory: Path) -> dict[str, WithdrawalReceipt]:
    """Return the newest receipt of everyone who has withdrawn, by key, with all rows that they ever gave up."""
    tombstones: dict[str, WithdrawalReceipt] = {}
    for receipt in _read_receipts(directory / WITHDRAWAL_RECEIPTS, WithdrawalReceipt):
        key = receipt.participant_key
        before = tombstones[key].rows if key in tombstones else []
        tombstones[key] = replace(receipt, rows=sorted({*before, *receipt.rows}))
    return tombstones


def read_retired_rows(directory: Path) -> frozenset[int]:
    """Return the rows of everyone who has withdrawn, which nobody may get again."""
    return frozenset(row for tombstone in read_tombstones(directory).values() for row in tombstone.rows)


def read_removals(directory: Path) -> dict[int, RemovalReceipt]:
    """Return the newest receipt of each removal, by its number."""
    return {receipt.removal: receipt for receipt in _read_receipts(directory / REMOVAL_RECEIPTS, RemovalReceipt)}


def count_changes(path: Path, change: ReceiptChange) -> int:
    """Return how many of a file's receipts would change."""
    return sum(change(entry) != entry for _, entry in _read_entries(path))


def rewrite_receipts(path: Path, change: ReceiptChange) -> None:
    """Change a file's receipts, or take some out, in one step; without any change the file is left alone.

    A torn line goes too: it is not known of whom it is.
    """
    if not any(change(entry) != entry for _, entry in _read_entries(path)) and not _is_torn(path):
        return
    with replace_file(path) as file:
        for line, entry in _read_entries(path):
            changed = change(entry)
            if changed is not None:
                file.write(line if changed == entry else _to_line(changed))


def _to_line(entry: dict[str, Any]) -> bytes:
    return (json.dumps(entry, separators=(",", ":")) + "\n").encode()


def _is_torn(path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def _read_entries(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield each line and what it says, with the names that this mm does not know."""
    for number, line in _whole_lines(path):
        _parse(path, number, line, _SHAPES[path.name])
        yield line, from_json(line)  # a third of the time of json.loads


def _read_receipts(path: Path, shape: type[AnyReceipt]) -> Iterator[AnyReceipt]:
    for number, line in _whole_lines(path):
        yield _parse(path, number, line, shape)


def _parse(path: Path, number: int, line: bytes, shape: type[AnyReceipt]) -> AnyReceipt:
    try:
        return parse_json_line(line, shape)
    except DamagedTextError as error:
        raise StoreError(
            f"Line {number} of receipts/{path.name} is damaged ({error}).", _REMEDIES[path.name]
        ) from error


def _whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its number; not the last one where a kill tore it."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                yield number, line


def _cut_torn_line(file: Any) -> None:
    """Remove what follows the last newline."""
    end = file.seek(0, os.SEEK_END)
    step = 4096
    position = end
    while position > 0:
        start = max(0, position - step)
        file.seek(start)
        newline = file.read(position - start).rfind(b"\n")
        if newline >= 0:
            break
        position = start
    kept = start + newline + 1 if position > 0 else 0
    if kept < end:
        file.truncate(kept)
