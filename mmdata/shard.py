"""Store the scans of one modality whose rows share a shard: the unit of work of an ingest.

A task keeps the rows that are stored already, fills in the new ones, writes each shard whole, and returns a receipt for
every scan. In isolation each scan is loaded in a process of its own, so that one that brings its process down costs
itself alone.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mmbase.records import ScanCandidate
from mmdata.errors import CapacityError, DataError, ScanRejected
from mmdata.execution.allocator import keep_freed_memory
from mmdata.execution.isolation import ProcessCrashed, run_isolated
from mmdata.ledger.receipts import ScanReceipt
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
    paths = (candidate.path, candidate.transform_path, candidate.mask_path)
    parts = ["none" if path is None else _file_fingerprint(path) for path in paths]
    remedies = json.dumps([asdict(settings.ingest), settings.volumes.max_nonzero_share])
    return "/".join([*parts, hashlib.blake2b(remedies.encode(), digest_size=4).hexdigest()])


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
    """Put a scan's rows into the buffers; return its receipt."""
    fingerprint = source_fingerprint(scan.candidate, task.settings)
    try:
        loaded = _load(scan.candidate, task)
    except ScanRejected as rejection:
        return _rejection(scan, fingerprint, rejection.reason, rejection.detail)
    except DataError:
        raise
    except MemoryError as error:
        if not task.isolated:
            raise CapacityError(
                "A worker ran out of memory. What was stored is intact.", "Run the same command with fewer --workers."
            ) from error
        return _rejection(scan, fingerprint, "crashed-worker", "the process that read it ran out of memory")
    except ProcessCrashed as crash:
        return _rejection(scan, fingerprint, "crashed-worker", f"the process that read it ended: {crash}")
    except Exception as error:
        return _rejection(scan, fingerprint, "unexpected", f"{type(error).__name__} while preprocessing")
    for name, row in loaded.rows.items():
        buffers[name][scan.row - task.start] = row
    return ScanReceipt(
        sample_id=scan.sample_id,
        row=scan.row,
        modality=scan.candidate.modality,
        status="stored",
        checksums={name: row_checksum(row) for name, row in loaded.rows.items()},
        fingerprint=fingerprint,
        measures=loaded.measures,
        provenance=loaded.provenance,
    )


def _load(candidate: ScanCandidate, task: ShardTask) -> LoadedScan:
    if task.isolated:
        timeout_s = SCAN_TIMEOUT_S + task.settings.ingest.extractor_timeout_s
        return run_isolated(_load_with_one_thread, (candidate, task.settings), timeout_s=timeout_s)
    return load_scan(candidate, task.settings)


def _load_with_one_thread(arguments: tuple[ScanCandidate, LoadSettings]) -> LoadedScan:
    limit_threads(1)
    return load_scan(*arguments)


def _rejection(scan: PlannedScan, fingerprint: str, reason: str, detail: str) -> ScanReceipt:
    return ScanReceipt(
        sample_id=scan.sample_id,
        row=scan.row,
        modality=scan.candidate.modality,
        status="rejected",
        reason=reason,
        detail=detail,
        fingerprint=fingerprint,
    )
