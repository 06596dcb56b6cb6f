"""What the first line of a table says: how its cells are separated, and which field each column holds.

UK Biobank's headers are known in three forms: ``31-0.0`` (ukbconv csv, and the platform's UKB-FORMAT), ``f.31.0.0``
(ukbconv r and txt) and ``p31_i0_a0`` (Research Analysis Platform). A platform's column without an array holds all
answers of a question that may have several. R's programs make others of the first two: ``X31.0.0`` (read.csv),
``sex_f31_0_0`` (ukbtools), ``f_31_0_0`` and ``x31_0_0`` (janitor).

Names of columns are compared without case.
"""

import csv
import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import TableError
from mmbase.input_files import require_lines
from mmbase.printable import shown

EID_HEADERS = ("eid", "f.eid", "participant.eid", "f_eid", "participant_eid", "x.eid")
"""Columns of participant numbers."""
LABEL_HEADERS = ("participant_id", "biobank_id", "id")
"""Columns of participant labels, as in BIDS and in the reference study."""
SESSION_HEADERS = ("session_id", "session", "ses")
"""Columns that say of which session a row is."""
_FLAGS = re.ASCII | re.IGNORECASE
_FIELD_HEADERS = (
    re.compile(r"(?P<field>\d+)-(?P<instance>\d+)\.(?P<array>\d+)", _FLAGS),
    re.compile(r"f\.(?P<field>\d+)\.(?P<instance>\d+)\.(?P<array>\d+)", _FLAGS),
    re.compile(r"(?:participant\.)?p(?P<field>\d+)(?:_i(?P<instance>\d+))?(?:_a(?P<array>\d+))?", _FLAGS),
    re.compile(r"x(?P<field>\d+)(?P<mark>[._])(?P<instance>\d+)(?P=mark)(?P<array>\d+)", _FLAGS),
    re.compile(r"(?:\w+_)?f_?(?P<field>\d+)_(?P<instance>\d+)_(?P<array>\d+)", _FLAGS),
)
_UNQUOTED_FORM = b"f.eid\t"
"""How ukbconv's r and txt begin; they know no quotes, so that one in a cell is part of its text."""
_QUOTED_ROW = re.compile(rb'"(?:[^"]|"")*+"(?:[,;\t]"(?:[^"]|"")*+")*')
_HEAD_BYTES = 1024
_TAIL_BYTES = 1 << 22
"""More than any row is long."""


@dataclass(frozen=True, slots=True)
class FieldColumn:
    """A column of a UK Biobank field."""

    position: int
    """Among the table's columns, from 0."""
    field: int
    instance: int
    array: int | None
    """None where one column holds all answers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableHeader:
    """The first line of a table."""

    names: tuple[str, ...]
    separator: str
    quote: str | None
    """The mark around cells; None where the form has none."""
    is_quoted: bool
    """Whether every cell is quoted, also an empty one, so that a row that ends early can be told from empty cells."""
    has_bare_cr: bool = False
    """Whether lines end with CR alone, as old programs of the Macintosh leave them."""

    def find(self, known: Sequence[str]) -> int | None:
        """Return the position of the first column of the first known name, in lower case; None without one."""
        folded = [name.lower() for name in self.names]
        return next((folded.index(name) for name in known if name in folded), None)


def read_header(path: Path) -> TableHeader:
    """Read a table's first line.

    Raises
    ------
    TableError
        The file cannot be opened, is empty or no plain text, has an empty first line, or ends inside a row.
    """
    try:
        require_lines(path, _TAIL_BYTES)
        with path.open("rb") as file:
            start = file.read(_HEAD_BYTES)
            file.seek(0)
            line, row = file.readline(), file.readline()
    except OSError as error:
        raise TableError(f"{shown(path)} cannot be opened as a table ({error.strerror}).") from None
    if b"\x00" in start:
        raise TableError(
            f"{shown(path)} is no plain text: it is UTF-16, a spreadsheet or an archive. Expected CSV or TSV in UTF-8.",
            "Export it again, or save it as CSV UTF-8.",
        )
    header = parse_header(line, shown(path))
    if row.strip() and not _QUOTED_ROW.fullmatch(row.rstrip(b"\r\n")):  # R quotes names and texts, not numbers
        header = dataclasses.replace(header, is_quoted=False)
    _require_whole_last_row(path, header)
    return header


def parse_header(line: bytes, table: str) -> TableHeader:
    """Take a table's first line apart, which may go on behind a CR.

    Parameters
    ----------
    table
        Its name, for messages.

    Raises
    ------
    TableError
        It is empty or no row of column names.
    """
    first, *others = line.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n").split(b"\r")
    text = decode(first)
    if not text.strip():
        raise TableError(f"{table} is empty. Expected a header and rows.")
    separator = max("\t,;", key=text.count)
    quote = None if first.startswith(_UNQUOTED_FORM) else '"'
    try:
        names = split_row(text, separator, quote)
    except csv.Error:
        raise TableError(f"The first line of {table} is no row of column names.", "Export it again.") from None
    return TableHeader(
        names=tuple(name.strip() for name in names),
        separator=separator,
        quote=quote,
        is_quoted=text.startswith('"') and text.endswith('"'),
        has_bare_cr=bool(others) or line.endswith(b"\r"),
    )


def decode(content: bytes) -> str:
    """Return text that is in UTF-8 or, if it cannot be that, in latin-1."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def split_row(line: str, separator: str, quote: str | None) -> list[str]:
    """Return the cells of one row.

    Raises
    ------
    csv.Error
        It ends inside quotes, or text follows behind them.
    """
    if quote is None:
        return line.split(separator)
    return next(csv.reader([line], delimiter=separator, strict=True))


def with_newlines(content: bytes) -> bytes:
    """Return text whose lines end with LF alone."""
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def find_fields(header: TableHeader) -> list[FieldColumn]:
    """Return the columns of UK Biobank fields; other columns are passed over."""
    columns = (_parse_field(position, name) for position, name in enumerate(header.names))
    return [column for column in columns if column]


def find_participants(path: Path, header: TableHeader) -> tuple[int, bool]:
    """Return the position of the column that names participants, and whether it holds labels instead of numbers.

    Raises
    ------
    TableError
        There is none.
    """
    for known, holds_labels in ((EID_HEADERS, False), (LABEL_HEADERS, True)):
        position = header.find(known)
        if position is not None:
            return position, holds_labels
    raise TableError(
        f"{shown(path)} has no eid column; expected one of {', '.join((*EID_HEADERS, *LABEL_HEADERS))}, and commas or "
        "tabs between columns.",
        "The platform's table-exporter names columns so with -iheader_style=FIELD-NAME.",
    )


def _parse_field(position: int, name: str) -> FieldColumn | None:
    for pattern in _FIELD_HEADERS:
        if match := pattern.fullmatch(name):
            array = None if match["array"] is None else int(match["array"])
            return FieldColumn(position, int(match["field"]), int(match["instance"] or 0), array)
    return None


def _require_whole_last_row(path: Path, header: TableHeader) -> None:
    """Refuse a file that ends inside a row, as a copy that was cut off does."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = with_newlines(file.read()) if header.has_bare_cr else file.read()
    last_line = tail[tail.rfind(b"\n") + 1 :]
    if not last_line.strip() or b"\n" not in tail:
        return
    try:
        num_cells = len(split_row(decode(last_line), header.separator, header.quote))
    except csv.Error:  # inside a quoted cell
        num_cells = 0
    if num_cells < len(header.names):
        raise TableError(
            f"{shown(path)} ends in the middle of a row.",
            "The copy was cut off: copy or export it again.",
        )
