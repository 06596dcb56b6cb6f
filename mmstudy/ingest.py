"""Ingest the sources of a study: find, enrol, read, store, and enter what became of it."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from catalog.database import CATALOG_WAIT_SECONDS, Connection, open_catalog, open_scratch
from catalog.registration import Registration, StudyRules, register
from catalog.runs import index_runs
from catalog.samples import Enrolment
from catalog.scans import record_outcomes, record_used_copies
from catalog.summary import CatalogSummary, summarise
from catalog.withdrawals import find_withdrawn_eids, read_withdrawals
from mmbase.records import FoundSources
from mmdata.errors import DataError
from mmdata.execution.capacity import require_capacity
from mmdata.execution.pools import LocalPool, WorkerPool, num_workers
from mmdata.ingest import IngestPlan, execute_ingest, plan_ingest, read_outcomes
from mmdata.ledger.descriptions import restore_descriptions
from mmdata.ledger.lock import hold_stores
from mmdata.ledger.receipts import read_samples, record_samples
from mmdata.ledger.tombstones import read_retired_rows, read_withdrawal_receipts, record_withdrawals, require_tombstones
from mmdata.sources.every import Source, find_sources
from mmdata.study import Study, save_changes
from mmdata.study_arrays import stored_modalities
from mmstudy.consent import Consent, require_consent
from mmstudy.dictionary import study_dictionary
from mmstudy.progress import Progress
from mmstudy.runs.folders import runs_elsewhere
from mmstudy.settings import create_study
from mmstudy.source_copies import ReadCopies, project_copies, read_copies
from mmstudy.upgrade import keep_checksums
from mmstudy.withdraw import WithdrawalResult, finish_removals


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestResult:
    """What an ingest found and did."""

    found: FoundSources
    registration: Registration
    summary: CatalogSummary
    num_scans_read: int
    num_withdrawal_lists: int
    removal: WithdrawalResult
    """What was stored of participants who have withdrawn since, and is removed."""
    unreadable_runs: list[str]
    copies: ReadCopies = field(default_factory=ReadCopies)
    """What became of the augmented copies that the sources have made."""


class IngestInterrupted(Exception):  # noqa: N818 - asked for by the user
    """Ctrl-C came while scans were read; the catalogue is up to date.

    Parameters
    ----------
    summary
        What the study holds now.
    """

    def __init__(self, summary: CatalogSummary) -> None:
        super().__init__()
        self.summary = summary


def preview_ingest(
    study: Study, sources: Sequence[Source], withdrawals: Sequence[Path], pool: WorkerPool
) -> IngestPlan:
    """Return what an ingest would do; nothing is written.

    Raises
    ------
    CatalogError, DataError
        As `run_ingest`.
    """
    found = find_sources(sources, study.config, lists=withdrawals)
    listed = read_withdrawals([*found.withdrawal_lists, *withdrawals])
    with open_scratch(study.layout.catalog) as catalog:
        withdrawn_eids = find_withdrawn_eids(listed, catalog, found)
        registration = _register(catalog, study, found, withdrawn_eids)
    return _plan(study, found, registration.enrolment, pool)


def run_ingest(
    study: Study,
    sources: Sequence[Source],
    withdrawals: Sequence[Path],
    pool: WorkerPool,
    progress: Progress,
    consent: Consent,
) -> IngestResult:
    """Store every usable scan and every feature of some sources; make the study if there is none.

    Parameters
    ----------
    withdrawals
        Lists of participants who withdrew, beside those that are found.
    consent
        Asked before much of what is stored is removed.

    Raises
    ------
    CatalogError, DataError
        Something is to be mended first; what was stored stays.
    IngestInterrupted
        Ctrl-C.
    """
    found = find_sources(sources, study.config, lists=withdrawals)
    lists = [*found.withdrawal_lists, *withdrawals]
    withdrawn_eids = _read_lists(study, found, lists)  # refused before anything is made
    require_consent(study, withdrawn_eids, consent)
    is_new = not study.layout.config.exists()
    if is_new:
        create_study(study.layout.root, study.config)
    with hold_stores(study.layout):
        if not study.layout.catalog.exists():
            require_tombstones(study.layout.receipts)  # else a participant who has withdrawn would come back
        keep_checksums(study.layout)
        with _unmade_if_it_fails(study, is_new), open_catalog(study.layout.catalog, writable=True) as catalog:
            registration = _register(catalog, study, found, withdrawn_eids)
        enrolment = registration.enrolment
        save_changes(study)  # only now: a source that cannot be used shall not stay in the settings
        record_samples(study.layout.receipts, enrolment.samples.values())
        record_withdrawals(study.layout.receipts, enrolment.withdrawn_keys)
        restore_descriptions(study)
        removal = finish_removals(study, progress, workers=_num_local_workers(pool))
        plan = _plan(study, found, enrolment, pool)
        require_capacity(plan.projection, study.layout.root, workers_are_here=isinstance(pool, LocalPool))
        summary, unreadable_runs = _store_scans(study, found, enrolment, plan, pool, progress)
        try:
            copies = read_copies(study, found.copies, enrolment.samples, pool, progress)
        except KeyboardInterrupt:
            raise IngestInterrupted(summary) from None
    return IngestResult(
        found=found,
        registration=registration,
        summary=summary,
        num_scans_read=plan.num_scans,
        num_withdrawal_lists=len(lists),
        removal=removal,
        unreadable_runs=unreadable_runs,
        copies=copies,
    )


def _store_scans(
    study: Study, found: FoundSources, enrolment: Enrolment, plan: IngestPlan, pool: WorkerPool, progress: Progress
) -> tuple[CatalogSummary, list[str]]:
    """Read and store the scans of a plan, and enter what became of them, also of those before an interruption."""
    try:
        with progress("scans") as on_progress:
            execute_ingest(study, plan, workers=pool, on_progress=on_progress)
    except KeyboardInterrupt:
        raise IngestInterrupted(update_catalog(study, found, enrolment)[0]) from None
    except DataError:
        update_catalog(study, found, enrolment)
        raise
    return update_catalog(study, found, enrolment)


def update_catalog(
    study: Study, found: FoundSources | None = None, enrolment: Enrolment | None = None
) -> tuple[CatalogSummary, list[str]]:
    """Enter what receipts and run directories say; return what the study holds, and runs that cannot be read.

    Parameters
    ----------
    found, enrolment
        The sources as they were read, and whose they are: enters which copy of a scan is stored.
    """
    outcomes = read_outcomes(study)
    with open_catalog(study.layout.catalog, writable=True, wait_seconds=CATALOG_WAIT_SECONDS) as catalog:
        record_outcomes(catalog, outcomes)
        if found and enrolment:
            record_used_copies(catalog, enrolment.samples, found.scans, outcomes)
        unreadable = index_runs(catalog, study.layout.runs, [run.path for run in runs_elsewhere(study.layout)])
        return summarise(catalog), unreadable


@contextmanager
def _unmade_if_it_fails(study: Study, is_new: bool) -> Iterator[None]:
    """Remove a study that was made for this ingest when its first step fails: wrong options shall not stay in it.

    The caller holds the stores, so that nobody else has anything in it.
    """
    try:
        yield
    except BaseException:
        if is_new:
            shutil.rmtree(study.layout.root)
        raise


def _plan(study: Study, found: FoundSources, enrolment: Enrolment, pool: WorkerPool) -> IngestPlan:
    """Return what is to be read, with the disk that augmented copies of the sources will need beside the scans."""
    workers = num_workers(pool)
    plan = plan_ingest(study, found.scans, enrolment.samples, num_rows=enrolment.num_rows, workers=workers)
    copies_bytes = project_copies(study, found.copies, enrolment.samples, enrolment.num_rows)
    projection = replace(plan.projection, disk_bytes=plan.projection.disk_bytes + copies_bytes)
    return replace(plan, projection=projection)


def _num_local_workers(pool: WorkerPool) -> int:
    return pool.processes if isinstance(pool, LocalPool) else 0


def _read_lists(study: Study, found: FoundSources, lists: Sequence[Path]) -> frozenset[int]:
    listed = read_withdrawals(lists)
    if not (listed and study.layout.catalog.exists()):
        return find_withdrawn_eids(listed, None, found)
    with open_catalog(study.layout.catalog) as catalog:
        return find_withdrawn_eids(listed, catalog, found)


def _register(catalog: Connection, study: Study, found: FoundSources, withdrawn_eids: frozenset[int]) -> Registration:
    splits = study.config.splits
    rules = StudyRules(
        salt=study.config.salt,
        val=splits.val,
        test=splits.test,
        modalities=stored_modalities(study.config),
        dictionary=study_dictionary(study),
        tables=tuple(map(Path, study.config.tables)),
        stratify=splits.stratify,
        test_list=Path(splits.test_list) if splits.test_list else None,
        kinship=Path(splits.kinship) if splits.kinship else None,
    )
    return register(
        catalog,
        found,
        rules,
        withdrawn_eids=withdrawn_eids,
        withdrawn_keys=read_withdrawal_receipts(study.layout.receipts),
        allocated=read_samples(study.layout.receipts),
        retired_rows=read_retired_rows(study.layout.receipts),
    )
