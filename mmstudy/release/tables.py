"""Tables in text, JSON, pages and spreadsheets: the columns and first rows that say what they are.

The numbers and ids in them are looked for as in any text (`mmstudy.release.text`).
"""

import csv
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from html.parser import HTMLParser
from itertools import islice
from xml.etree import ElementTree

from mmstudy.release.rows import MAX_JUDGED, Table
from mmstudy.release.stream import NotLookedIntoError

DELIMITED = frozenset(
    (
        *(".csv", ".tsv", ".tab", ".txt", ".dat", ".ssv", ".list", ".lst", ".fam", ".psam", ".pheno", ".cov", ".bulk"),
        *(".enc_ukb", ""),
    )
)
"""Endings of files that may be tables of cells with something between them."""
_DELIMITERS = "\t,;|"
_MOST_COLUMNS = 100_000
_FEWEST_ROWS = 2
_LEAST_ALIKE = 0.9
"""Share of rows that have as many cells as the first."""
_NUMERIC = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_MAX_SHEET_BYTES = 256 << 20


def delimited_table(head: bytes, num_lines: int) -> Table | None:
    r"""Return the table that a text begins; None where it is none.

    Parameters
    ----------
    head
        The first bytes of the file.
    num_lines
        Of the whole file.

    >>> delimited_table(b"eid,age\n1,60\n2,70\n", 3).columns
    ('eid', 'age')
    """
    lines = head.decode("utf-8-sig", errors="replace").splitlines()[: MAX_JUDGED + 1]
    lines = [line for line in lines if line.strip() and not line.startswith("##")]
    if len(lines) < _FEWEST_ROWS:
        return None
    delimiter = max(_DELIMITERS, key=lines[0].count)
    if delimiter in lines[0]:
        try:
            rows = list(csv.reader(lines, delimiter=delimiter))
        except csv.Error:
            return None
    else:
        rows = [line.strip("\"' ").split() for line in lines]
    first = [cell.strip() for cell in rows[0]]
    if len(rows) > 1 and len(rows[1]) == len(first) + 1:
        first = ["", *first]  # as R writes the names of rows
    alike = [row for row in rows if len(row) == len(first)]
    if len(first) > _MOST_COLUMNS or len(alike) < len(rows[1:-1]) * _LEAST_ALIKE:  # the last may be cut off
        return None
    if any(_NUMERIC.fullmatch(cell) for cell in first):
        return Table((), alike, max(num_lines, len(rows)))
    return Table(tuple(first), [row for row in rows[1:] if len(row) == len(first)], max(num_lines, len(rows)) - 1)


def records_tables(content: object) -> Iterator[Table]:
    """Yield the tables that JSON holds: lists of records, columns by name, and either of them by a name."""
    if table := _records_table(content) or _columns_table(content):
        yield table
    elif isinstance(content, dict):
        for value in content.values():
            if table := _records_table(value) or _columns_table(value):
                yield table


def json_lines_table(head: bytes, num_lines: int) -> Table | None:
    """Return the table that lines of JSON begin; None where they are none."""
    records = []
    for line in head.splitlines()[:MAX_JUDGED]:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    table = _records_table(records)
    return None if table is None else Table(table.columns, table.rows, max(num_lines, table.num_rows))


def tables_in_page(text: str) -> Iterator[Table]:
    """Yield the tables of a page in HTML."""
    if "<td" in text:
        reader = _PageTables()
        reader.feed(text)
        yield from filter(None, map(_named_table, reader.tables))


def tables_in_markdown(head: bytes) -> Iterator[Table]:
    """Yield the tables of a text in Markdown, cells between upright lines."""
    block: list[list[str]] = []
    for line in [*head.decode(errors="replace").splitlines(), ""]:
        if line.lstrip().startswith("|"):
            block.append([cell.strip(" `*") for cell in line.strip().strip("|").split("|")])
        elif block:
            rows = [row for row in block if not all(re.fullmatch(r":?-*:?", cell) for cell in row)]
            if table := _named_table(rows):
                yield table
            block = []


def spreadsheet_tables(archive: zipfile.ZipFile) -> Iterator[Table]:
    """Yield the sheets of an Excel file.

    Source: ECMA-376, SpreadsheetML.
    """
    shared: list[str] = []
    if "xl/sharedStrings.xml" in archive.namelist():
        for element in _elements(archive, "xl/sharedStrings.xml", "si"):
            shared.append("".join(text.text or "" for text in element.iter(f"{_MAIN}t")))
            element.clear()
    for name in archive.namelist():
        if not re.fullmatch(r"xl/worksheets/[^/]+\.xml", name):
            continue
        rows: list[list[str]] = []
        num_rows = 0
        for element in _elements(archive, name, "row"):
            num_rows += 1
            if num_rows <= MAX_JUDGED:
                rows.append(_sheet_row(element, shared))
            element.clear()
        if table := _named_table(rows):
            yield Table(table.columns, table.rows, max(table.num_rows, num_rows - 1))


class _PageTables(HTMLParser):
    """Collects the tables of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self._cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables and self.tables[-1]:
            self._cell = []

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None and self.tables and self.tables[-1]:
            self.tables[-1][-1].append("".join(self._cell).strip())
            self._cell = None


def _named_table(rows: Sequence[Sequence[str]]) -> Table | None:
    """Return a table whose first row names its columns."""
    rows = [row for row in rows if row]
    if len(rows) <= _FEWEST_ROWS:
        return None
    return Table(tuple(rows[0]), rows[1 : MAX_JUDGED + 1], len(rows) - 1)


def _records_table(content: object) -> Table | None:
    if not isinstance(content, list) or len(content) < _FEWEST_ROWS:
        return None
    if not all(isinstance(record, dict) for record in content):
        return None
    names = tuple(dict.fromkeys(str(name) for record in content[:MAX_JUDGED] for name in record))
    rows = [[cell_text(record.get(name)) for name in names] for record in content[:MAX_JUDGED]]
    return Table(names, rows, len(content))


def _columns_table(content: object) -> Table | None:
    """Return the table whose columns stand by their names; `split`, as pandas calls it, has its rows by `data`."""
    if not isinstance(content, dict):
        return None
    names, data = content.get("columns"), content.get("data")
    if isinstance(names, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
        return Table(tuple(map(str, names)), [list(map(cell_text, row)) for row in data[:MAX_JUDGED]], len(data))
    columns = {str(name): values for name, given in content.items() if (values := _listed(given)) is not None}
    lengths = {len(values) for values in columns.values()}
    if len(columns) < len(content) or len(lengths) != 1 or min(lengths) < _FEWEST_ROWS:
        return None
    rows = [list(map(cell_text, row)) for row in islice(zip(*columns.values(), strict=True), MAX_JUDGED)]
    return Table(tuple(columns), rows, lengths.pop())


def _elements(archive: zipfile.ZipFile, name: str, tag: str) -> Iterator[ElementTree.Element]:
    if archive.getinfo(name).file_size > _MAX_SHEET_BYTES:
        raise NotLookedIntoError("a sheet of it is too large to be looked into")
    with archive.open(name) as file:
        try:
            yield from (one for _, one in ElementTree.iterparse(file) if one.tag == _MAIN + tag)
        except ElementTree.ParseError as error:
            raise NotLookedIntoError("it cannot be read as a spreadsheet") from error


def _sheet_row(row: ElementTree.Element, shared: Sequence[str]) -> list[str]:
    """Return the cells of a row; those that are empty may be left out of the file."""
    cells: list[str] = []
    for cell in row.iter(f"{_MAIN}c"):
        letters = re.match(r"[A-Z]{1,3}", cell.get("r", ""))
        place = reduce(lambda number, letter: 26 * number + ord(letter) - 64, letters[0], 0) - 1 if letters else 0
        cells += [""] * (place - len(cells))
        cells.append(_sheet_cell(cell, shared))
    return cells


def _sheet_cell(cell: ElementTree.Element, shared: Sequence[str]) -> str:
    if cell.get("t") == "inlineStr":
        return "".join(text.text or "" for text in cell.iter(f"{_MAIN}t"))
    value = cell.findtext(f"{_MAIN}v") or ""
    if cell.get("t") == "s" and value.isdecimal() and int(value) < len(shared):
        return shared[int(value)]
    return value


def _listed(values: object) -> list[object] | None:
    """Return a column of JSON as a list: of a list, or of what row numbers map to, as pandas writes it."""
    if isinstance(values, list):
        return values
    if isinstance(values, Mapping) and values and all(str(key).isdecimal() for key in values):
        return list(values.values())
    return None


def cell_text(value: object) -> str:
    """Return a cell as a text; empty for a missing value."""
    return "" if value is None else str(value)
