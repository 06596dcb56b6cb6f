"""Store the scans of one modality whose rows share a shard: the unit of work of an ingest.

A task keeps the rows that are stored already, fills in the new ones, writes each shard whole, and returns a receipt for
every scan. Of several copies of a scan the first that can be used is stored. In isolation each copy is loaded in a
process of its own, so that one that brings its process down costs itself alone.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mmbase.records import ScanCandidate
from mmdata.errors import CapacityError, DataError, ScanRejected
from mmdata.execution.allocator import keep_freed_memory
from mmdata.execution.isolation import ProcessCrashed, run_isolated
from mmdata.ledger.receipt_kinds import ScanReceipt
from mmdata.readers.scan import LoadedScan, LoadSettings, load_scan
from mmdata.store.array import open_array
from mmdata.store.rows import row_checksum
from mmdata.volume.resample import limit_threads

SCAN_TIMEOUT_S = 3600.0
"""Beside what a brain extractor may take, after which a scan in isolation is given up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedScan:
    """One scan to read and the row it belongs in."""

    sample_id: str
    row: int
    candidate: ScanCandidate = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardTask:
    """The scans of one modality whose rows share a shard."""

    modality: str
    start: int
    scans: tuple[PlannedScan, ...] = field(repr=False)
    arrays: dict[str, Path]
    """Array name to its directory."""
    kept: frozenset[int] = field(repr=False)
    """Rows that are stored already and must stay; all others but those of `scans` are emptied."""
    settings: LoadSettings
    isolated: bool = False
    """Whether each scan is loaded in a process of its own."""


def store_shard(task: ShardTask) -> list[ScanReceipt]:
    """Read, preprocess and store the scans of one task; return a receipt for each.

    Raises
    ------
    StoreError
        A row that is to be kept is damaged.
    CapacityError
        Memory or disk ran out.
    """
    limit_threads(1)
    keep_freed_memory()
    arrays = {name: open_array(path) for name, path in task.arrays.items()}
    buffers = {name: array.read_shard(task.start, kept=task.kept) for name, array in arrays.items()}
    receipts = [_store_scan(scan, task, buffers) for scan in task.scans]
    for name, array in arrays.items():
        array.write_shard(task.start, buffers[name])
    return receipts


def source_fingerprint(candidate: ScanCandidate, settings: LoadSettings) -> str:
    """Return what changes when a scan's files are replaced or arrive, or when more is done to make it usable."""
    known_t1s = (copy.t1 for copy in candidate.copies if copy.t1 is not None)
    of_copies = ((copy.path, copy.transform_path, copy.mask_path) for copy in chain(candidate.copies, known_t1s))
    first, *others = of_copies
    paths = [*first, *set(chain.from_iterable(others)).difference(first)]
    parts = ["none" if path is None else _file_fingerprint(path) for path in paths]
    ingest = asdict(settings.ingest)
    if settings.ingest.assume == "none":  # as before there was this setting: what was rejected then stays so
        del ingest["assume"]
    remedies = json.dumps([ingest, settings.volumes.max_nonzero_share])
    return "/".join([*parts[:3], *sorted(parts[3:]), hashlib.blake2b(remedies.encode(), digest_size=4).hexdigest()])


def _file_fingerprint(path: Path) -> str:
    """Return what changes with a file, or with any file below a folder."""
    try:
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
        entries = [file.stat() for file in files]
    except OSError:
        return "none"
    newest_ns = max((entry.st_mtime_ns for entry in entries), default=0)
    return f"{sum(entry.st_size for entry in entries):x}-{newest_ns:x}"


def _store_scan(scan: PlannedScan, task: ShardTask, buffers: Mapping[str, NDArray[Any]]) -> ScanReceipt:
    """Put the rows of a scan's first usable copy into the buffers; return its receipt."""
    fingerprint = source_fingerprint(scan.candidate, task.settings)
    loaded, rejections = load_first_copy(scan.candidate, task.settings, isolated=task.isolated)
    if loaded is None:
        return _rejected(scan, fingerprint, rejections)
    for name, row in loaded.rows.items():
        buffers[name][scan.row - task.start] = row
    return ScanReceipt(
        sample_id=scan.sample_id,
        row=scan.row,
        modality=scan.candidate.modality,
        status="stored",
        detail=_describe_copy(scan.candidate, rejections),
        passed_over=[rejection.reason for rejection in rejections],
        checksums={name: row_checksum(row) for name, row in loaded.rows.items()},
        fingerprint=fingerprint,
        measures=loaded.measures,
        provenance=loaded.provenance,
    )


def load_first_copy(
    candidate: ScanCandidate, settings: LoadSettings, *, isolated: bool
) -> tuple[LoadedScan | None, list[ScanRejected]]:
    """Load the first copy of a scan that can be used; return why those before it cannot, or none can.

    Raises
    ------
    CapacityError
        Memory ran out.
    """
    rejections: list[ScanRejected] = []
    for copy in candidate.copies:
        try:
            return load_guarded(copy, settings, isolated=isolated), rejections
        except ScanRejected as rejection:
            rejections.append(rejection)
    return None, rejections


def load_guarded(copy: ScanCandidate, settings: LoadSettings, *, isolated: bool) -> LoadedScan:
    """Load one copy of a scan; whatever may be the fault of its files becomes a rejection.

    Parameters
    ----------
    isolated
        Whether it is loaded in a process of its own.

    Raises
    ------
    ScanRejected
        It cannot be used.
    CapacityError
        Memory ran out.
    """
    try:
        if isolated:
            timeout_s = SCAN_TIMEOUT_S + settings.ingest.extractor_timeout_s
            return run_isolated(_load_with_one_thread, (copy, settings), timeout_s=timeout_s)
        return load_scan(copy, settings)
    except (ScanRejected, DataError):
        raise
    except MemoryError as error:
        if not isolated:
            raise CapacityError(
                "A worker ran out of memory. What was stored is intact.", "Run the same command with fewer --workers."
            ) from error
        raise ScanRejected("crashed-worker", "the process that read it ran out of memory") from error
    except ProcessCrashed as crash:
        raise ScanRejected("crashed-worker", f"the process that read it ended: {crash}") from crash
    except Exception as error:
        raise ScanRejected("unexpected", f"{type(error).__name__} while preprocessing") from error


def _load_with_one_thread(arguments: tuple[ScanCandidate, LoadSettings]) -> LoadedScan:
    limit_threads(1)
    return load_scan(*arguments)


def _describe_copy(candidate: ScanCandidate, rejections: Sequence[ScanRejected]) -> str:
    """Say which copy is stored and why none before it; nothing where it is the first."""
    if not rejections:
        return ""
    images = list(dict.fromkeys(copy.path for copy in candidate.copies))
    position = images.index(candidate.copies[len(rejections)].path)
    used = f"copy {position + 1} of {len(images)}" if position else "another mask or transform"
    return f"{used}; passed over: {'; '.join(dict.fromkeys(map(str, rejections)))}"


def describe_rejection(rejections: Sequence[ScanRejected]) -> str:
    """Say why no copy of a scan can be used: what is wrong with its first, and the reasons of the others."""
    first, *others = rejections
    reasons = dict.fromkeys(other.reason for other in others)
    return first.detail + (f"; nor can further copies be used: {', '.join(reasons)}" if reasons else "")


def _rejected(scan: PlannedScan, fingerprint: str, rejections: Sequence[ScanRejected]) -> ScanReceipt:
    """Return the receipt of a scan of which no copy can be used: rejected for the reason of its first."""
    first, *others = rejections
    return ScanReceipt(
        sample_id=scan.sample_id,
        row=scan.row,
        modality=scan.candidate.modality,
        status="rejected",
        reason=first.reason,
        detail=describe_rejection(rejections),
        passed_over=[other.reason for other in others],
        fingerprint=fingerprint,
    )
