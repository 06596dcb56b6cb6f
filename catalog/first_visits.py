"""Each participant once: the first imaging visit stands for the person."""

from collections.abc import Mapping, Sequence

import duckdb
import polars as pl

from catalog.features import feature_columns
from catalog.statements import fetch_frame
from mmbase.names import SPLITS

FIRST_VISITS_SQL = """
    SELECT row, split FROM samples JOIN splits USING (sample_id)
    QUALIFY row_number() OVER (PARTITION BY participant_key ORDER BY instance) = 1
"""
_SIZES_SQL = """
    SELECT split, count(*), count(DISTINCT participant_key) FROM samples JOIN splits USING (sample_id) GROUP BY split
"""


def first_visits(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return row and split of each participant's first visit, by row."""
    return fetch_frame(connection, f"SELECT row, split FROM ({FIRST_VISITS_SQL}) ORDER BY row")


def label_frame(connection: duckdb.DuckDBPyConnection, names: Sequence[str], splits: Sequence[str]) -> pl.DataFrame:
    """Return features of each participant of some splits, a column for each; null where there is no value."""
    rows = first_visits(connection).filter(pl.col("split").is_in(splits))["row"]
    return pl.DataFrame(list(feature_columns(connection, rows, names)))


def count_splits(connection: duckdb.DuckDBPyConnection) -> Mapping[str, tuple[int, int]]:
    """Return the samples and participants of each split."""
    found = {split: (samples, people) for split, samples, people in connection.execute(_SIZES_SQL).fetchall()}
    return {split: found.get(split, (0, 0)) for split in SPLITS}
