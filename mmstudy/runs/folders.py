"""Where the runs of a study lie: in its folder runs, or where --runs said; `receipts/runs.jsonl` remembers the latter.

A folder elsewhere may be out of reach for a while, e.g. on a disk that another machine has. A run counts as gone only
where its folder is there with its mark, and the run is not (`mmbase.run_folders`).
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mmbase.run_folders import RUNS_MARK, is_gone, is_here
from mmdata.errors import StudyError
from mmdata.ledger.receipt_kinds import RunReceipt
from mmdata.ledger.receipts import RUN_RECEIPTS, read_run_receipts, read_samples
from mmdata.store.schema import StudyLayout
from mmstudy.on_record import put_on_record, require_no_participant, today
from mmtrain.config.run import RunConfig
from mmtrain.data.cohort import read_cohort
from mmtrain.errors import TrainError
from mmtrain.run import RunDirectory, find_run, list_runs

_MARKS = {
    "study.toml": "a study",
    "zarr.json": "a Zarr store",
    "cohort.parquet": "the directory of a run",
}
"""File to what it says of the folder that it is in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyRuns:
    """Every run of a study, finished or not."""

    reachable: list[RunDirectory]
    unreachable: list[RunDirectory]
    """Runs of which it cannot be told from here whether they are there."""


def study_runs(layout: StudyLayout) -> StudyRuns:
    """Return every run of a study, by name: those in its folder, then those elsewhere.

    Raises
    ------
    StoreError
        A receipt is damaged.
    """
    elsewhere = runs_elsewhere(layout)
    return StudyRuns(
        reachable=[*list_runs(layout.runs), *(run for run in elsewhere if is_here(run.path))],
        unreachable=[run for run in elsewhere if not (is_here(run.path) or is_gone(run.path))],
    )


def runs_elsewhere(layout: StudyLayout) -> list[RunDirectory]:
    """Return the runs on record that lie outside the study, also those that are gone or out of reach.

    Raises
    ------
    StoreError
        A receipt is damaged.
    """
    receipts = sorted(read_run_receipts(layout.receipts).items())
    return [RunDirectory(Path(receipt.folder) / run_id) for run_id, receipt in receipts]


def name_in_study(layout: StudyLayout, run: RunDirectory) -> str:
    """Return where a run lies, for messages: below the study where it does."""
    inside = run.path.is_relative_to(layout.root)
    return str(run.path.relative_to(layout.root) if inside else run.path)


def find_run_of_study(layout: StudyLayout, run_id: str, folder: Path | None = None) -> tuple[RunDirectory, RunConfig]:
    """Return an existing run of a study and its settings, wherever it lies.

    Parameters
    ----------
    folder
        Where the user says that it lies now; put on record. None: where it is known to lie.

    Raises
    ------
    TrainError
        There is none of that name, it cannot be reached, or it is not of this study.
    StudyError
        No run may lie in the folder.
    """
    receipts = read_run_receipts(layout.receipts)
    receipt = receipts.get(run_id)
    if folder is not None and (where := settle_folder(layout, folder)):
        run, config = find_run(where, run_id)
        if receipt is None or Path(receipt.folder) != where:
            _require_own(layout, run)
            record_run(layout, run)
        return run, config
    if receipt is None or (layout.runs / run_id).exists():
        return find_run(layout.runs, run_id, others=receipts)
    path = Path(receipt.folder) / run_id
    if not (is_here(path) or is_gone(path)):
        raise TrainError(
            f"Run {run_id} lies in {receipt.folder}, which cannot be reached from here.",
            "Make that folder reachable, or say where the run lies now: --runs FOLDER.",
        )
    return find_run(Path(receipt.folder), run_id)


def settle_folder(layout: StudyLayout, folder: Path) -> Path | None:
    """Return where runs are to be made, without links; None: that is the study's own folder.

    Raises
    ------
    StudyError
        The folder is a file, or lies in a study, a store or a run.
    """
    where = folder.expanduser().resolve()
    if where == layout.runs.resolve():
        return None
    if where.exists() and not where.is_dir():
        raise StudyError(f"--runs {folder}: expected a folder, and there is a file of this name.")
    if holder := find_holder(where):
        raise StudyError(
            f"--runs {folder}: {holder.path} is {holder.what}, and runs made by --runs lie in none.",
            "Give a folder outside of it, or leave --runs out: the study keeps its runs in its own folder.",
        )
    require_no_participant(layout, str(where))
    return where


@dataclass(frozen=True, slots=True)
class Holder:
    """A folder that nothing foreign may lie in."""

    path: Path
    what: str
    """A study, a store or a run, for the middle of a sentence."""


def find_holder(where: Path) -> Holder | None:
    """Return the study, store or run that a folder is or lies in, the nearest; None where there is none."""
    for above in (where, *where.parents):
        for mark, what in _MARKS.items():
            if (above / mark).exists():
                return Holder(above, what)
    return None


def record_run(layout: StudyLayout, run: RunDirectory) -> None:
    """Put on record that a run lies outside the study, and mark its folder; what it still owes a withdrawal stays so.

    Raises
    ------
    StudyError
        The study cannot be written.
    """
    with suppress(OSError):  # a folder that can only be read: without the mark, its runs never count as gone
        (run.path.parent / RUNS_MARK).touch()
    before = read_run_receipts(layout.receipts).get(run.run_id)
    rows = before.withdrawn_rows if before else []
    _record(layout, RunReceipt(run_id=run.run_id, folder=str(run.path.parent), date=today(), withdrawn_rows=rows))


def runs_owing(layout: StudyLayout) -> dict[str, RunReceipt]:
    """Return the runs that could not be reached when participants withdrew, and have not been cleaned since.

    Raises
    ------
    StoreError
        A receipt is damaged.
    """
    return {run_id: receipt for run_id, receipt in read_run_receipts(layout.receipts).items() if receipt.withdrawn_rows}


def record_owed(layout: StudyLayout, runs: Iterable[RunDirectory], rows: Iterable[int]) -> None:
    """Put on record that runs which cannot be reached may have rows of participants who withdrew.

    Raises
    ------
    StudyError
        The study cannot be written.
    """
    receipts = read_run_receipts(layout.receipts)
    gone = set(rows)
    for run in runs:
        receipt = receipts[run.run_id]
        owed = sorted(gone.union(receipt.withdrawn_rows))
        if owed != receipt.withdrawn_rows:
            _record(layout, replace(receipt, withdrawn_rows=owed, date=today()))


def record_cleaned(layout: StudyLayout, receipt: RunReceipt) -> None:
    """Put on record that a run has nothing any more of those who withdrew.

    Raises
    ------
    StudyError
        The study cannot be written.
    """
    _record(layout, replace(receipt, withdrawn_rows=[], date=today()))


def require_cleaned(layout: StudyLayout, run: RunDirectory) -> None:
    """Refuse a run that may have rows of participants who withdrew while it could not be reached.

    Raises
    ------
    TrainError
        It may.
    """
    if run.run_id in runs_owing(layout):
        raise TrainError(
            f"Participants withdrew while run {run.run_id} could not be reached, and it may still have their data.",
            "Run mm withdraw first, where the run can be reached; then start or resume runs.",
        )


def _require_own(layout: StudyLayout, run: RunDirectory) -> None:
    """Refuse a run of another study: ids of samples are hashes that hold this study's secret salt."""
    known = read_samples(layout.receipts)
    if not any(sample_id in known for sample_id in read_cohort(run.cohort).sample_ids):
        raise TrainError(f"Run {run.run_id} in {run.path.parent} is not of this study: it has none of its samples.")


def _record(layout: StudyLayout, receipt: RunReceipt) -> None:
    put_on_record(layout, RUN_RECEIPTS, receipt)
