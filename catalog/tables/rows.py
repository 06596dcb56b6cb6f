"""Read the rows of one table: who is in it, and wanted columns of some participants as text.

The file passes by in pieces, so memory depends on what is kept. Rows without a participant are counted and left out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from catalog.errors import TableError
from catalog.tables.cells import NULLS
from catalog.tables.headers import TableHeader, find_participants
from mmbase.records import participant_number

_LABEL_PREFIX = "sub-"
_NOBODY = re.compile(r"-\d+|0+|redacted", re.ASCII | re.IGNORECASE)
_OVERFLOW = "overflow"
"""A column behind the last one, for rows that are too long."""
_NEVER = "\x00"
"""No cell holds it: the null of the last column, where quotes around nothing tell a whole row from a short one."""
_REPLACED = "\ufffd"
"""What the parser puts in place of bytes that are not UTF-8."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRows:
    """The rows of one table, blank lines left out."""

    eids: pl.Series = field(repr=False)
    """Of every row that has one."""
    num_without_eid: int
    """Rows that are nobody's."""
    wanted: pl.DataFrame = field(repr=False)
    """Column eid, and wanted columns as text by position (``"3"``), of the participants asked for."""


def read_rows(path: Path, header: TableHeader, positions: Sequence[int], eids: pl.Series) -> TableRows:
    """Read the rows of a table.

    Parameters
    ----------
    positions
        Of the wanted columns.
    eids
        Participants whose values are wanted, int64.

    Raises
    ------
    TableError
        There are no rows or no eids, rows are not as long as the header, or the file cannot be parsed.
    """
    try:
        rows, num_ragged = _collect(path, path, header, positions, eids)
        if _has_replaced(rows.wanted):
            rows, num_ragged = _collect(path, _in_utf8(path), header, positions, eids)
    except pl.exceptions.PolarsError as error:
        # the parser's own words may quote a participant's row
        raise TableError(
            f"{path.name} cannot be read as a table ({type(error).__name__}). Expected a header and rows of as many "
            "values, separated by commas or tabs, with text in double quotes.",
            "Export it again.",
        ) from None
    if rows.eids.is_empty() and not rows.num_without_eid:
        raise TableError(f"{path.name} holds a header and no rows.", "Export it again.")
    if rows.eids.is_empty():
        raise TableError(f"The eid column of {path.name} holds no whole numbers above 0.", "Export the table again.")
    if num_ragged:
        raise TableError(
            f"{path.name} cannot be read as a table: {num_ragged} rows have more or fewer values than the header.",
            "Export it again; text that holds the separator must be in double quotes.",
        )
    return rows


def _collect(
    path: Path, source: Path | bytes, header: TableHeader, positions: Sequence[int], eids: pl.Series
) -> tuple[TableRows, int]:
    """Return the rows, and how many of them are not as long as the header; the file is read once."""
    eid = _participants(path, header)
    last = pl.col(str(len(header.names) - 1))
    columns = [pl.col(str(position)) for position in positions]
    is_short = last.is_null() if header.is_quoted else pl.lit(False)
    is_ragged = eid.is_not_null() & (is_short | pl.col(_OVERFLOW).is_not_null())
    cells = _scan(source, header, positions).select(
        eid.alias("eid"), is_ragged.alias("is_ragged"), last.alias("last").is_null(), *columns
    )
    nobodies = cells.filter(pl.col("eid").is_null())
    is_blank = pl.all_horizontal(pl.col("last"), *(column.is_null() for column in columns))
    rows, blank, wanted = pl.collect_all(
        [
            cells.select("eid", "is_ragged"),
            nobodies.select(is_blank.sum()),
            cells.drop("is_ragged", "last").filter(pl.col("eid").is_in(eids.implode())),
        ],
        engine="streaming",
    )
    found = TableRows(
        eids=rows["eid"].drop_nulls(),
        num_without_eid=rows["eid"].null_count() - int(blank.item()),
        wanted=wanted,
    )
    return found, int(rows["is_ragged"].sum())


def _scan(source: Path | bytes, header: TableHeader, positions: Sequence[int]) -> pl.LazyFrame:
    names = [str(position) for position in range(len(header.names))]
    nulls = {str(position): "" for position in positions} | {names[-1]: _NEVER}
    return pl.scan_csv(
        source,
        has_header=False,
        skip_lines=1,
        separator=header.separator,
        quote_char=header.quote,
        schema=dict.fromkeys([*names, _OVERFLOW], pl.String()),
        missing_columns="insert",
        null_values=nulls,
        encoding="utf8-lossy",
        glob=False,
    )


def _participants(path: Path, header: TableHeader) -> pl.Expr:
    """Return the participant of each row, null where it is nobody's."""
    position, holds_labels = find_participants(path, header)
    text = pl.col(str(position)).str.strip_chars()
    if holds_labels:
        return text.str.strip_prefix(_LABEL_PREFIX).map_elements(_labelled_participant, return_dtype=pl.Int64)
    number = text.cast(pl.Int64, strict=False)
    return pl.when(number > 0).then(number)


def _labelled_participant(label: str) -> int | None:
    return None if label.lower() in NULLS or _NOBODY.fullmatch(label) else participant_number(label)


def _has_replaced(wanted: pl.DataFrame) -> bool:
    texts = wanted.drop("eid")
    return texts.width > 0 and bool(texts.select(pl.any_horizontal(pl.all().str.contains(_REPLACED).any())).item())


def _in_utf8(path: Path) -> bytes:
    """Return a file's content in UTF-8, whether it is that or latin-1."""
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1").encode()
    return content
