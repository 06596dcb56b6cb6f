"""What a run directory loses when participants withdraw, and the mark that says so.

Only the cohort and the predictions speak of every sample, and the settings of those that the audit named. The weights,
the metrics and the curves were made from all of them together and stay; the mark, and beside the metrics their own
entry, say how many of those have withdrawn since. Pages and pictures go: an internal page shows single people, and the
others are made again of those who are left. Embeddings that have any of them go as a whole: they are made again from
the volumes when a run needs them.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from mmbase.checksums import is_unchanged, write_checked, write_checked_table
from mmbase.files import draft_of, sync_directory, to_json, write_bytes, write_json
from mmbase.json_text import DamagedTextError, read_json
from mmbase.names import SPLITS
from mmbase.records import SplitSizes
from mmtrain.errors import TrainError
from mmtrain.run import RunDirectory, pages_of, read_table, remove_pages
from mmtrain.trunks.embeddings import count_embedded
from mmtrain.unchanged import require_unchanged

SOMEBODY = "withdrawn"
"""Replaces a sample's name in a text."""
_COHORT: Mapping[str, type[pl.DataType]] = {"row": pl.Int64, "sample_id": pl.String, "split": pl.String}
_PREDICTIONS: Mapping[str, type[pl.DataType]] = {"sample_id": pl.String}
"""Columns of a run's tables by which people are found in them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawnSamples:
    """The samples of participants who withdraw."""

    rows: Collection[int]
    sample_ids: Collection[str]
    duplicate_rows: Collection[int] = ()
    """Of others, where a scan of theirs is stored too."""

    @property
    def volume_rows(self) -> set[int]:
        """Return the rows that may hold a volume of theirs."""
        return {*self.rows, *self.duplicate_rows}


@dataclass(frozen=True, slots=True)
class _Mark:
    """What the mark holds, as far as it is read again."""

    cohort: SplitSizes


def count_withdrawn(run: RunDirectory, withdrawn: WithdrawnSamples) -> dict[str, int]:
    """Return for each file of a run that speaks of samples, how many of the withdrawn it has.

    Raises
    ------
    TrainError
        A file of a finished run cannot be read.
    """
    cohort, predictions = _read(run, run.cohort, _COHORT), _read_predictions(run)
    names = _names(withdrawn, cohort)
    settings = _read_settings(run)
    found = {run.config.name: sum(settings.count(name.encode()) for name in names)}
    if cohort is not None:
        found[run.cohort.name] = cohort.filter(_in_cohort(withdrawn)).height
    told = {
        path: table.filter(_in_predictions(names)).height for path, table in predictions.items() if table is not None
    }
    found |= {path.name: number for path, number in told.items()}
    if run.embeddings.exists():
        found[run.embeddings.name] = count_embedded(run.embeddings, withdrawn.volume_rows)
    if found.get(run.cohort.name) or any(told.values()):
        found |= Counter(path.relative_to(run.path).parts[0] for path in pages_of(run))
    return found


def forget_withdrawn(run: RunDirectory, withdrawn: WithdrawnSamples, date: str) -> None:
    """Take withdrawn participants out of a run; mark it, and remove its pages, if its cohort had any of them.

    The mark comes first and counts from the cohort as it was, so that a kill in between changes nothing of the outcome.

    Parameters
    ----------
    date
        YYYY-MM-DD, for the mark.

    Raises
    ------
    TrainError
        A file of a finished run cannot be read.
    """
    cohort, predictions = _read(run, run.cohort, _COHORT), _read_predictions(run)
    names = _names(withdrawn, cohort)
    if cohort is not None and cohort.filter(_in_cohort(withdrawn)).height:
        _mark(run, cohort, cohort.filter(~_in_cohort(withdrawn)), date)
    is_shown = any(table.filter(_in_predictions(names)).height for table in predictions.values() if table is not None)
    if is_shown or (cohort is not None and cohort.filter(_in_cohort(withdrawn)).height):
        remove_pages(run)
    _forget_names(run, names)
    if count_embedded(run.embeddings, withdrawn.volume_rows):
        run.embeddings.unlink()
    draft_of(run.embeddings).unlink(missing_ok=True)
    for path, table in predictions.items():
        if table is not None:
            _keep(path, table, ~_in_predictions(names))
    if cohort is not None:
        _keep(run.cohort, cohort, ~_in_cohort(withdrawn))
    draft_of(run.config).unlink(missing_ok=True)
    for path, table in {run.cohort: cohort, **predictions}.items():
        draft_of(path).unlink(missing_ok=True)
        if table is None:
            path.unlink(missing_ok=True)  # torn by a kill; of no use to the run either
    sync_directory(run.path)


def require_unmarked(run: RunDirectory) -> None:
    """Refuse to resume a run whose cohort is no longer what it was begun with.

    Raises
    ------
    TrainError
        Participants of its cohort have withdrawn.
    """
    if run.withdrawn.exists():
        raise TrainError(
            f"Participants of run {run.run_id} have withdrawn since it was begun, so it cannot be resumed.",
            "Start it again: mm train with the same options makes a cohort without them.",
        )


def _read(run: RunDirectory, path: Path, columns: Mapping[str, type[pl.DataType]]) -> pl.DataFrame | None:
    """Read a table of a run; None where there is none, or where it was damaged before the run was finished."""
    if not path.exists():
        return None
    try:
        require_unchanged(path)
        table = read_table(path)
        if wrong := [name for name, dtype in columns.items() if table.schema.get(name) != dtype]:
            raise TrainError(f"{path.name} has no column {wrong[0]} of the right type.")
        return table
    except TrainError as error:
        if not run.metrics.exists():
            return None
        raise TrainError(
            f"{path.name} of run {run.run_id} is damaged, so it is not known who is in it. Delete it or move the run "
            "out of the study, then run mm withdraw again."
        ) from error


def _read_predictions(run: RunDirectory) -> dict[Path, pl.DataFrame | None]:
    """Return the tables of a run that have predictions of single people."""
    return {path: _read(run, path, _PREDICTIONS) for path in (run.predictions, run.training_predictions)}


def _in_cohort(withdrawn: WithdrawnSamples) -> pl.Expr:
    return pl.col("row").is_in(sorted(withdrawn.rows))


def _in_predictions(names: Collection[str]) -> pl.Expr:
    return pl.col("sample_id").is_in(sorted(names))


def _names(withdrawn: WithdrawnSamples, cohort: pl.DataFrame | None) -> set[str]:
    """Return the sample ids of withdrawn participants, also where only the cohort still knows them."""
    known = [] if cohort is None else cohort.filter(_in_cohort(withdrawn))["sample_id"].to_list()
    return {*withdrawn.sample_ids, *known}


def _read_settings(run: RunDirectory) -> bytes:
    return run.config.read_bytes() if run.config.exists() else b""


def _forget_names(run: RunDirectory, names: Collection[str]) -> None:
    settings = forgotten = _read_settings(run)
    for name in names:
        forgotten = forgotten.replace(name.encode(), SOMEBODY.encode())
    if forgotten != settings:
        write_bytes(run.config, forgotten)


def _mark(run: RunDirectory, cohort: pl.DataFrame, kept: pl.DataFrame, date: str) -> None:
    """Say how many samples of the cohort that the run was begun with are gone now."""
    begun_with = _begun_with(run) or _sizes(cohort)
    left = _sizes(kept)
    gone = {split: begun_with[split] - left[split] for split in SPLITS}
    write_json(run.withdrawn, {"date": date, "cohort": begun_with, "withdrawn": gone})
    if run.metrics.exists() and is_unchanged(run.metrics):  # else a new checksum would hide the damage
        with suppress(DamagedTextError):  # the catalogue says so
            metrics = read_json(run.metrics, dict[str, Any])
            write_checked(run.metrics, to_json({**metrics, "withdrawn": gone}))


def _begun_with(run: RunDirectory) -> dict[str, int] | None:
    """Return how many samples of each split the run was begun with, if it is marked already."""
    if not run.withdrawn.exists():
        return None
    try:
        return asdict(read_json(run.withdrawn, _Mark).cohort)
    except DamagedTextError as error:
        raise TrainError(
            f"{run.withdrawn.name} of run {run.run_id} is damaged ({error}), so it is not known how many have "
            "withdrawn. Put it back from a backup or move the run out of the study, then run mm withdraw again."
        ) from error


def _sizes(cohort: pl.DataFrame) -> dict[str, int]:
    return {split: cohort.filter(split=split).height for split in SPLITS}


def _keep(path: Path, table: pl.DataFrame, condition: pl.Expr) -> None:
    """Write a table again with the rows that meet a condition; leave the file alone where all do."""
    kept = table.filter(condition)
    if kept.height < table.height:
        write_checked_table(path, kept)
