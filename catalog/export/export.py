"""Write the features of every sample, or counts of groups alone, to a file for other programs; never an eid."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import polars as pl

from catalog.export.files import require_writable, write_frame
from catalog.export.group_counts import GroupTable
from catalog.features import feature_columns
from catalog.fields import Dictionary
from catalog.statements import fetch_frame
from catalog.targets import choose_features

SAMPLE_COLUMNS = ("sample_id", "row", "split")
"""What a sample has beside its features."""
SUFFIXES = (".parquet", ".csv")


def export_features(
    connection: duckdb.DuckDBPyConnection,
    dictionary: Dictionary,
    names: Sequence[str],
    path: Path,
    *,
    overwrite: bool = False,
) -> int:
    """Write one row for each sample: sample_id, row, split, then its features, null where it has no value.

    Parameters
    ----------
    names
        Features to write, in the dictionary's order whatever theirs is; none stands for all.
    path
        Ends in .parquet or .csv, which says how to write.

    Returns
    -------
    int
        Samples written.

    Raises
    ------
    UnknownTargetError
        The dictionary has no feature of a name; suggests the nearest.
    CatalogError
        The file ends otherwise, or is there already and not to be overwritten.
    """
    chosen = choose_features(dictionary, names)
    require_writable(path, SUFFIXES, overwrite=overwrite)
    frame = feature_frame(connection, chosen)
    write_frame(path, frame, {name: dictionary[name].unit for name in chosen})
    return frame.height


def export_groups(tables: Sequence[GroupTable], path: Path, *, overwrite: bool = False) -> int:
    """Write group counts, means and standard deviations, one in a row as `group_frame` returns them.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    CatalogError
        The file ends otherwise, or is there already and not to be overwritten.
    """
    require_writable(path, SUFFIXES, overwrite=overwrite)
    frame = group_frame(tables)
    if path.suffix == ".csv":
        frame = frame.with_columns(pl.col("number").cast(pl.String).str.strip_suffix(".0"))  # a count is no decimal
    write_frame(path, frame)
    return frame.height


def group_frame(tables: Sequence[GroupTable]) -> pl.DataFrame:
    """Return every number of tables in a row of its own.

    Returns
    -------
    polars.DataFrame
        feature, unit, by, group, statistic (count, mean or sd), value (what is counted), number (null where it is
        suppressed), suppressed.
    """
    rows = [
        (table.feature, table.unit, table.by, group, statistic, value, number, number is None)
        for table in tables
        for column, group in enumerate(table.groups)
        for statistic, value, number in _numbers(table, column)
    ]
    texts = ("feature", "unit", "by", "group", "statistic", "value")
    schema = {**dict.fromkeys(texts, pl.String), "number": pl.Float64, "suppressed": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")


def feature_frame(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> pl.DataFrame:
    """Return sample_id, row, split and features of every sample, in the order of rows."""
    samples = fetch_frame(
        connection, f"SELECT {', '.join(SAMPLE_COLUMNS)} FROM samples JOIN splits USING (sample_id) ORDER BY row"
    )
    return samples.with_columns(feature_columns(connection, samples["row"], names))


def _numbers(table: GroupTable, column: int) -> Iterator[tuple[str, str, float | None]]:
    for value, counts in zip(table.values, table.counts_RC, strict=True):
        yield "count", value, counts[column]
    if table.is_measured:
        yield "mean", "", table.means_C[column]
        yield "sd", "", table.sds_C[column]
