"""Read the rows of one table: who is in it, and wanted columns of some participants as text.

The file passes by in pieces, so memory depends on what is kept. Rows without a participant are counted and left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from catalog.errors import TableError
from catalog.tables.headers import TableHeader, decode, find_participants, with_newlines
from catalog.tables.spellings import Spellings, match_labels
from mmbase.printable import shown

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
    num_respelled: int = 0
    """Participants asked for whose label here has other leading zeros."""
    num_ambiguous: int = 0
    """Labels of which leading zeros make it unclear whom they mean, so that they mean nobody."""


def read_rows(
    path: Path,
    header: TableHeader,
    positions: Sequence[int],
    eids: pl.Series,
    labels: Mapping[int, str] | None = None,
) -> TableRows:
    """Read the rows of a table.

    Parameters
    ----------
    positions
        Of the wanted columns.
    eids
        Participants whose values are wanted, int64.
    labels
        Of those who are not called by their number.

    Raises
    ------
    TableError
        There are no rows or no eids, rows are not as long as the header, or the file cannot be parsed.
    """
    source = with_newlines(path.read_bytes()) if header.has_bare_cr else path
    try:
        rows, num_ragged = _collect(path, source, header, positions, eids, labels or {})
        if _has_replaced(rows.wanted):
            source = decode(path.read_bytes() if isinstance(source, Path) else source).encode()
            rows, num_ragged = _collect(path, source, header, positions, eids, labels or {})
    except pl.exceptions.PolarsError as error:
        # the parser's own words may quote a participant's row
        raise TableError(
            f"{shown(path)} cannot be read as a table ({type(error).__name__}). Expected a header and rows of as many "
            "values, separated by commas or tabs, with text in double quotes.",
            "Export it again.",
        ) from None
    if rows.eids.is_empty() and not rows.num_without_eid:
        raise TableError(f"{shown(path)} holds a header and no rows.", "Export it again.")
    if rows.eids.is_empty():
        raise TableError(f"The eid column of {shown(path)} holds no whole numbers above 0.", "Export the table again.")
    if num_ragged:
        raise TableError(
            f"{shown(path)} cannot be read as a table: {num_ragged} rows have more or fewer values than the header.",
            "Export it again; text that holds the separator must be in double quotes.",
        )
    return rows


def _collect(
    path: Path,
    source: Path | bytes,
    header: TableHeader,
    positions: Sequence[int],
    eids: pl.Series,
    labels: Mapping[int, str],
) -> tuple[TableRows, int]:
    """Return the rows, and how many of them are not as long as the header.

    The file is read once, and its labels, where it has some, once before.
    """
    position, holds_labels = find_participants(path, header)
    text = pl.col(str(position)).str.strip_chars()
    number = text.cast(pl.Int64, strict=False)
    spellings = None
    if holds_labels or any(label.isdecimal() for label in labels.values()):
        is_somebody = pl.lit(True) if holds_labels else number > 0
        texts = _scan(source, header, ()).select(text.alias("text").filter(is_somebody)).unique().collect()["text"]
        spellings = match_labels(texts.drop_nulls().to_list(), eids.to_list(), labels)
    eid = pl.when(number > 0).then(number) if spellings is None else _meant(text, spellings)
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
        num_respelled=spellings.num_respelled if spellings else 0,
        num_ambiguous=spellings.num_ambiguous if spellings else 0,
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


def _meant(text: pl.Expr, spellings: Spellings) -> pl.Expr:
    eids = spellings.eids
    return text.replace_strict(list(eids), list(eids.values()), default=None, return_dtype=pl.Int64)


def _has_replaced(wanted: pl.DataFrame) -> bool:
    texts = wanted.drop("eid")
    return texts.width > 0 and bool(texts.select(pl.any_horizontal(pl.all().str.contains(_REPLACED).any())).item())
