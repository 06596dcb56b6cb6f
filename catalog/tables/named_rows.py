"""Rows of columns that name features: each speaks for one session of a participant, or for the participant.

A row is of a session where the table has a column ``session_id``, as BIDS has in ``sessions.tsv`` and some datasets in
``participants.tsv``.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from catalog.tables.cells import tidy
from catalog.tables.named import read_named
from catalog.tables.reports import ColumnReport
from catalog.tables.sidecars import ColumnDescription, Sidecar
from catalog.tables.wanted import Wanted
from mmbase.sessions import FIRST_IMAGING_INSTANCE, instance_of

_KEY = ["eid", "instance"]
"""The instance is null where a row speaks for every visit."""
_NO_VISIT = -1
"""The instance of a session that is no visit with images."""


def read_names(
    texts: pl.DataFrame, spelled: Mapping[str, str], sidecar: Sidecar, wanted: Wanted
) -> tuple[pl.DataFrame, list[ColumnReport], int]:
    """Turn columns that name features into numbers, one row for each participant and session.

    Parameters
    ----------
    texts
        Columns eid, instance, and text by name of the feature.
    spelled
        The columns' headers, by name of the feature.

    Returns
    -------
    polars.DataFrame
        As `Table.named`.
    list[ColumnReport]
        One for each column.
    int
        Values left out because they contradict each other.
    """
    numbers, reports = [], []
    for name, header in spelled.items():
        description = sidecar.get(header.lower(), ColumnDescription())
        of_name, report = read_named(header, texts[name], wanted.names[name], description)
        numbers.append(of_name)
        reports.append(report)
    rows = texts.select("eid", _placed(wanted.sessionless)).with_columns(numbers)
    constants = [name for name in spelled if wanted.names[name].is_constant]
    values, num_contradictions = merge_rows(rows, _KEY)
    clashes = values.select(pl.col(constants).drop_nulls().n_unique().over("eid") > 1)
    num_clashes = sum(values.filter(clash)["eid"].n_unique() for clash in clashes)
    values = values.with_columns(pl.when(~clashes[name]).then(pl.col(name)) for name in constants)
    return values, reports, num_contradictions + num_clashes


def session_instances(sessions: pl.Series) -> pl.Series:
    """Return the visits that the labels of sessions stand for; null where there is none.

    >>> session_instances(pl.Series(["ses-2", "M12", "3.0", "n/a"])).to_list()
    [2, 12, 3, None]
    """
    label = tidy(pl.col("text")).str.replace("(?i)^ses-", "").str.replace(r"^(\d+)\.0+$", "$1")
    texts = pl.DataFrame({"text": sessions}).select(label)["text"]
    instances = {text: instance_of(text) for text in texts.drop_nulls().unique()}
    return texts.replace_strict(list(instances), list(instances.values()), default=None, return_dtype=pl.Int32)


def merge_rows(rows: pl.DataFrame, key: Sequence[str]) -> tuple[pl.DataFrame, int]:
    """Make one row of those of one key; return how many values are left out because rows disagree."""
    is_repeated = rows.select(key).is_duplicated()
    if not is_repeated.any():
        return rows, 0
    distinct = rows.filter(is_repeated).group_by(key).agg(pl.all().drop_nulls().unique())
    columns = distinct.columns[len(key) :]
    merged = distinct.with_columns(pl.when(pl.col(c).list.len() == 1).then(pl.col(c).list.first()) for c in columns)
    num_contradictions = sum(int((distinct[column].list.len() > 1).sum()) for column in columns)
    return pl.concat([rows.filter(~is_repeated), merged]), num_contradictions


def _placed(sessionless: Mapping[int, bool]) -> pl.Expr:
    """Return the visit that a row is of, where images without a session stand for UK Biobank's first imaging visit.

    A participant's only session is the one of images without a session; of several, nothing says which is.
    """
    instance = pl.col("instance")
    if not sessionless:
        return instance
    is_lone = pl.col("eid").is_in([eid for eid, are_all in sessionless.items() if are_all])
    is_only = instance.drop_nulls().n_unique().over("eid") == 1
    is_taken = pl.col("eid").is_in(list(sessionless)) & (instance == FIRST_IMAGING_INSTANCE)
    return (
        pl.when(instance.is_not_null() & is_lone & is_only)
        .then(pl.lit(FIRST_IMAGING_INSTANCE, pl.Int32))
        .when(is_taken)
        .then(pl.lit(_NO_VISIT, pl.Int32))
        .otherwise(instance)
        .alias("instance")
    )
