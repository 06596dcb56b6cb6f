"""Ingest: scan candidates to shards. A pure planner, then an executor that stores shard by shard.

A task owns the same 32 or so rows of every array of one modality: it keeps the rows that are stored already, fills in
the new ones, writes each shard whole, and returns a receipt for every scan. Only then are the receipts put on disk, so
a kill at any moment costs at most the shards in flight, and running again finishes them with the same bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from catalog.records import EnrolledSample, ScanCandidate, ScanOutcome, Visit
from mmdata.arrays import COMPRESSED_SHARE, GLASSER, array_specs, stored_modalities
from mmdata.capacity import BASE_WORKER_BYTES, Projection
from mmdata.connectivity import correlate_regions, parse_timeseries
from mmdata.errors import CapacityError, ScanRejected, StoreError
from mmdata.execution import run_tasks
from mmdata.preprocess import preprocess_volume
from mmdata.readers.ukb import read_glasser_timeseries, read_volume
from mmdata.receipts import SCAN_RECEIPTS, ScanReceipt, append_receipts, read_scan_receipts
from mmdata.resample import limit_threads
from mmdata.schema import CONNECTIVITY, StudyLayout
from mmdata.store import ArraySpec, ensure_array, open_array, shard_starts
from mmdata.study import ConnectivitySettings, Study, StudyConfig, VolumeSettings

RETRIED_REASONS = ("unreadable", "unexpected")
"""Rejections that may be the machine's fault and not the file's: each ingest tries these scans again."""
NATIVE_VOXELS = 208 * 256 * 256
"""Of UK Biobank's T1 at 1 mm, the largest image that is read."""
NATIVE_BYTES_PER_VOXEL = 24
"""Of one scan on its way: the archive's bytes, the decoded voxels, masks and float copies of the brain."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedScan:
    """One scan to read and the row it belongs in."""

    sample_id: str
    row: int
    fingerprint: str
    candidate: ScanCandidate = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardTask:
    """The scans of one modality whose rows share a shard."""

    layout: StudyLayout
    modality: str
    start: int
    scans: tuple[PlannedScan, ...] = field(repr=False)
    volumes: VolumeSettings
    connectivity: ConnectivitySettings


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestPlan:
    """All that is to be done, decided before any of it is begun."""

    arrays: tuple[ArraySpec, ...]
    tasks: tuple[ShardTask, ...]
    projection: Projection

    @property
    def num_scans(self) -> int:
        """Scans to read."""
        return sum(len(task.scans) for task in self.tasks)


def plan_ingest(
    study: Study,
    candidates: Sequence[ScanCandidate],
    samples: Mapping[Visit, EnrolledSample],
    *,
    num_rows: int,
    workers: int,
) -> IngestPlan:
    """Decide which scans to read and which shards to write.

    A scan is left alone when a receipt says that it is stored at every side, or rejected and its files are unchanged.
    What a fault of the machine kept from being read is tried again.

    Parameters
    ----------
    samples
        The enrolled samples by visit; candidates of other visits are passed over.
    num_rows
        Rows allocated in the study.
    """
    config = study.config
    receipts = read_scan_receipts(study.layout.receipts / SCAN_RECEIPTS)
    wanted: dict[str, list[PlannedScan]] = {modality: [] for modality in stored_modalities(config)}
    arrays = [spec for modality in wanted for spec in array_specs(study, modality, num_rows)]
    lost = {spec.path.parent.name for spec in arrays if not spec.path.exists()}
    receipts = {key: receipt for key, receipt in receipts.items() if receipt.status != "stored" or key[1] not in lost}
    needed_sides = {modality: set() if modality == CONNECTIVITY else set(config.volumes.sides) for modality in wanted}
    for candidate in candidates:
        sample = samples.get(candidate.visit)
        if sample is None or candidate.modality not in wanted:
            continue
        receipt = receipts.get((sample.sample_id, candidate.modality))
        if receipt and receipt.status == "stored" and needed_sides[candidate.modality] <= set(receipt.sides):
            continue
        fingerprint = _fingerprint(candidate)
        if receipt is None or receipt.status == "stored" or _worth_retrying(receipt, fingerprint):
            wanted[candidate.modality].append(
                PlannedScan(sample_id=sample.sample_id, row=sample.row, fingerprint=fingerprint, candidate=candidate)
            )
    tasks = [task for modality, scans in wanted.items() for task in _shard_tasks(study, modality, scans)]
    return IngestPlan(arrays=tuple(arrays), tasks=tuple(tasks), projection=_project(config, arrays, tasks, workers))


def execute_ingest(study: Study, plan: IngestPlan, *, workers: int, on_progress: Callable[[int, int], None]) -> None:
    """Store the planned scans and their receipts.

    Raises
    ------
    StoreError
        An array exists with other settings.
    CapacityError
        The disk filled up; what was stored stays.
    """
    for spec in plan.arrays:
        ensure_array(spec)
    done = 0
    on_progress(done, plan.num_scans)
    for receipts in run_tasks(store_shard, plan.tasks, workers=workers):
        append_receipts(study.layout.receipts / SCAN_RECEIPTS, receipts)
        done += len(receipts)
        on_progress(done, plan.num_scans)


def read_outcomes(study: Study) -> list[ScanOutcome]:
    """Return what became of every scan so far, for the catalogue."""
    receipts = read_scan_receipts(study.layout.receipts / SCAN_RECEIPTS)
    return [
        ScanOutcome(
            sample_id=receipt.sample_id,
            modality=receipt.modality,
            status=receipt.status,
            reason=receipt.reason,
            detail=receipt.detail,
            measures=receipt.measures,
        )
        for receipt in receipts.values()
    ]


def store_shard(task: ShardTask) -> list[ScanReceipt]:
    """Read, preprocess and store the scans of one task; return a receipt for each."""
    limit_threads(1)
    arrays = [open_array(path) for path in _array_paths(task)]
    buffers = [array.read_shard(task.start) for array in arrays]
    receipts = []
    for scan in task.scans:
        try:
            rows, measures = _load_scan(scan.candidate, task)
        except ScanRejected as rejection:
            receipts.append(_receipt(scan, "rejected", rejection.reason, rejection.detail))
            continue
        except (CapacityError, StoreError, MemoryError):
            raise
        except Exception as error:
            receipts.append(_receipt(scan, "rejected", "unexpected", f"{type(error).__name__} while preprocessing"))
            continue
        for buffer, row in zip(buffers, rows, strict=True):
            buffer[scan.row - task.start] = row
        sides = [] if task.modality == CONNECTIVITY else list(task.volumes.sides)
        receipts.append(_receipt(scan, "stored", measures=measures, sides=sides))
    if any(receipt.status == "stored" for receipt in receipts):
        for array, buffer in zip(arrays, buffers, strict=True):
            array.write_shard(task.start, buffer)
    return receipts


def _load_scan(candidate: ScanCandidate, task: ShardTask) -> tuple[list[NDArray[Any]], dict[str, float]]:
    """Return the scan's row of each array, in the order of `_array_paths`, and what was measured."""
    if task.modality == CONNECTIVITY:
        timeseries_RT = parse_timeseries(read_glasser_timeseries(candidate))
        edges, num_empty = correlate_regions(timeseries_RT, fisher_z=task.connectivity.fisher_z)
        return [edges], {"empty_regions": float(num_empty), "timepoints": float(timeseries_RT.shape[1])}
    volume, mni_from_native_44 = read_volume(candidate, task.volumes.dwi_map)
    preprocessed = preprocess_volume(volume, mni_from_native_44, task.volumes)
    return [preprocessed.levels[side] for side in task.volumes.sides], preprocessed.measures


def _array_paths(task: ShardTask) -> list[Path]:
    if task.modality == CONNECTIVITY:
        return [task.layout.connectivity_array(GLASSER)]
    return [task.layout.volume_array(task.modality, side) for side in task.volumes.sides]


def _receipt(
    scan: PlannedScan,
    status: str,
    reason: str = "",
    detail: str = "",
    measures: dict[str, float] | None = None,
    sides: list[int] | None = None,
) -> ScanReceipt:
    return ScanReceipt(
        sample_id=scan.sample_id,
        row=scan.row,
        modality=scan.candidate.modality,
        sides=sides or [],
        status=status,
        reason=reason,
        detail=detail,
        fingerprint=scan.fingerprint,
        measures=measures or {},
    )


def _shard_tasks(study: Study, modality: str, scans: list[PlannedScan]) -> list[ShardTask]:
    by_row = {scan.row: scan for scan in scans}
    return [
        ShardTask(
            layout=study.layout,
            modality=modality,
            start=start,
            scans=tuple(by_row[row] for row in rows),
            volumes=study.config.volumes,
            connectivity=study.config.connectivity,
        )
        for start, rows in shard_starts(list(by_row), study.config.volumes.rows_per_shard)
    ]


def _project(config: StudyConfig, arrays: list[ArraySpec], tasks: list[ShardTask], workers: int) -> Projection:
    shard_bytes: dict[str, int] = {}
    row_bytes: dict[str, float] = {}
    for spec in arrays:
        modality = spec.path.parent.name
        shard_bytes[modality] = shard_bytes.get(modality, 0) + spec.row_bytes * spec.rows_per_shard
        share = 1.0 if modality == CONNECTIVITY else COMPRESSED_SHARE
        row_bytes[modality] = row_bytes.get(modality, 0) + spec.row_bytes * share
    worker_bytes = BASE_WORKER_BYTES + NATIVE_VOXELS * NATIVE_BYTES_PER_VOXEL + 2 * max(shard_bytes.values(), default=0)
    disk_bytes = sum(row_bytes[task.modality] * len(task.scans) for task in tasks)
    return Projection(workers=max(1, min(workers, len(tasks))), worker_bytes=worker_bytes, disk_bytes=int(disk_bytes))


def _fingerprint(candidate: ScanCandidate) -> str:
    """Return what changes when one of a scan's files is replaced or arrives."""
    parts = []
    for path in (candidate.path, candidate.transform_path):
        try:
            entry = path.stat() if path else None
        except OSError:
            entry = None
        parts.append(f"{entry.st_size:x}-{entry.st_mtime_ns:x}" if entry else "none")
    return "/".join(parts)


def _worth_retrying(receipt: ScanReceipt, fingerprint: str) -> bool:
    return receipt.reason in RETRIED_REASONS or receipt.fingerprint != fingerprint
