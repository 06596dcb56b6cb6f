"""What a study holds, in numbers."""

from dataclasses import dataclass
from typing import Any

import duckdb

from catalog.statements import fetch_integer
from mmbase.names import SPLITS


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogSummary:
    """Counts of everything in a catalogue."""

    participants: int
    samples: int
    withdrawn: int
    scans: dict[str, dict[str, int]]
    """Modality to status to number of scans."""
    rejected: dict[str, dict[str, int]]
    """Modality to reason to number of scans."""
    from_other_copies: int
    """Scans stored from another copy than their first; their `detail` says why."""
    splits: dict[str, int]
    features: int
    """Features that at least one sample has."""
    runs: list[dict[str, Any]]
    """One for each run and target: what the catalogue knows of it, a metric as ``SPLIT_NAME``."""


def summarise(connection: duckdb.DuckDBPyConnection) -> CatalogSummary:
    """Count what the catalogue holds."""
    scans: dict[str, dict[str, int]] = {}
    rejected: dict[str, dict[str, int]] = {}
    from_other_copies = 0
    for modality, status, reason, number, num_other in connection.execute(_SCANS_SQL).fetchall():
        from_other_copies += num_other
        counts = scans.setdefault(modality, {"stored": 0, "rejected": 0, "absent": 0})
        counts[status] += number
        if status == "rejected":
            rejected.setdefault(modality, {})[reason] = number
    return CatalogSummary(
        participants=_count(connection, "participants"),
        samples=_count(connection, "samples"),
        withdrawn=_count(connection, "withdrawn"),
        scans=scans,
        rejected=rejected,
        from_other_copies=from_other_copies,
        splits=dict.fromkeys(SPLITS, 0)
        | dict(connection.execute("SELECT split, count(*) FROM splits GROUP BY split").fetchall()),
        features=_count(connection, "(SELECT DISTINCT name FROM features)"),
        runs=_list_runs(connection),
    )


def _list_runs(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    runs = connection.execute(
        "SELECT run_id, target, kind, inputs, n_train, n_val, n_test, withdrawn FROM runs ORDER BY run_id, target"
    )
    names = [column[0] for column in runs.description or []]
    entries = [
        {name: value for name, value in zip(names, row, strict=True) if value is not None} for row in runs.fetchall()
    ]
    of_run = {(entry["run_id"], entry["target"]): entry for entry in entries}
    measured = connection.execute(
        "SELECT run_id, target, split || '_' || name, value FROM metric SEMI JOIN run USING (run_id, target) "
        "WHERE value IS NOT NULL ORDER BY metric.rowid"
    )
    for run_id, target, metric, value in measured.fetchall():
        of_run[run_id, target][metric] = value
    return entries


_SCANS_SQL = """
    SELECT
        modality, status, CASE WHEN status = 'rejected' THEN reason END AS rejection, count(*),
        count(*) FILTER (status = 'stored' AND detail <> '')
    FROM scans GROUP BY ALL ORDER BY ALL
"""
"""One pass: the view pairs every sample with every modality."""


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    return fetch_integer(connection, f"SELECT count(*) FROM {relation}")
