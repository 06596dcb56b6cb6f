"""Enter trained models: run directories are the truth, the catalogue is their index.

Terms
-----
entry    what the catalogue keeps of one run and one of its targets; a run with several targets has several.
mark     the file that says how many samples of a run's cohort have withdrawn since.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import polars as pl

from catalog.database import open_in_place
from catalog.errors import CatalogError
from catalog.statements import insert_frame, transaction
from mmbase.checksums import is_unchanged
from mmbase.json_text import Count, DamagedTextError, parse_content, read_json
from mmbase.names import SPLITS
from mmbase.records import SplitSizes
from mmbase.run_folders import is_gone, is_here

METRICS_FILE, MARK_FILE = "metrics.json", "withdrawn.json"
_RUN = {
    **dict.fromkeys(("run_id", "target", "kind", "inputs"), pl.String),
    **dict.fromkeys((*(f"n_{split}" for split in SPLITS), "withdrawn"), pl.Int64),
}
_METRIC = {
    **dict.fromkeys(("run_id", "target", "split", "name"), pl.String),
    **dict.fromkeys(("value", "low", "high"), pl.Float64),
}
_Row: TypeAlias = tuple[str | int | float | None, ...]


@dataclass(frozen=True, slots=True)
class _Target:
    """What metrics.json says of one target."""

    kind: str
    n: SplitSizes
    val: dict[str, float | None]
    test: dict[str, float | None]
    train: dict[str, float | None] = field(default_factory=dict)
    """Left out: no model has to be measured on what it has learnt."""
    intervals: dict[str, dict[str, tuple[float, float] | None]] = field(default_factory=dict)
    """Split to metric to its ends; left out by mm 0.1.0."""

    def rows(self, split: str) -> Iterator[tuple[str, str, float | None, float | None, float | None]]:
        """Yield split, name, value, and both ends of the interval of each metric."""
        for name, value in getattr(self, split).items():
            low, high = self.intervals.get(split, {}).get(name) or (None, None)
            yield split, name, value, low, high


@dataclass(frozen=True, slots=True)
class _OneTarget(_Target):
    target: str = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class _Metrics:
    """What metrics.json holds, as far as it is read again."""

    inputs: list[str]
    diagnostic: bool = False
    """Whether the inputs were the labels: a check, which is no result."""
    targets: dict[str, _Target] = field(default_factory=dict)
    """Left out where there is one: then what it says of that stands beside."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """What the mark of withdrawn samples holds, as far as it is read again."""

    withdrawn: dict[str, Count]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEntry:
    """One run and one of its targets."""

    run_id: str
    target: str
    kind: str
    inputs: str
    """Joined by ``+``."""
    n: Mapping[str, int]
    """Samples of each split that have a value of the target."""
    metrics: tuple[tuple[str, str, float | None, float | None, float | None], ...]
    """Split, name, value and both ends of the interval of each, whatever its name."""
    withdrawn: int | None
    """Samples of the cohort that have withdrawn since; None: the run bears no mark."""

    @property
    def row(self) -> _Row:
        """What the table of runs holds."""
        counts = (self.n[split] for split in SPLITS)
        return self.run_id, self.target, self.kind, self.inputs, *counts, self.withdrawn

    @property
    def metric_rows(self) -> list[_Row]:
        """What the table of metrics holds."""
        return [(self.run_id, self.target, *metric) for metric in self.metrics]


def run_entries(run_id: str, metrics: Mapping[str, Any], *, withdrawn: int | None = None) -> list[RunEntry]:
    """Return what is to be kept of a run from its metrics.json: an entry for each target; of a wiring check nothing.

    Raises
    ------
    DamagedTextError
        The content is not as training writes it.

    Examples
    --------
    >>> n = {"train": 80, "val": 10, "test": 10}
    >>> age = {"kind": "regression", "n": n, "val": {"mae": 3.5}, "test": {"mae": 4}}
    >>> [entry] = run_entries("age_t1", {"target": "age", "inputs": ["t1", "dwi"], **age})
    >>> entry.inputs, entry.metrics
    ('t1+dwi', (('val', 'mae', 3.5, None, None), ('test', 'mae', 4.0, None, None)))
    >>> [entry.target for entry in run_entries("both", {"inputs": ["t1"], "targets": {"age": age, "sex": age}})]
    ['age', 'sex']
    """
    read = parse_content(metrics, _Metrics)
    if read.diagnostic:
        return []
    targets = read.targets
    if "targets" not in metrics:
        one = parse_content(metrics, _OneTarget)
        targets = {one.target: one}
    return [
        RunEntry(
            run_id=run_id,
            target=name,
            kind=target.kind,
            inputs="+".join(read.inputs),
            n={split: getattr(target.n, split) for split in SPLITS},
            metrics=tuple(row for split in SPLITS for row in target.rows(split)),
            withdrawn=withdrawn,
        )
        for name, target in targets.items()
    ]


def enter_run(
    catalog: Path,
    run: Path,
    *,
    home: Path | None = None,
    elsewhere: Sequence[Path] = (),
    wait_seconds: float = 0.0,
) -> list[str]:
    """Enter one finished run in place of what the catalogue held of it.

    What it costs does not depend on the size of the catalogue, and of the runs that are entered already no more than
    their names is looked at. Those whose directory is gone are dropped, and finished runs that a kill has kept out are
    entered with it.

    Parameters
    ----------
    catalog
        The file; it is made where there is none.
    run
        Directory of the run.
    home
        The folder that the study's runs lie in; None: the one that this run lies in.
    elsewhere
        Directories of the study's runs in other folders, also of those that cannot be reached now.
    wait_seconds
        How long to wait for another writer.

    Returns
    -------
    list of str
        Other runs that are not entered because their metrics.json or mark cannot be read.

    Raises
    ------
    CatalogLockedError
        Another process is writing; the next run that ends, or `index_runs`, enters this one too.
    CatalogError
        The metrics of the run cannot be read, or the catalogue is damaged.
    """
    with open_in_place(catalog, wait_seconds=wait_seconds) as connection:
        try:  # only now: a withdrawal that was waited for has marked the run
            entries = _read_entries(run)
        except (OSError, DamagedTextError) as error:
            raise CatalogError(
                f"{METRICS_FILE} of run {run.name} cannot be read ({_why(error)}), so the run is not entered.",
                "Train it again, or move its directory out of the study.",
            ) from error
        known = {name for (name,) in connection.execute("SELECT DISTINCT run_id FROM run").fetchall()}
        there = {path.name: path for path in elsewhere if not is_gone(path)}
        there |= {entry.name: Path(entry) for entry in os.scandir(home or run.parent)}
        others = [there[name] for name in sorted(there.keys() - known - {run.name})]
        found, unreadable = _read_runs(path for path in others if is_here(path) and (path / METRICS_FILE).exists())
        found[run.name] = entries
        written = [*found, *sorted(known - there.keys() - {run.name})]
        _replace_entries(connection, written, [entry for of_run in found.values() for entry in of_run])
    return unreadable


def index_runs(
    connection: duckdb.DuckDBPyConnection, runs_directory: Path, elsewhere: Sequence[Path] = ()
) -> list[str]:
    """Enter every finished run that lies on disk, and drop those that are gone; write only what differs.

    Parameters
    ----------
    elsewhere
        Directories of the study's runs in other folders. Those that cannot be reached now stay as they are entered.

    Returns
    -------
    list of str
        Runs whose metrics.json or mark cannot be read; they are not entered.
    """
    there = {path.name: path for path in elsewhere if is_here(path) and (path / METRICS_FILE).exists()}
    there |= {path.parent.name: path.parent for path in runs_directory.glob(f"*/{METRICS_FILE}")}
    found, unreadable = _read_runs(there[name] for name in sorted(there))
    entered = _entered(connection)
    changed = {name: entries for name, entries in found.items() if _told(entries) != entered.get(name)}
    unseen = {path.name for path in elsewhere if not (is_here(path) or is_gone(path))}
    gone = sorted(entered.keys() - found.keys() - unseen)
    if changed or gone:
        with transaction(connection):
            _replace_entries(connection, [*changed, *gone], [e for entries in changed.values() for e in entries])
    return unreadable


def _read_runs(runs: Iterable[Path]) -> tuple[dict[str, list[RunEntry]], list[str]]:
    """Return the entries of some runs by name, and the names of those that cannot be read."""
    found, unreadable = dict[str, list[RunEntry]](), list[str]()
    for run in runs:
        try:
            if entries := _read_entries(run):
                found[run.name] = entries
        except (OSError, DamagedTextError):
            unreadable.append(run.name)
    return found, unreadable


def _read_entries(run: Path) -> list[RunEntry]:
    if not is_unchanged(run / METRICS_FILE):
        raise DamagedTextError("it is not as it was written")
    metrics = read_json(run / METRICS_FILE, dict[str, Any])
    return run_entries(run.name, metrics, withdrawn=_num_withdrawn(run / MARK_FILE))


def _num_withdrawn(mark: Path) -> int | None:
    if not mark.exists():
        return None
    return sum(read_json(mark, _Mark).withdrawn.values())


def _why(error: OSError | DamagedTextError) -> str:
    return str(error.strerror if isinstance(error, OSError) else error)


def _told(entries: Sequence[RunEntry]) -> set[str]:
    """Return what entries say, so that it can be compared: no number is unlike itself as a text."""
    return {repr(row) for entry in entries for row in (entry.row, *entry.metric_rows)}


def _entered(connection: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """Return what the catalogue says of each run, as `_told`."""
    entered: dict[str, set[str]] = {}
    for table, columns in (("run", _RUN), ("metric", _METRIC)):
        for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall():
            entered.setdefault(row[0], set()).add(repr(row))
    return entered


def _replace_entries(
    connection: duckdb.DuckDBPyConnection, run_ids: Sequence[str], entries: Sequence[RunEntry]
) -> None:
    """Put entries in place of all that the catalogue holds of some runs.

    A row whose key stays is replaced, not deleted and inserted: DuckDB 1.2 takes that for a key that comes twice.
    """
    runs = pl.DataFrame([entry.row for entry in entries], schema=_RUN, orient="row")
    metrics = pl.DataFrame([row for entry in entries for row in entry.metric_rows], schema=_METRIC, orient="row")
    connection.execute("DELETE FROM metric WHERE run_id IN (SELECT unnest($runs))", {"runs": list(run_ids)})
    insert_frame(connection, "INSERT INTO metric BY NAME SELECT * FROM incoming", metrics)
    insert_frame(connection, "INSERT OR REPLACE INTO run BY NAME SELECT * FROM incoming", runs)
    connection.execute(
        "DELETE FROM run WHERE run_id IN (SELECT unnest($runs)) "
        "AND (run_id, target) NOT IN (SELECT unnest($kept), unnest($targets))",
        {"runs": list(run_ids), "kept": runs["run_id"].to_list(), "targets": runs["target"].to_list()},
    )
