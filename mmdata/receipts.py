"""Receipts: append-only records of what became of every scan and copy, the truth the catalogue is rebuilt from.

A receipt is one line of JSON, written and flushed to the disk only after the shard it speaks of. A line that a kill
tore is cut off by the next writer and passed over by readers. Receipts name samples, never participants.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanReceipt:
    """What became of one scan."""

    sample_id: str
    row: int
    modality: str
    sides: list[int] = field(default_factory=list)
    """Resolution levels that were written; none for connectivity."""
    status: str
    """``stored`` or ``rejected``."""
    reason: str = ""
    """Why it was rejected: a fixed code."""
    detail: str = ""
    """What was expected and what came."""
    fingerprint: str = ""
    """Of the source file: a changed file is tried again."""
    measures: dict[str, float] = field(default_factory=dict)
    """What was measured on the way, e.g. the upper clamp in the scan's own unit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyReceipt:
    """The rows of one shard of one augmented copy that were stored."""

    modality: str
    side: int
    copy: int
    rows: list[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawalReceipt:
    """A participant who must never come back, by key."""

    participant_key: str


SCAN_RECEIPTS, WITHDRAWAL_RECEIPTS = "scans.jsonl", "withdrawn.jsonl"


def append_receipts(path: Path, receipts: Iterable[ScanReceipt | CopyReceipt | WithdrawalReceipt]) -> None:
    """Add receipts to a file and flush them to the disk."""
    lines = "".join(json.dumps(asdict(receipt), separators=(",", ":")) + "\n" for receipt in receipts)
    with path.open("ab+") as file:
        _cut_torn_line(file)
        file.write(lines.encode())
        file.flush()
        os.fsync(file.fileno())


def read_scan_receipts(path: Path) -> dict[tuple[str, str], ScanReceipt]:
    """Return the newest receipt of each (sample_id, modality)."""
    return {(entry["sample_id"], entry["modality"]): ScanReceipt(**entry) for entry in _read_lines(path)}


def read_copy_receipts(path: Path) -> dict[tuple[str, int, int], set[int]]:
    """Return the rows that are stored for each (modality, side, copy)."""
    stored: dict[tuple[str, int, int], set[int]] = {}
    for entry in _read_lines(path):
        receipt = CopyReceipt(**entry)
        stored.setdefault((receipt.modality, receipt.side, receipt.copy), set()).update(receipt.rows)
    return stored


def allocated_rows(directory: Path) -> dict[str, int]:
    """Return the row of every sample that has a receipt, by sample id."""
    return {entry["sample_id"]: entry["row"] for entry in _read_lines(directory / SCAN_RECEIPTS)}


def read_withdrawal_receipts(directory: Path) -> frozenset[str]:
    """Return the keys of everyone who has withdrawn."""
    return frozenset(entry["participant_key"] for entry in _read_lines(directory / WITHDRAWAL_RECEIPTS))


def record_withdrawals(directory: Path, keys: frozenset[str]) -> None:
    """Add a receipt for everyone who has none yet."""
    new = sorted(keys - read_withdrawal_receipts(directory))
    if new:
        append_receipts(directory / WITHDRAWAL_RECEIPTS, [WithdrawalReceipt(participant_key=key) for key in new])


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


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
