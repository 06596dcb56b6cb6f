"""Augmented copies that a source has made: read from its files, and stored where drawn copies would be.

Each is preprocessed as a scan of its own: with its own percentiles, as the reference study scales each volume by
itself. Nothing is known of how it was made, so the array says where it comes from in place of a recipe. A copy that
cannot be used is left out and counted; the next ingest tries it again. All copies of an array have one origin: where
some were drawn already, the source's are left alone.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_

from mmbase.records import CopyCandidate, EnrolledSample, Visit
from mmdata.copies.stored import believed_copies
from mmdata.errors import ScanRejected
from mmdata.execution.allocator import keep_freed_memory
from mmdata.execution.capacity import BASE_WORKER_BYTES, Projection
from mmdata.execution.pools import WorkerPool
from mmdata.execution.tasks import keep_results, run_tasks
from mmdata.ingest import NATIVE_BYTES_PER_VOXEL, load_settings
from mmdata.ledger.receipt_kinds import CopyReceipt
from mmdata.ledger.receipts import COPY_RECEIPTS, CopyKey, append_receipts, read_copy_receipts, read_source_copies
from mmdata.readers.scan import LoadSettings
from mmdata.shard import PlannedScan, load_guarded
from mmdata.store.array import open_array
from mmdata.store.schema import FIRST_AUGMENTED_COPY, StudyLayout
from mmdata.store.shards import shard_starts
from mmdata.store.spec import ArraySpec, ensure_array
from mmdata.study import Study
from mmdata.study_arrays import COMPRESSED_SHARE, augmented_spec
from mmdata.volume.nifti import MAX_VOXELS
from mmdata.volume.resample import limit_threads


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceCopyTask:
    """One copy of those volumes of one modality whose rows share a shard, at every side."""

    layout: StudyLayout
    modality: str
    copy: int
    start: int
    scans: tuple[PlannedScan, ...] = field(repr=False)
    kept: Mapping[int, frozenset[int]] = field(repr=False)
    """Side to the rows of the shard that are stored already: they stay, or are replaced by what is read."""
    settings: LoadSettings
    isolated: bool = False
    """Whether each file is read in a process of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceCopyPlan:
    """All copies that are to be read."""

    arrays: tuple[ArraySpec, ...]
    tasks: tuple[SourceCopyTask, ...]
    projection: Projection
    num_left_alone: int = 0
    """Files of copies that are not read because the study has drawn its own."""

    @property
    def num_volumes(self) -> int:
        """Files to read."""
        return sum(len(task.scans) for task in self.tasks)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceCopyResult:
    """What became of the files of one task."""

    num_stored: int
    receipts: tuple[CopyReceipt, ...]
    """One for each side, of the copies that are stored; none where none are."""
    rejections: Mapping[str, int]
    """Reason to the number of files that cannot be used."""


def plan_source_copies(
    study: Study,
    candidates: Sequence[CopyCandidate],
    samples: Mapping[Visit, EnrolledSample],
    training_rows: Mapping[str, Mapping[int, str]],
    *,
    num_rows: int,
    workers: int,
    only: Mapping[CopyKey, Collection[int]] | None = None,
) -> SourceCopyPlan:
    """Decide which copies are still to be read: of stored training volumes alone.

    Parameters
    ----------
    samples
        The enrolled samples by visit.
    training_rows
        For each volume modality, the stored training rows and their sample ids.
    num_rows
        Rows allocated in the study.
    only
        Rows of each (modality, side, copy) to consider; left out: all.
    """
    known = [(one, sample) for one in candidates if (sample := samples.get(one.scan.visit))]
    wanted = [(one, sample) for one, sample in known if sample.row in training_rows.get(one.scan.modality, ())]
    sides = _open_sides(study, {one.scan.modality for one, _ in wanted})
    stored = believed_copies(study)
    planned: dict[tuple[str, int], list[PlannedScan]] = defaultdict(list)
    for one, sample in wanted:
        modality = one.scan.modality
        missing = [
            key
            for key in ((modality, side, one.copy) for side in sides[modality])
            if sample.row not in stored.get(key, ()) and (only is None or sample.row in only.get(key, ()))
        ]
        if missing:
            planned[modality, one.copy].append(
                PlannedScan(sample_id=sample.sample_id, row=sample.row, candidate=one.scan)
            )
    tasks = [
        task
        for (modality, copy), scans in sorted(planned.items())
        for task in _shard_tasks(study, modality, copy, scans, sides[modality], stored)
    ]
    arrays = _arrays(study, [one for one, _ in wanted], sides, num_rows) if tasks else []
    return SourceCopyPlan(
        arrays=tuple(arrays),
        tasks=tuple(tasks),
        projection=_project(study, arrays, tasks, workers),
        num_left_alone=sum(not sides[one.scan.modality] for one, _ in wanted),
    )


def execute_source_copies(
    study: Study, plan: SourceCopyPlan, *, workers: int | WorkerPool, on_progress: Callable[[int, int], None]
) -> Counter[str]:
    """Store the planned copies and their receipts; return why files cannot be used, and how many.

    Raises
    ------
    StoreError
        Copies exist that were read or drawn otherwise.
    CapacityError
        Memory or disk ran out; what was stored stays.
    """
    for spec in plan.arrays:
        ensure_array(spec)
    rejections: Counter[str] = Counter()

    def keep(result: SourceCopyResult) -> int:
        append_receipts(study.layout.receipts / COPY_RECEIPTS, result.receipts)
        rejections.update(result.rejections)
        return result.num_stored + sum(result.rejections.values())

    finished = run_tasks(
        store_source_copy,
        plan.tasks,
        workers=workers,
        memory_bytes=plan.projection.worker_bytes,
        on_crash=lambda task: replace(task, isolated=True),
    )
    keep_results(finished, keep, plan.num_volumes, on_progress)
    return rejections


def store_source_copy(task: SourceCopyTask) -> SourceCopyResult:
    """Read and store the copies of one task.

    Raises
    ------
    StoreError
        A row that is to be kept is damaged.
    CapacityError
        Memory or disk ran out.
    """
    limit_threads(1)
    keep_freed_memory()
    index = task.copy - FIRST_AUGMENTED_COPY
    arrays = {side: open_array(task.layout.augmented_array(task.modality, side)) for side in task.kept}
    buffers = {side: arrays[side].read_shard(task.start, copy=index, kept=kept) for side, kept in task.kept.items()}
    rows: list[int] = []
    rejections: Counter[str] = Counter()
    for scan in task.scans:
        try:
            loaded = load_guarded(scan.candidate, task.settings, isolated=task.isolated)
        except ScanRejected as rejection:
            rejections[rejection.reason] += 1
            continue
        rows.append(scan.row)
        for side, buffer in buffers.items():
            buffer[scan.row - task.start] = loaded.rows[str(side)]
    for side, array in arrays.items() if rows else ():
        array.write_shard(task.start, buffers[side], copy=index)
    receipts = tuple(
        CopyReceipt(modality=task.modality, side=side, copy=task.copy, rows=rows, origin="source") for side in arrays
    )
    return SourceCopyResult(num_stored=len(rows), receipts=receipts if rows else (), rejections=rejections)


def _open_sides(study: Study, modalities: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Return for each modality the sides to store copies at: without those of which copies were drawn."""
    from_source = read_source_copies(study.layout.receipts)
    drawn = {key[:2] for key, rows in read_copy_receipts(study.layout.receipts).items() if rows} - from_source
    return {
        modality: tuple(side for side in study.config.augment.sides if (modality, side) not in drawn)
        for modality in modalities
    }


def _shard_tasks(
    study: Study,
    modality: str,
    copy: int,
    scans: Sequence[PlannedScan],
    sides: Sequence[int],
    stored: Mapping[CopyKey, frozenset[int]],
) -> list[SourceCopyTask]:
    by_row = {scan.row: scan for scan in scans}
    rows_per_shard, settings = study.config.volumes.rows_per_shard, load_settings(study)
    return [
        SourceCopyTask(
            layout=study.layout,
            modality=modality,
            copy=copy,
            start=start,
            scans=tuple(by_row[row] for row in rows),
            kept={
                side: stored.get((modality, side, copy), frozenset()).intersection(range(start, start + rows_per_shard))
                for side in sides
            },
            settings=settings,
        )
        for start, rows in shard_starts(list(by_row), rows_per_shard)
    ]


def _arrays(
    study: Study, wanted: Sequence[CopyCandidate], sides: Mapping[str, Sequence[int]], num_rows: int
) -> list[ArraySpec]:
    """Return the arrays of all modalities that have copies, as long as the highest number of a copy."""
    num_copies: Counter[str] = reduce(or_, (Counter({one.scan.modality: one.copy}) for one in wanted))
    return [
        augmented_spec(study, modality, side, copies, num_rows, from_source=True)
        for modality, copies in sorted(num_copies.items())
        for side in sides[modality]
    ]


def _project(study: Study, arrays: Sequence[ArraySpec], tasks: Sequence[SourceCopyTask], workers: int) -> Projection:
    row_bytes: Counter[str] = Counter()
    for spec in arrays:
        row_bytes[spec.path.parent.name] += spec.row_bytes
    largest_shard = max(row_bytes.values(), default=0) * study.config.volumes.rows_per_shard
    return Projection(
        workers=max(1, min(workers, len(tasks))),
        worker_bytes=BASE_WORKER_BYTES + MAX_VOXELS * NATIVE_BYTES_PER_VOXEL + 2 * largest_shard,
        disk_bytes=int(sum(row_bytes[task.modality] * COMPRESSED_SHARE * len(task.scans) for task in tasks)),
    )
