"""What a study holds, in numbers."""

from dataclasses import dataclass
from typing import Any

import duckdb

from catalog.database import fetch_integer
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
    splits: dict[str, int]
    features: int
    """Features that at least one sample has."""
    runs: list[dict[str, Any]]


def summarise(connection: duckdb.DuckDBPyConnection) -> CatalogSummary:
    """Count what the catalogue holds."""
    scans: dict[str, dict[str, int]] = {}
    rejected: dict[str, dict[str, int]] = {}
    for modality, status, reason, number in connection.execute(_SCANS_SQL).fetchall():
        counts = scans.setdefault(modality, {"stored": 0, "rejected": 0, "absent": 0})
        counts[status] += number
        if status == "rejected":
            rejected.setdefault(modality, {})[reason] = number
    runs = connection.execute("SELECT * FROM runs ORDER BY run_id")
    names = [column[0] for column in runs.description or []]
    run_rows = runs.fetchall()
    return CatalogSummary(
        participants=_count(connection, "participants"),
        samples=_count(connection, "samples"),
        withdrawn=_count(connection, "withdrawn"),
        scans=scans,
        rejected=rejected,
        splits=dict.fromkeys(SPLITS, 0)
        | dict(connection.execute("SELECT split, count(*) FROM splits GROUP BY split").fetchall()),
        features=_count(connection, "(SELECT DISTINCT name FROM features)"),
        runs=[{k: v for k, v in zip(names, row, strict=True) if v is not None} for row in run_rows],
    )


_SCANS_SQL = """
    SELECT modality, status, CASE WHEN status = 'rejected' THEN reason END AS rejection, count(*)
    FROM scans GROUP BY ALL ORDER BY ALL
"""
"""One pass: the view pairs every sample with every modality."""


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    return fetch_integer(connection, f"SELECT count(*) FROM {relation}")
