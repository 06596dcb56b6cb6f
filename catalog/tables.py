"""Read tables of participants into long form: one row for each value that is wanted.

Only the wanted columns are parsed. UK Biobank's headers are known in three forms: ``31-0.0`` (ukbconv csv),
``f.31.0.0`` (ukbconv r and txt) and ``p31_i0_a0`` (Research Analysis Platform). Other tables, such as the
``participants.tsv`` of BIDS, name a feature of the dictionary.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from catalog.errors import TableError
from catalog.records import participant_number

_HEADERS = (
    re.compile(r"(?P<field>\d+)-(?P<instance>\d+)\.(?P<array>\d+)"),
    re.compile(r"f\.(?P<field>\d+)\.(?P<instance>\d+)\.(?P<array>\d+)"),
    re.compile(r"(?:participant\.)?p(?P<field>\d+)(?:_i(?P<instance>\d+))?(?:_a(?P<array>\d+))?"),
)
_EID_HEADERS = ("eid", "f.eid", "participant.eid")
_LABEL_HEADERS = ("participant_id", "id")
_LABEL_PREFIX = "sub-"
_NULLS = ("", "NA", "n/a")
LONG_SCHEMA = {"eid": pl.Int64, "field": pl.Int32, "instance": pl.Int32, "array": pl.Int32, "value": pl.String}
NAMED_SCHEMA = {"eid": pl.Int64, "name": pl.String, "value": pl.String}


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
    parts = [_read_field_columns(path, fields, eids) for path in paths]
    return _agreeing(parts, ("eid", "field", "instance", "array"), LONG_SCHEMA, paths)


def read_named(paths: Sequence[Path], names: Collection[str], eids: Collection[int]) -> pl.DataFrame:
    """Return the values of columns whose header is a name, whatever its case, for some participants.

    Returns
    -------
    polars.DataFrame
        Columns eid, name, value (text as in the table); no missing values.

    Raises
    ------
    TableError
        As `read_fields`.
    """
    parts = []
    for path in paths:
        headers = [header for header in _read_headers(path) if header.lower() in names]
        wide = _read_columns(path, headers, eids)
        parts += [
            _column_values(wide, header).select("eid", pl.lit(header.lower()).alias("name"), "value")
            for header in headers
        ]
    return _agreeing(parts, ("eid", "name"), NAMED_SCHEMA, paths)


def _read_field_columns(path: Path, fields: Collection[int], eids: Collection[int]) -> pl.DataFrame:
    columns = [column for header in _read_headers(path) if (column := _parse_header(header)) and column.field in fields]
    wide = _read_columns(path, [column.header for column in columns], eids)
    parts = [
        _column_values(wide, column.header).select(
            "eid",
            pl.lit(column.field, pl.Int32).alias("field"),
            pl.lit(column.instance, pl.Int32).alias("instance"),
            pl.lit(column.array, pl.Int32).alias("array"),
            "value",
        )
        for column in columns
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema=LONG_SCHEMA)


def _column_values(wide: pl.DataFrame, header: str) -> pl.DataFrame:
    return wide.select("eid", pl.col(header).str.strip_chars().alias("value")).drop_nulls("value")


def _agreeing(
    parts: Sequence[pl.DataFrame], key: Sequence[str], schema: dict[str, type[pl.DataType]], paths: Sequence[Path]
) -> pl.DataFrame:
    """Put the values of several tables together; refuse tables that contradict each other."""
    if not parts:
        return pl.DataFrame(schema=schema)
    values = pl.concat(parts).unique(maintain_order=True)
    differing = values.filter(pl.struct(*key).is_duplicated())
    if not differing.is_empty():
        named = ", ".join(map(str, differing[key[1]].unique().sort()))
        raise TableError(
            f"The tables {', '.join(path.name for path in paths)} give different values for the same participants in "
            f"the {key[1]}s {named}. Leave only the newest of them in the source folders."
        )
    return values


def _read_headers(path: Path) -> list[str]:
    with _table_errors(path):
        return _scan(path).collect_schema().names()


def _read_columns(path: Path, headers: Sequence[str], eids: Collection[int]) -> pl.DataFrame:
    """Return some columns as text, for some participants, behind a column eid."""
    if not headers:
        return pl.DataFrame(schema={"eid": pl.Int64})
    with _table_errors(path):
        table = _scan(path)
        eid = _eid_column(path, table.collect_schema().names())
        eids_here = table.select(eid).collect()["eid"]
        if len(eids_here) and eids_here.null_count() == len(eids_here):
            raise TableError(f"The eid column of {path.name} holds no whole numbers. Export the table again.")
        wide = table.select(eid, *headers).filter(pl.col("eid").is_in(list(eids))).collect()
    if wide["eid"].is_duplicated().any():
        raise TableError(f"{path.name} names a participant in two rows; expected one row each. Remove the repeats.")
    return wide


def _scan(path: Path) -> pl.LazyFrame:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first_line = file.readline()
    separator = max("\t,", key=first_line.count)
    return pl.scan_csv(path, separator=separator, infer_schema=False, null_values=list(_NULLS), encoding="utf8-lossy")


def _eid_column(path: Path, headers: Sequence[str]) -> pl.Expr:
    for header in headers:
        if header in _EID_HEADERS:
            return pl.col(header).cast(pl.Int64, strict=False).alias("eid")
        if header in _LABEL_HEADERS:
            labels = pl.col(header).str.strip_chars().str.strip_prefix(_LABEL_PREFIX)
            return labels.map_elements(participant_number, return_dtype=pl.Int64).alias("eid")
    raise TableError(f"{path.name} has no eid column; expected one of {', '.join((*_EID_HEADERS, *_LABEL_HEADERS))}.")


@contextmanager
def _table_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except pl.exceptions.PolarsError as error:
        # the parser's own words may quote a participant's row
        raise TableError(
            f"{path.name} cannot be read as a table ({type(error).__name__}). Expected a header and rows of as many "
            "values, separated by commas or tabs, with text in double quotes. Export it again."
        ) from None


def _parse_header(header: str) -> _Column | None:
    for pattern in _HEADERS:
        if match := pattern.fullmatch(header):
            return _Column(header, int(match["field"]), int(match["instance"] or 0), int(match["array"] or 0))
    return None
