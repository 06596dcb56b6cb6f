"""Find the damaged rows and files of a study, and make again what can be."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from catalog.database import open_catalog
from catalog.samples import known_samples, num_allocated_rows
from catalog.scans import stored_training_rows
from mmbase.checksums import CHECKSUMS, find_changed
from mmdata.copies.precompute import execute_copies, plan_copy_repair
from mmdata.copies.stored import damaged_source_copies
from mmdata.errors import SourceError, StoreError
from mmdata.execution.capacity import require_capacity
from mmdata.execution.pools import LocalPool
from mmdata.ingest import ScanKey, damaged_scans, execute_ingest, plan_ingest, stored_scans
from mmdata.ledger.descriptions import restore_descriptions, undescribed_arrays
from mmdata.ledger.files import DamagedFile, find_damaged_files
from mmdata.ledger.lock import hold_stores
from mmdata.ledger.receipts import drop_damaged_receipts
from mmdata.ledger.verify import DamagedRow, execute_verification, plan_verification, record_damage
from mmdata.sources.every import find_sources
from mmdata.study import Study
from mmstudy.ingest import update_catalog
from mmstudy.progress import Progress
from mmstudy.runs.folders import name_in_study, study_runs
from mmstudy.source_copies import read_copies
from mmstudy.sources import parse_sources
from mmtrain.bundle import BundleDirectory
from mmtrain.run import list_runs

_NEW_CHECKSUMS = "Remove it; the next mm ingest puts the run's files on record as they are then."


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairResult:
    """What a repair found and did."""

    num_damaged_rows: int
    num_scans_read: int
    num_copies_made: int
    num_scans_left: int
    """Scans that were damaged and could not be stored again: they are not in the sources, or are rejected now."""
    num_copies_left: int
    """Damaged copies of the source's own that could not be read from it again."""
    num_receipts_dropped: int
    """Damaged receipts that were taken out: the scans and copies that they spoke of are to be stored again."""
    files_made: list[str]
    """Damaged files that are whole again, by their path in the study."""
    files_left: list[DamagedFile]
    """Those that cannot be made again."""


def unreachable_runs(study: Study) -> list[str]:
    """Return the directories of runs outside the study that cannot be seen from here; none where that is not known."""
    try:
        return [str(run.path) for run in study_runs(study.layout).unreachable]
    except StoreError:  # a damaged receipt, which `find_files` tells
        return []


def find_files(study: Study) -> list[DamagedFile]:
    """Return the damaged files of a study: receipts, descriptions of arrays, and what runs and models keep."""
    return [*find_damaged_files(study), *_changed_files_of_runs(study), *_changed_files_of_models(study)]


def find_damage(study: Study, workers: int, progress: Progress) -> list[DamagedRow]:
    """Read every stored row again; return the damaged ones. Arrays without a description are passed over.

    Raises
    ------
    StoreError
        Receipts are damaged, so that it is not known which rows are stored.
    """
    unreadable = undescribed_arrays(study)
    tasks = [task for task in plan_verification(study) if task.path not in unreadable]
    with progress("rows") as on_progress:
        return execute_verification(tasks, workers=workers, on_progress=on_progress)


def run_repair(study: Study, workers: int, progress: Progress) -> RepairResult:
    """Make every damaged row again: volumes and connectivity from their sources, copies from the volumes.

    Raises
    ------
    CatalogError, DataError
        The catalogue or the sources cannot be used as they are.
    """
    with hold_stores(study.layout):
        files = find_damaged_files(study)
        num_dropped = drop_damaged_receipts(study.layout.receipts)
        restore_descriptions(study)
        damaged = find_damage(study, workers, progress)
        record_damage(study, damaged)
        update_catalog(study)  # cohorts pass damaged rows over from now on, whatever becomes of the sources
        scans = damaged_scans(study)
        num_scans = _repair_scans(study, scans, workers, progress)
        update_catalog(study)
        num_copies = _repair_copies(study, workers, progress) + _repair_source_copies(study, workers, progress)
        left = find_files(study)
        return RepairResult(
            num_damaged_rows=len(damaged),
            num_scans_read=num_scans,
            num_copies_made=num_copies,
            num_scans_left=len(scans - stored_scans(study)),
            num_copies_left=sum(map(len, damaged_source_copies(study).values())),
            num_receipts_dropped=num_dropped,
            files_made=sorted({file.file for file in files} - {file.file for file in left}),
            files_left=left,
        )


def _changed_files_of_runs(study: Study) -> Iterator[DamagedFile]:
    try:
        runs = study_runs(study.layout).reachable
    except StoreError:  # a damaged receipt is told by itself
        runs = list_runs(study.layout.runs)
    for run in runs:
        for name in find_changed(run.path):
            file = f"{name_in_study(study.layout, run)}/{name}"
            remedy = _NEW_CHECKSUMS if name == CHECKSUMS else "Put it back from a backup, or train the run again."
            yield DamagedFile(file=file, problem="is not as it was written", remedy=remedy)


def _changed_files_of_models(study: Study) -> Iterator[DamagedFile]:
    for model in map(BundleDirectory, sorted(study.layout.models.glob("*"))):
        for folder in (model.path, model.golden_inputs.parent):
            for name in find_changed(folder):
                file = str((folder / name).relative_to(study.layout.root))
                yield DamagedFile(
                    file=file, problem="is not as it was written", remedy="Get another copy of the model's folder."
                )


def _repair_scans(study: Study, scans: Collection[ScanKey], workers: int, progress: Progress) -> int:
    """Read scans again; return how many could be, none where the sources are not there."""
    if not scans:
        return 0
    try:
        found = find_sources(parse_sources(study), study.config)
    except SourceError:
        return 0
    with open_catalog(study.layout.catalog) as catalog:
        samples, num_rows = known_samples(catalog), num_allocated_rows(catalog)
    plan = plan_ingest(study, found.scans, samples, num_rows=num_rows, workers=workers, only=scans)
    require_capacity(plan.projection, study.layout.root)
    with progress("scans") as on_progress:
        execute_ingest(study, plan, workers=workers, on_progress=on_progress)
    return plan.num_scans


def _repair_copies(study: Study, workers: int, progress: Progress) -> int:
    with open_catalog(study.layout.catalog) as catalog:
        training_rows = stored_training_rows(catalog, study.config.volumes.modalities)
        num_rows = num_allocated_rows(catalog)
    plan = plan_copy_repair(study, training_rows, num_rows=num_rows, workers=workers)
    if plan is None:
        return 0
    require_capacity(plan.projection, study.layout.root)
    with progress("volumes") as on_progress:
        execute_copies(study, plan, workers=workers, on_progress=on_progress)
    return plan.num_volumes


def _repair_source_copies(study: Study, workers: int, progress: Progress) -> int:
    """Read the source's own copies again; return how many could be, none where the sources are not there."""
    damaged = damaged_source_copies(study)
    if not damaged:
        return 0
    try:
        found = find_sources(parse_sources(study), study.config)
    except SourceError:
        return 0
    with open_catalog(study.layout.catalog) as catalog:
        samples = known_samples(catalog)
    read = read_copies(study, found.copies, samples, LocalPool(processes=workers), progress, only=damaged)
    return read.num_read - sum(read.rejections.values())
