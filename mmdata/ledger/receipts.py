"""Receipts: append-only records of what became of every scan and copy, the truth the catalogue is rebuilt from.

A receipt is one line of JSON with a checksum, written and flushed to the disk only after the shard it speaks of. A line
that a kill tore is cut off by the next writer and passed over by readers; see `mmbase.lines`. Receipts name samples,
never participants. Lines are only added, but for a withdrawal, which takes out those of the withdrawn participants'
samples.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import from_json

from mmbase.json_text import DamagedTextError, parse_json_line
from mmbase.lines import (
    DamagedLineError,
    append_lines,
    is_torn,
    lacks_checksums,
    look_at_lines,
    read_lines,
    replace_lines,
)
from mmbase.records import EnrolledSample
from mmdata.errors import StoreError
from mmdata.ledger.receipt_kinds import (
    CopyReceipt,
    OutputReceipt,
    Receipt,
    RemovalReceipt,
    RunReceipt,
    ScanReceipt,
    SummaryReceipt,
    WithdrawalReceipt,
)

SAMPLE_RECEIPTS, SCAN_RECEIPTS = "samples.jsonl", "scans.jsonl"
COPY_RECEIPTS, WITHDRAWAL_RECEIPTS = "copies.jsonl", "withdrawn.jsonl"
REMOVAL_RECEIPTS, OUTPUT_RECEIPTS, RUN_RECEIPTS = "removals.jsonl", "outputs.jsonl", "runs.jsonl"
SUMMARY_RECEIPTS = "summaries.jsonl"
RECEIPTS = (
    *(SAMPLE_RECEIPTS, SCAN_RECEIPTS, COPY_RECEIPTS),
    *(WITHDRAWAL_RECEIPTS, REMOVAL_RECEIPTS, OUTPUT_RECEIPTS, RUN_RECEIPTS, SUMMARY_RECEIPTS),
)
REPLACEABLE_RECEIPTS = frozenset({SCAN_RECEIPTS, COPY_RECEIPTS})
"""What they speak of can be stored again."""
REMOVED = "removed"
"""Status of a withdrawal that is done."""
CopyKey = tuple[str, int, int]
"""Modality, side and copy."""
PUT_BACK = "Put the file back from a backup."
_REMEDIES = {
    SAMPLE_RECEIPTS: f"{PUT_BACK} Without one, take that line out and run mm ingest again: the catalogue, where it is "
    "whole, says what the line said.",
    SCAN_RECEIPTS: "Take it out with mm repair, then run mm ingest again: its scans are read again.",
    COPY_RECEIPTS: "Take it out with mm repair, then run mm precompute-augs again: its copies are made again.",
    WITHDRAWAL_RECEIPTS: f"It says who must never come back. {PUT_BACK} Without one, take that line out and run "
    "mm withdraw with every list that there ever was, before anything else.",
    REMOVAL_RECEIPTS: f"{PUT_BACK} Without one, take that line out: who was removed stays removed.",
    OUTPUT_RECEIPTS: f"{PUT_BACK} Without one, take that line out: a withdrawal then does not tell of that file.",
    RUN_RECEIPTS: f"It says which runs lie outside the study. {PUT_BACK} Without one, take that line out, and put its "
    "run on record again with mm train --resume RUN --runs FOLDER; until then no withdrawal reaches it.",
    SUMMARY_RECEIPTS: f"{PUT_BACK} Without one, take that line out: mm privacy --exports then does not know of it.",
}
"""What to do about a damaged line of each file."""
ReceiptChange = Callable[[dict[str, Any]], dict[str, Any] | None]
"""Given the entries of a receipt, returns what they are to be, or None where the receipt is to go."""
_SHAPES: dict[str, type[Receipt]] = {
    SAMPLE_RECEIPTS: EnrolledSample,
    SCAN_RECEIPTS: ScanReceipt,
    COPY_RECEIPTS: CopyReceipt,
    WITHDRAWAL_RECEIPTS: WithdrawalReceipt,
    REMOVAL_RECEIPTS: RemovalReceipt,
    OUTPUT_RECEIPTS: OutputReceipt,
    RUN_RECEIPTS: RunReceipt,
    SUMMARY_RECEIPTS: SummaryReceipt,
}
AnyReceipt = TypeVar("AnyReceipt", bound=Receipt)


def append_receipts(path: Path, receipts: Iterable[Receipt]) -> None:
    """Add receipts to a file and flush them to the disk."""
    append_lines(path, (_to_content(asdict(receipt)) for receipt in receipts))


def read_receipts(path: Path, shape: type[AnyReceipt]) -> Iterator[AnyReceipt]:
    """Yield a file's receipts.

    Raises
    ------
    StoreError
        One is damaged; those before it have been yielded.
    """
    for number, line in _whole_lines(path):
        yield _parse(path, number, line, shape)


def read_scan_receipts(directory: Path) -> dict[tuple[str, str], ScanReceipt]:
    """Return the newest receipt of each (sample_id, modality)."""
    receipts = read_receipts(directory / SCAN_RECEIPTS, ScanReceipt)
    return {(receipt.sample_id, receipt.modality): receipt for receipt in receipts}


def read_copy_receipts(directory: Path, status: str = "stored") -> dict[CopyKey, set[int]]:
    """Return the rows whose newest receipt has a status, for each (modality, side, copy)."""
    rows_by_key: dict[CopyKey, set[int]] = {}
    for receipt in read_receipts(directory / COPY_RECEIPTS, CopyReceipt):
        rows = rows_by_key.setdefault((receipt.modality, receipt.side, receipt.copy), set())
        if receipt.status == status:
            rows.update(receipt.rows)
        else:
            rows.difference_update(receipt.rows)
    return rows_by_key


def read_source_copies(directory: Path) -> frozenset[tuple[str, int]]:
    """Return the (modality, side) whose copies were read from the source; those of one array have one origin."""
    receipts = read_receipts(directory / COPY_RECEIPTS, CopyReceipt)
    return frozenset((receipt.modality, receipt.side) for receipt in receipts if receipt.origin == "source")


def read_made_copies(directory: Path) -> dict[tuple[str, int], int]:
    """Return how many copies of each (modality, side) were ever stored."""
    made: dict[tuple[str, int], int] = {}
    for receipt in read_receipts(directory / COPY_RECEIPTS, CopyReceipt):
        key = (receipt.modality, receipt.side)
        made[key] = max(receipt.copy, made.get(key, 0))
    return made


def read_samples(directory: Path) -> dict[str, EnrolledSample]:
    """Return the row and split that every sample was given for good, by sample id."""
    return {sample.sample_id: sample for sample in read_receipts(directory / SAMPLE_RECEIPTS, EnrolledSample)}


def record_samples(directory: Path, samples: Iterable[EnrolledSample]) -> None:
    """Add a receipt for every sample that has none yet."""
    known = read_samples(directory)
    new = sorted((sample for sample in samples if sample.sample_id not in known), key=lambda sample: sample.row)
    if new:
        append_receipts(directory / SAMPLE_RECEIPTS, new)


def read_outputs(directory: Path) -> list[str]:
    """Return the paths of the files that were written where the user said, each once."""
    return list(dict.fromkeys(receipt.path for receipt in read_receipts(directory / OUTPUT_RECEIPTS, OutputReceipt)))


def read_run_receipts(directory: Path) -> dict[str, RunReceipt]:
    """Return the newest receipt of each run that was made outside the study, by its name."""
    return {receipt.run_id: receipt for receipt in read_receipts(directory / RUN_RECEIPTS, RunReceipt)}


def count_changes(path: Path, change: ReceiptChange) -> int:
    """Return how many of a file's receipts would change."""
    return sum(change(entry) != entry for _, entry in _read_entries(path))


def rewrite_receipts(path: Path, change: ReceiptChange) -> None:
    """Change a file's receipts, or take some out, in one step; without any change the file is left alone.

    A torn line goes too: it is not known of whom it is.
    """
    if any(change(entry) != entry for _, entry in _read_entries(path)) or is_torn(path):
        replace_lines(path, _changed_lines(path, change))


def _changed_lines(path: Path, change: ReceiptChange) -> Iterator[bytes]:
    for line, entry in _read_entries(path):
        changed = change(entry)
        if changed is not None:
            yield line if changed == entry else _to_content(changed)


def add_checksums(directory: Path) -> None:
    """Give every receipt a checksum where an mm wrote them that knew of none.

    Raises
    ------
    StoreError
        A receipt is damaged.
    """
    for path in map(directory.joinpath, RECEIPTS):
        if lacks_checksums(path):
            replace_lines(path, (line for line, _ in _read_entries(path)))


def read_summaries(directory: Path) -> list[SummaryReceipt]:
    """Return which summaries were exported, in the order in which they first were."""
    return list(read_receipts(directory / SUMMARY_RECEIPTS, SummaryReceipt))


def find_damaged_receipts(directory: Path) -> dict[str, list[int]]:
    """Return for each file with damaged lines their numbers."""
    damaged = {name: [n for n, entry in _look(directory / name) if entry is None] for name in RECEIPTS}
    return {name: numbers for name, numbers in damaged.items() if numbers}


def explain_damaged(name: str) -> str:
    """Return what to do about a damaged line of a file."""
    return _REMEDIES[name]


def drop_damaged_receipts(directory: Path) -> int:
    """Take out damaged lines that speak of scans and copies, which can be stored again; return their number."""
    damaged = find_damaged_receipts(directory)
    for name in REPLACEABLE_RECEIPTS & damaged.keys():
        path = directory / name
        replace_lines(path, (_to_content(entry) for _, entry in _look(path) if entry is not None))
    return sum(len(damaged[name]) for name in REPLACEABLE_RECEIPTS & damaged.keys())


def _to_content(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode()


def _look(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yield the number of each line and what it says, None where it is damaged."""
    for number, content in look_at_lines(path):
        if content is None:
            yield number, None
            continue
        try:
            _parse(path, number, content, _SHAPES[path.name])
            yield number, json.loads(content)
        except StoreError:
            yield number, None


def _read_entries(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield each line and what it says, with the names that this mm does not know."""
    for number, line in _whole_lines(path):
        _parse(path, number, line, _SHAPES[path.name])
        yield line, from_json(line)  # a third of the time of json.loads


def _parse(path: Path, number: int, line: bytes, shape: type[AnyReceipt]) -> AnyReceipt:
    try:
        return parse_json_line(line, shape)
    except DamagedTextError as error:
        raise StoreError(
            f"Line {number} of receipts/{path.name} is damaged ({error}).", _REMEDIES[path.name]
        ) from error


def _whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the content of each line with its number; not the last one where a kill tore it."""
    try:
        yield from read_lines(path)
    except DamagedLineError as error:
        raise StoreError(f"Line {error.number} of receipts/{path.name} is damaged.", _REMEDIES[path.name]) from error
