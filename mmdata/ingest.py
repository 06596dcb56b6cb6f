"""Ingest: scan candidates to shards. A pure planner, then an executor that keeps the receipts.

Receipts are put on the disk as soon as a shard is, so a kill at any moment costs at most the shards in flight, and
running again finishes them with the same bytes. A receipt is believed while the shard it speaks of is there.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from mmbase.names import CONNECTIVITY
from mmbase.records import EnrolledSample, ScanCandidate, ScanOutcome, Visit, with_t1
from mmdata.execution.capacity import BASE_WORKER_BYTES, Projection
from mmdata.execution.pools import WorkerPool
from mmdata.execution.tasks import keep_results, run_tasks
from mmdata.ledger.receipt_kinds import ScanReceipt
from mmdata.ledger.receipts import SCAN_RECEIPTS, append_receipts, read_scan_receipts
from mmdata.readers.brain import require_extractor
from mmdata.readers.scan import LoadSettings
from mmdata.shard import PlannedScan, ShardTask, source_fingerprint, store_shard
from mmdata.store.shards import rows_on_disk, shard_starts
from mmdata.store.spec import ArraySpec, ensure_array
from mmdata.study import Study, StudyConfig
from mmdata.study_arrays import COMPRESSED_SHARE, array_specs, stored_modalities
from mmdata.volume.deepbet import CPU_S_PER_SCAN, DEEPBET
from mmdata.volume.deepbet import WORKER_BYTES as DEEPBET_BYTES
from mmdata.volume.nifti import MAX_VOXELS
from mmdata.volume.settings import IngestSettings

RETRIED_REASONS = ("unreadable", "unexpected", "crashed-worker", "damaged")
"""Rejections that may be the machine's fault and not the file's: each ingest tries these scans again."""
NATIVE_BYTES_PER_VOXEL = 24
"""Of one scan while it is read: the archive's bytes, the decoded voxels, masks and float copies of the brain."""

ScanKey = tuple[str, str]
"""A scan by sample id and modality."""


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

    @property
    def num_searched(self) -> int:
        """Scans in which deepbet has to find the brain, at most: which are of whole heads shows when they are read."""
        planned = (scan.candidate for task in self.tasks for scan in task.scans if _uses_deepbet(task.settings.ingest))
        return sum(candidate.form == "image" and candidate.mask_path is None for candidate in planned)

    @property
    def search_cpu_s(self) -> float:
        """Seconds of one core that deepbet takes for them, without a GPU."""
        return self.num_searched * CPU_S_PER_SCAN


def plan_ingest(
    study: Study,
    candidates: Sequence[ScanCandidate],
    samples: Mapping[Visit, EnrolledSample],
    *,
    num_rows: int,
    workers: int,
    only: Collection[ScanKey] | None = None,
) -> IngestPlan:
    """Decide which scans to read and which shards to write.

    A scan is left alone when a receipt says that it is stored in every array, or rejected and nothing has changed. One
    that is stored by an assumption which the settings do not make any more is read again.
    What a fault of the machine kept from being read is tried again. A scan that is stored from another copy than its
    first stays so when the first is mended: what is stored changes only when it is lost or damaged, and is then read
    from the first copy that can be used by then.

    Parameters
    ----------
    samples
        The enrolled samples by visit; candidates of other visits are passed over.
    num_rows
        Rows allocated in the study.
    only
        Scans to consider; left out: all.

    Raises
    ------
    DataError
        The brain extractor of the settings is not a program, or not installed.
    """
    if study.config.ingest.brain_extractor:
        require_extractor(study.config.ingest.brain_extractor)
    specs = {modality: array_specs(study, modality, num_rows) for modality in stored_modalities(study.config)}
    receipts = read_scan_receipts(study.layout.receipts)
    if _uses_deepbet(study.config.ingest):
        candidates = with_t1(candidates)
    known = [(candidate, sample) for candidate in candidates if (sample := samples.get(candidate.visit))]
    asked = [one for one in known if only is None or (one[1].sample_id, one[0].modality) in only]
    tasks = [
        task
        for modality, scans in _find_wanted(asked, specs, receipts, load_settings(study)).items()
        for task in _shard_tasks(study, specs[modality], modality, scans, _claimed_rows(receipts.values(), modality))
    ]
    arrays = tuple(spec for of_modality in specs.values() for spec in of_modality)
    return IngestPlan(arrays=arrays, tasks=tuple(tasks), projection=_project(study.config, specs, tasks, workers))


def _uses_deepbet(ingest: IngestSettings) -> bool:
    return ingest.brain_extractor == DEEPBET


def _find_wanted(
    candidates: Sequence[tuple[ScanCandidate, EnrolledSample]],
    specs: Mapping[str, Sequence[ArraySpec]],
    receipts: Mapping[ScanKey, ScanReceipt],
    settings: LoadSettings,
) -> dict[str, list[PlannedScan]]:
    """Return by modality the scans that are to be read."""
    believed = {modality: _believed_rows(receipts.values(), modality, specs[modality]) for modality in specs}
    duplicates = {key for group in _same_voxels(receipts) for key in group}
    wanted: dict[str, list[PlannedScan]] = {modality: [] for modality in specs}
    for candidate, sample in candidates:
        if candidate.modality not in wanted:
            continue
        key = (sample.sample_id, candidate.modality)
        settled = (
            sample.row in believed[candidate.modality]
            and key not in duplicates
            and _is_still_assumed(receipts[key], settings)
        )
        if not settled and _is_to_be_read(receipts.get(key), candidate, settings, is_duplicate=key in duplicates):
            wanted[candidate.modality].append(
                PlannedScan(sample_id=sample.sample_id, row=sample.row, candidate=candidate)
            )
    return wanted


def execute_ingest(
    study: Study, plan: IngestPlan, *, workers: int | WorkerPool, on_progress: Callable[[int, int], None]
) -> None:
    """Store the planned scans and their receipts.

    Raises
    ------
    StoreError
        An array exists with other settings, or a row that is to stay is damaged.
    CapacityError
        Memory or disk ran out; what was stored stays.
    """
    for spec in plan.arrays:
        ensure_array(spec)

    def keep(receipts: list[ScanReceipt]) -> int:
        append_receipts(study.layout.receipts / SCAN_RECEIPTS, receipts)
        return len(receipts)

    finished = run_tasks(
        store_shard,
        plan.tasks,
        workers=workers,
        memory_bytes=plan.projection.worker_bytes,
        on_crash=lambda task: replace(task, isolated=True),
    )
    keep_results(finished, keep, plan.num_scans, on_progress)


def read_outcomes(study: Study) -> list[ScanOutcome]:
    """Return what became of every scan so far, for the catalogue.

    Two scans of one modality with the very same voxels cannot both be right, and it is not known which is: they stay in
    the store and count as rejected.
    """
    receipts = read_scan_receipts(study.layout.receipts)
    group_of = {key: group for group in _same_voxels(receipts) for key in group}
    return [_outcome(receipt, group_of.get(key, ())) for key, receipt in receipts.items()]


def damaged_scans(study: Study) -> frozenset[ScanKey]:
    """Return the scans that were found damaged and are not made again yet."""
    receipts = read_scan_receipts(study.layout.receipts)
    return frozenset(key for key, receipt in receipts.items() if receipt.reason == "damaged")


def stored_scans(study: Study) -> frozenset[ScanKey]:
    """Return the scans that receipts call stored."""
    receipts = read_scan_receipts(study.layout.receipts)
    return frozenset(key for key, receipt in receipts.items() if receipt.status == "stored")


def load_settings(study: Study) -> LoadSettings:
    """Return what decides how a scan is read."""
    config = study.config
    return LoadSettings(
        volumes=config.volumes,
        connectivity=config.connectivity,
        ingest=config.ingest,
        scratch=study.layout.scratch,
    )


def _same_voxels(receipts: Mapping[ScanKey, ScanReceipt]) -> list[list[ScanKey]]:
    """Return the groups of stored scans of one modality that have the very same bytes."""
    groups: dict[tuple[str, str], list[ScanKey]] = defaultdict(list)
    for key, receipt in receipts.items():
        if receipt.status == "stored" and receipt.checksums:
            groups[receipt.modality, "/".join(receipt.checksums.values())].append(key)
    return [group for group in groups.values() if len(group) > 1]


def _outcome(receipt: ScanReceipt, group: Sequence[ScanKey]) -> ScanOutcome:
    status, reason, detail = receipt.status, receipt.reason, receipt.detail
    if group:
        others = [sample_id for sample_id, _ in group if sample_id != receipt.sample_id]
        status, reason, detail = "rejected", "duplicate", f"the same voxels as sample {', '.join(others[:3])}"
    return ScanOutcome(
        sample_id=receipt.sample_id,
        modality=receipt.modality,
        status=status,
        reason=reason,
        detail=detail,
        measures=receipt.measures,
        provenance=receipt.provenance,
        num_passed_over=len(receipt.passed_over) if status == "stored" else 0,
    )


def _believed_rows(receipts: Collection[ScanReceipt], modality: str, specs: Sequence[ArraySpec]) -> frozenset[int]:
    """Return the rows of a modality that receipts call stored in every array, and whose shards are all there."""
    names = {spec.path.name for spec in specs}
    claimed = {
        receipt.row
        for receipt in receipts
        if receipt.modality == modality and receipt.status == "stored" and receipt.checksums.keys() >= names
    }
    on_disk = [rows_on_disk(claimed, spec.path, spec.rows_per_shard, len(spec.shape) - 1) for spec in specs]
    return frozenset.intersection(*on_disk)


def _claimed_rows(receipts: Collection[ScanReceipt], modality: str) -> frozenset[int]:
    """Return the rows of a modality that receipts call stored."""
    return frozenset(receipt.row for receipt in receipts if receipt.modality == modality and receipt.status == "stored")


def _is_still_assumed(receipt: ScanReceipt, settings: LoadSettings) -> bool:
    """Return whether the settings still say what a stored scan was read by, beside its own files."""
    assumed = receipt.provenance.get("transform")
    return assumed != "reference-grid" or settings.ingest.assume == assumed


def _is_to_be_read(
    receipt: ScanReceipt | None, candidate: ScanCandidate, settings: LoadSettings, *, is_duplicate: bool
) -> bool:
    if receipt is None or (receipt.status == "stored" and not is_duplicate):
        return True
    if receipt.status == "rejected" and not {receipt.reason, *receipt.passed_over}.isdisjoint(RETRIED_REASONS):
        return True
    return receipt.fingerprint != source_fingerprint(candidate, settings)


def _shard_tasks(
    study: Study, specs: Sequence[ArraySpec], modality: str, scans: list[PlannedScan], claimed: frozenset[int]
) -> list[ShardTask]:
    by_row = {scan.row: scan for scan in scans}
    rows_per_shard = study.config.volumes.rows_per_shard
    return [
        ShardTask(
            modality=modality,
            start=start,
            scans=tuple(by_row[row] for row in rows),
            arrays={spec.path.name: spec.path for spec in specs},
            kept=claimed.intersection(range(start, start + rows_per_shard)).difference(rows),
            settings=load_settings(study),
        )
        for start, rows in shard_starts(list(by_row), rows_per_shard)
    ]


def _project(
    config: StudyConfig, specs: Mapping[str, Sequence[ArraySpec]], tasks: Sequence[ShardTask], workers: int
) -> Projection:
    shard_bytes = {modality: sum(s.row_bytes * s.rows_per_shard for s in specs[modality]) for modality in specs}
    share = {modality: 1.0 if modality == CONNECTIVITY else COMPRESSED_SHARE for modality in specs}
    row_bytes = {modality: sum(spec.row_bytes for spec in specs[modality]) * share[modality] for modality in specs}
    worker_bytes = BASE_WORKER_BYTES + MAX_VOXELS * NATIVE_BYTES_PER_VOXEL + 2 * max(shard_bytes.values())
    if _uses_deepbet(config.ingest):
        worker_bytes += DEEPBET_BYTES
    return Projection(
        workers=max(1, min(workers, len(tasks))),
        worker_bytes=worker_bytes,
        disk_bytes=int(sum(row_bytes[task.modality] * len(task.scans) for task in tasks)),
    )
