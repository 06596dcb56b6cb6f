"""What an audit that reads the stores asks of the catalogue, and what it enters: scans that are nearly identical."""

from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import polars as pl

from catalog.statements import insert_frame, transaction


class StoredScan(NamedTuple):
    """One stored scan."""

    row: int
    sample_id: str
    participant_key: str


class SimilarScans(NamedTuple):
    """Two stored scans of one modality."""

    sample_id: str
    other_sample_id: str
    similarity: float


def stored_scans(connection: duckdb.DuckDBPyConnection, modality: str) -> list[StoredScan]:
    """Return the stored scans of a modality in the order of rows."""
    rows = connection.execute(
        "SELECT row, sample_id, participant_key FROM samples JOIN scans USING (sample_id) "
        "WHERE modality = ? AND status = 'stored' ORDER BY row",
        [modality],
    ).fetchall()
    return [StoredScan(*row) for row in rows]


def visible_rows(connection: duckdb.DuckDBPyConnection) -> frozenset[int]:
    """Return the rows of all samples, but of those of participants who have withdrawn."""
    return frozenset(row for (row,) in connection.execute("SELECT row FROM samples").fetchall())


def held_out_rows(connection: duckdb.DuckDBPyConnection) -> frozenset[int]:
    """Return the rows of validation and test samples."""
    rows = connection.execute("SELECT row FROM samples JOIN splits USING (sample_id) WHERE split <> 'train'").fetchall()
    return frozenset(row for (row,) in rows)


def record_similar_scans(connection: duckdb.DuckDBPyConnection, modality: str, pairs: Sequence[SimilarScans]) -> None:
    """Enter the nearly identical scans of a modality in place of those known before."""
    incoming = pl.DataFrame(
        pairs,
        schema={"sample_id": pl.String, "other_sample_id": pl.String, "similarity": pl.Float64},
        orient="row",
    ).with_columns(pl.lit(modality).alias("modality"))
    with transaction(connection):
        connection.execute("DELETE FROM similar_scan WHERE modality = ?", [modality])
        insert_frame(connection, "INSERT INTO similar_scan BY NAME SELECT * FROM incoming", incoming)
