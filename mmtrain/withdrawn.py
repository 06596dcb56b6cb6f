"""What a run directory loses when participants withdraw, and the mark that says so.

Only the cohort and the predictions speak of every sample, and the settings of those that the audit named. The weights,
the metrics, the curves and the pictures were made from all of them together and stay; the mark, and beside the metrics
their own entry, say how many of those have withdrawn since.
"""

import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import polars as pl

from mmbase.files import draft_of, sync_directory, write_bytes, write_json
from mmbase.names import SPLITS
from mmtrain.errors import TrainError
from mmtrain.run import RunDirectory

SOMEBODY = "withdrawn"
"""Replaces a sample's name in a text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawnSamples:
    """The samples of participants who withdraw."""

    rows: Collection[int]
    sample_ids: Collection[str]


def count_withdrawn(run: RunDirectory, withdrawn: WithdrawnSamples) -> dict[str, int]:
    """Return for each file of a run that speaks of samples, how many of the withdrawn it has.

    Raises
    ------
    TrainError
        A file of a finished run cannot be read.
    """
    cohort, predictions = _read(run, run.cohort), _read(run, run.predictions)
    names = _names(withdrawn, cohort)
    settings = _read_settings(run)
    found = {run.config.name: sum(settings.count(name) for name in names)}
    if cohort is not None:
        found[run.cohort.name] = cohort.filter(_in_cohort(withdrawn)).height
    if predictions is not None:
        found[run.predictions.name] = predictions.filter(_in_predictions(names)).height
    return found


def forget_withdrawn(run: RunDirectory, withdrawn: WithdrawnSamples, date: str) -> None:
    """Take withdrawn participants out of a run's cohort and predictions, and mark the run if it had any of them.

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
    cohort, predictions = _read(run, run.cohort), _read(run, run.predictions)
    names = _names(withdrawn, cohort)
    if cohort is not None and cohort.filter(_in_cohort(withdrawn)).height:
        _mark(run, cohort, cohort.filter(~_in_cohort(withdrawn)), date)
    _forget_names(run, names)
    if predictions is not None:
        _keep(run.predictions, predictions, ~_in_predictions(names))
    if cohort is not None:
        _keep(run.cohort, cohort, ~_in_cohort(withdrawn))
    draft_of(run.config).unlink(missing_ok=True)
    for path, table in ((run.cohort, cohort), (run.predictions, predictions)):
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


def _read(run: RunDirectory, path: Path) -> pl.DataFrame | None:
    """Read a table of a run; None where there is none, or where a kill tore it before the run was finished."""
    if not path.exists():
        return None
    try:
        return pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        if not run.metrics.exists():
            return None
        raise TrainError(
            f"{path.name} of run {run.run_id} is damaged, so it is not known who is in it. Delete it or move the run "
            "out of the study, then run mm withdraw again."
        ) from error


def _in_cohort(withdrawn: WithdrawnSamples) -> pl.Expr:
    return pl.col("row").is_in(sorted(withdrawn.rows))


def _in_predictions(names: Collection[str]) -> pl.Expr:
    return pl.col("sample_id").is_in(sorted(names))


def _names(withdrawn: WithdrawnSamples, cohort: pl.DataFrame | None) -> set[str]:
    """Return the sample ids of withdrawn participants, also where only the cohort still knows them."""
    known = [] if cohort is None else cohort.filter(_in_cohort(withdrawn))["sample_id"].to_list()
    return {*withdrawn.sample_ids, *known}


def _read_settings(run: RunDirectory) -> str:
    return run.config.read_text(encoding="utf-8") if run.config.exists() else ""


def _forget_names(run: RunDirectory, names: Collection[str]) -> None:
    settings = forgotten = _read_settings(run)
    for name in names:
        forgotten = forgotten.replace(name, SOMEBODY)
    if forgotten != settings:
        write_bytes(run.config, forgotten.encode())


def _mark(run: RunDirectory, cohort: pl.DataFrame, kept: pl.DataFrame, date: str) -> None:
    """Say how many samples of the cohort that the run was begun with are gone now."""
    begun_with = json.loads(run.withdrawn.read_text())["cohort"] if run.withdrawn.exists() else _sizes(cohort)
    left = _sizes(kept)
    gone = {split: begun_with[split] - left[split] for split in SPLITS}
    write_json(run.withdrawn, {"date": date, "cohort": begun_with, "withdrawn": gone})
    if run.metrics.exists():
        with suppress(ValueError):  # damaged: the catalogue says so
            write_json(run.metrics, json.loads(run.metrics.read_text(encoding="utf-8")) | {"withdrawn": gone})


def _sizes(cohort: pl.DataFrame) -> dict[str, int]:
    return {split: cohort.filter(split=split).height for split in SPLITS}


def _keep(path: Path, table: pl.DataFrame, condition: pl.Expr) -> None:
    """Write a table again with the rows that meet a condition; leave the file alone where all do."""
    kept = table.filter(condition)
    if kept.height < table.height:
        buffer = BytesIO()
        kept.write_parquet(buffer)
        write_bytes(path, buffer.getvalue())
