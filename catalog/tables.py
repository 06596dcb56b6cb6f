"""Read UK Biobank tables into long form: one row for each value of each field that is wanted.

Only the wanted columns are parsed. Headers are known in three forms: ``31-0.0`` (ukbconv csv), ``f.31.0.0`` (ukbconv r
and txt) and ``p31_i0_a0`` (Research Analysis Platform).
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from catalog.errors import TableError

_HEADERS = (
    re.compile(r"(?P<field>\d+)-(?P<instance>\d+)\.(?P<array>\d+)"),
    re.compile(r"f\.(?P<field>\d+)\.(?P<instance>\d+)\.(?P<array>\d+)"),
    re.compile(r"(?:participant\.)?p(?P<field>\d+)(?:_i(?P<instance>\d+))?(?:_a(?P<array>\d+))?"),
)
_EID_HEADERS = ("eid", "f.eid", "participant.eid")
_NULLS = ("", "NA")
LONG_SCHEMA = {"eid": pl.Int64, "field": pl.Int32, "instance": pl.Int32, "array": pl.Int32, "value": pl.String}


@dataclass(frozen=True, slots=True)
class _Column:
    header: str
    field: int
    instance: int
    array: int


def read_fields(paths: Sequence[Path], fields: Collection[int], eids: Collection[int]) -> pl.DataFrame:
    """Return every value of some fields for some participants.

    Returns
    -------
    polars.DataFrame
        Columns eid, field, instance, array, value (text as in the table); no missing values.

    Raises
    ------
    TableError
        A table cannot be parsed or names a participant twice, or two tables differ.
    """
    parts = [_read_table(path, fields, eids) for path in paths]
    if not parts:
        return pl.DataFrame(schema=LONG_SCHEMA)
    values = pl.concat(parts).unique(maintain_order=True)
    differing = values.filter(pl.struct("eid", "field", "instance", "array").is_duplicated())
    if not differing.is_empty():
        names = ", ".join(path.name for path in paths)
        fields_named = ", ".join(map(str, differing["field"].unique().sort()))
        raise TableError(
            f"The tables {names} give different values for the same participants in the fields {fields_named}. "
            "Leave only the newest of them in the source folders."
        )
    return values


def _read_table(path: Path, fields: Collection[int], eids: Collection[int]) -> pl.DataFrame:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            first_line = file.readline()
        separator = max("\t,", key=first_line.count)
        table = pl.scan_csv(
            path, separator=separator, infer_schema=False, null_values=list(_NULLS), encoding="utf8-lossy"
        )
        headers = table.collect_schema().names()
        eid_header = next((header for header in headers if header in _EID_HEADERS), None)
        if eid_header is None:
            raise TableError(f"{path.name} has no eid column; expected one of {', '.join(_EID_HEADERS)}.")
        eids_here = table.select(pl.col(eid_header).cast(pl.Int64, strict=False)).collect()
        if eids_here.height and eids_here[eid_header].null_count() == eids_here.height:
            raise TableError(f"The eid column of {path.name} holds no whole numbers. Export the table again.")
        columns = [column for header in headers if (column := _parse_header(header)) and column.field in fields]
        wide = (
            table.select(pl.col(eid_header).cast(pl.Int64, strict=False).alias("eid"), *[c.header for c in columns])
            .filter(pl.col("eid").is_in(list(eids)))
            .collect()
        )
    except pl.exceptions.PolarsError as error:
        # the parser's own words may quote a participant's row
        raise TableError(
            f"{path.name} cannot be read as a table ({type(error).__name__}). Expected a header and rows of as many "
            "values, separated by commas or tabs, with text in double quotes. Export it again."
        ) from None
    if wide["eid"].is_duplicated().any():
        raise TableError(f"{path.name} names a participant in two rows; expected one row each. Remove the repeats.")
    parts = [
        wide.select(
            "eid",
            pl.lit(column.field, pl.Int32).alias("field"),
            pl.lit(column.instance, pl.Int32).alias("instance"),
            pl.lit(column.array, pl.Int32).alias("array"),
            pl.col(column.header).str.strip_chars().alias("value"),
        ).drop_nulls("value")
        for column in columns
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema=LONG_SCHEMA)


def _parse_header(header: str) -> _Column | None:
    for pattern in _HEADERS:
        if match := pattern.fullmatch(header):
            return _Column(header, int(match["field"]), int(match["instance"] or 0), int(match["array"] or 0))
    return None
