"""Remove withdrawn participants from every part of a study, in an order in which a kill loses nothing needed."""

import shutil
from pathlib import Path

from catalog.database import CATALOG_WAIT_SECONDS, open_catalog
from catalog.removal import hidden_participants, hide_participants, remove_participants
from catalog.runs import index_runs
from catalog.scans import record_outcomes
from mmbase.files import sync_directory
from mmbase.run_folders import is_gone, is_here
from mmdata.ingest import read_outcomes
from mmdata.ledger.erase import execute_erasure, plan_erasure
from mmdata.ledger.forget import forget_samples, forget_scans
from mmdata.store.schema import StudyLayout
from mmdata.study import Study
from mmstudy.audit_answers import count_answers, forget_answers
from mmstudy.outputs import outputs_inside
from mmstudy.progress import Progress
from mmstudy.runs.folders import record_cleaned, record_owed, runs_elsewhere, runs_owing, study_runs
from mmstudy.withdrawn import WithdrawnParticipants
from mmtrain.run import RunDirectory
from mmtrain.withdrawn import WithdrawnSamples, forget_withdrawn

MOST_PAGES = 20
"""Of runs, that a withdrawal writes again: each takes seconds, and a study may have thousands."""
MANY_SHARDS = 64
"""From which on it pays to start processes that write them."""


def hide(layout: StudyLayout, withdrawn: WithdrawnParticipants) -> None:
    """Let the catalogue's views leave participants out.

    Raises
    ------
    CatalogError
        The catalogue is damaged or in use.
    """
    if not layout.catalog.exists():
        return
    with open_catalog(layout.catalog) as catalog:
        visible = withdrawn.keys - hidden_participants(catalog)
    if visible:
        with open_catalog(layout.catalog, writable=True, wait_seconds=CATALOG_WAIT_SECONDS) as catalog:
            hide_participants(catalog, visible)


def count_disposable(layout: StudyLayout) -> dict[str, int]:
    """Return which files go whoever has withdrawn: they may show or name single scans, and can be made again."""
    logs = sum(path.is_file() for path in layout.slurm.rglob("*"))
    return {
        layout.qc_page.name: int(layout.qc_page.exists()),
        layout.slurm.name: logs,
        layout.views.name: sum(path.is_file() for path in layout.views.glob("*")),
        layout.audits.name: count_answers(layout),
        **{str(path.relative_to(layout.root)): 1 for path in outputs_inside(layout)},
    }


def remove(study: Study, withdrawn: WithdrawnParticipants, date: str, progress: Progress, workers: int) -> None:
    """Remove withdrawn participants. Doing it again does what a kill has left.

    The rows say what is to go, and nothing is needed later than it is there: duplicates are found by the receipts of
    scans, which go after the arrays; the catalogue, which is told what receipts and runs then say, comes after both.

    Raises
    ------
    CatalogError, DataError, TrainError
        Something is damaged or the disk is full; what is left is done by the same command later.
    """
    layout = study.layout
    if withdrawn.rows:
        _remove_disposable(layout)
    tasks = plan_erasure(layout, withdrawn.rows, withdrawn.duplicates)
    with progress("shards") as on_progress:
        execute_erasure(tasks, workers=workers if len(tasks) >= MANY_SHARDS else 0, on_progress=on_progress)
    runs = study_runs(layout)
    record_owed(layout, runs.unreachable, withdrawn.rows)
    for run in runs.reachable:
        forget_withdrawn(run, withdrawn.samples, date)
    forget_scans(layout.receipts, withdrawn.rows, withdrawn.duplicates)
    if layout.catalog.exists():
        with open_catalog(layout.catalog, writable=True, wait_seconds=CATALOG_WAIT_SECONDS, rewrite=True) as catalog:
            remove_participants(catalog, withdrawn.keys, withdrawn.rows)
            record_outcomes(catalog, read_outcomes(study))
            index_runs(catalog, layout.runs, [run.path for run in runs_elsewhere(layout)])
    forget_samples(layout.receipts, withdrawn.rows)
    _make_pages_again(layout)


def _make_pages_again(layout: StudyLayout) -> None:
    """Write the pages of finished runs whose pages went with participants, unless they are many; mm page writes one."""
    lacking = [
        run
        for run in study_runs(layout).reachable
        if run.withdrawn.exists() and run.metrics.exists() and not run.report.exists()
    ]
    if 0 < len(lacking) <= MOST_PAGES:
        from mmtrain.page.live import try_page  # noqa: PLC0415 - loads torch, which a withdrawal seldom needs

        for run in lacking:
            try_page(run, "finished", lambda _: None)


def clean_runs(layout: StudyLayout, date: str) -> None:
    """Take withdrawn participants out of runs that could not be reached when they withdrew, and can be now.

    The caller holds the stores.

    Raises
    ------
    StoreError, StudyError, TrainError
        A receipt or a run is damaged, or the study cannot be written.
    """
    owing = [
        (RunDirectory(path), receipt)
        for run_id, receipt in runs_owing(layout).items()
        if is_here(path := Path(receipt.folder) / run_id) or is_gone(path)
    ]
    for run, receipt in owing:
        if is_here(run.path):
            forget_withdrawn(run, WithdrawnSamples(rows=receipt.withdrawn_rows, sample_ids=()), date)
            run.embeddings.unlink(missing_ok=True)  # which others had the same scans is not on record any more
    if owing and layout.catalog.exists():
        with open_catalog(layout.catalog, writable=True, wait_seconds=CATALOG_WAIT_SECONDS) as catalog:
            index_runs(catalog, layout.runs, [run.path for run in runs_elsewhere(layout)])
    for _, receipt in owing:
        record_cleaned(layout, receipt)
    if owing:
        _make_pages_again(layout)


def _remove_disposable(layout: StudyLayout) -> None:
    """Remove pages, exports, pictures and logs, and the temporary files that killed commands left."""
    for path in (layout.qc_page, *outputs_inside(layout)):
        path.unlink(missing_ok=True)
    forget_answers(layout)
    for folder in (layout.slurm, layout.views):
        if folder.exists():
            shutil.rmtree(folder)
    for directory in (layout.root, layout.receipts):
        for path in directory.glob("*.tmp"):
            if path.is_file():
                path.unlink()
        sync_directory(directory)
