"""Read the tables that BIDS has of single participants (``sessions.tsv``) and of single visits (``scans.tsv``).

A dataset has one for each participant or visit, so all of a kind are joined into one table. A file that cannot be read
is passed over and counted, for its name would tell whose it is.
"""

import csv
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import polars as pl

from catalog.errors import TableError
from catalog.tables.cells import tidy
from catalog.tables.headers import SESSION_HEADERS, TableHeader, decode, parse_header, split_row, with_newlines
from catalog.tables.named_rows import read_names, session_instances
from catalog.tables.reports import TableReport
from catalog.tables.sidecars import describe_columns, read_sidecar
from catalog.tables.table import Table, shown_headers
from catalog.tables.wanted import Wanted
from mmbase.input_files import read_regular
from mmbase.records import VisitTable

MAX_TABLE_BYTES = 1 << 24
"""Of a table of one participant or visit, which has some dozen rows."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things are in the rows below one header."""

    header: TableHeader
    positions: Mapping[str, int]
    """By name of the feature."""
    session: int | None


@dataclass(slots=True)
class _Joined:
    """Tables of one kind, of whose columns the same is said."""

    eids: list[int] = field(default_factory=list, repr=False)
    """Of each row."""
    instances: list[int | None] = field(default_factory=list, repr=False)
    """The visit of each row, where the file says it; else its session does."""
    sessions: list[str | None] = field(default_factory=list, repr=False)
    texts: dict[str, list[str | None]] = field(default_factory=dict, repr=False)
    """Columns by name of the feature."""
    spelled: dict[str, str] = field(default_factory=dict)
    """Header by name of the feature."""
    headers: dict[str, None] = field(default_factory=dict)
    """A few that may be shown."""
    num_unused_files: int = 0

    def add(self, table: VisitTable, layout: _Layout, rows: Sequence[Sequence[str]]) -> None:
        """Put the rows of one file behind the others."""
        for name in layout.positions.keys() - self.texts.keys():
            self.texts[name] = [None] * len(self.eids)
        for name, column in self.texts.items():
            column.extend(_column(rows, layout.positions.get(name)))
        self.eids.extend([table.eid] * len(rows))
        self.instances.extend([table.instance] * len(rows))
        self.sessions.extend(_column(rows, layout.session))
        self.spelled.update({name: layout.header.names[position] for name, position in layout.positions.items()})
        self.headers.update(dict.fromkeys(shown_headers(layout.header)))


def read_visit_tables(tables: Sequence[VisitTable], wanted: Wanted) -> list[Table]:
    """Read the tables of single participants and visits, joined by kind.

    Raises
    ------
    TableError
        A JSON file that speaks for all of a kind cannot be read.
    """
    layout_of = cache(lambda line: _layout(line, wanted))
    shared = cache(read_sidecar)
    joined: dict[tuple[str, str], _Joined] = {}
    for table in tables:
        contents = [shared(path) for path in table.sidecars if not _is_own(path)]
        try:
            contents += [read_sidecar(path) for path in table.sidecars if _is_own(path)]
            layout, rows = _read_file(table, layout_of)
        except (TableError, OSError, csv.Error):
            joined.setdefault((table.kind, "{}"), _Joined()).num_unused_files += 1
            continue
        said = json.dumps({key: entry for content in contents for key, entry in content.items()}, sort_keys=True)
        joined.setdefault((table.kind, said), _Joined()).add(table, layout, rows)
    return [_table(kind, said, group, wanted) for (kind, said), group in joined.items()]


def _is_own(sidecar: Path) -> bool:
    """Return whether a JSON file describes the table of one participant or visit alone."""
    return sidecar.name.startswith("sub-")


def _layout(line: bytes, wanted: Wanted) -> _Layout:
    header = parse_header(line, "a table of one participant")
    named = wanted.find_names(header)
    if any(len(positions) > 1 for positions in named.values()):
        raise TableError("A column of a table of one participant comes twice.")
    return _Layout(header, {name: positions[0] for name, positions in named.items()}, header.find(SESSION_HEADERS))


def _read_file(table: VisitTable, layout_of: Callable[[bytes], _Layout]) -> tuple[_Layout, list[list[str]]]:
    """Return where things are in a file's rows, and the rows."""
    content = with_newlines(read_regular(table.path, MAX_TABLE_BYTES))
    first, *lines = content.split(b"\n")
    layout = layout_of(first)
    rows = [split_row(decode(line), layout.header.separator, layout.header.quote) for line in lines if line.strip()]
    has_visits = table.instance is not None or layout.session is not None
    if b"\x00" in content or not has_visits or any(len(row) != len(layout.header.names) for row in rows):
        raise TableError("A table of one participant is no text, or has rows of another length, or names no session.")
    return layout, rows


def _column(rows: Sequence[Sequence[str]], position: int | None) -> list[str | None]:
    return [None if position is None else row[position] for row in rows]


def _table(kind: str, said: str, group: _Joined, wanted: Wanted) -> Table:
    rows = pl.DataFrame(
        [
            pl.Series("eid", group.eids, pl.Int64),
            pl.Series("instance", group.instances, pl.Int32),
            *(pl.Series(name, column, pl.String) for name, column in group.texts.items()),
        ]
    )
    sessions = session_instances(pl.Series(group.sessions, dtype=pl.String))
    rows = rows.with_columns(pl.col("instance").fill_null(sessions), *(tidy(pl.col(name)) for name in group.texts))
    rows = rows.filter(pl.col("instance").is_not_null())
    of_sessions = kind == "sessions"
    seen = wanted if of_sessions else dataclasses.replace(wanted, sessionless={})
    values, reports, num_contradictions = read_names(rows, group.spelled, describe_columns([json.loads(said)]), seen)
    num_participants = rows["eid"].n_unique()
    return Table(
        report=TableReport(
            name=f"sub-*_{kind}.tsv",
            num_rows=len(group.eids),
            num_participants=num_participants,
            num_imaged=num_participants,
            num_repeated=rows.height - values.height if of_sessions else 0,
            num_without_eid=0,
            num_contradictions=num_contradictions,
            num_unreadable=sum(report.num_unreadable for report in reports),
            columns=tuple(report for report in reports if report.num_unreadable or report.refusal),
            num_recognised=len(group.spelled),
            unrecognised=() if group.spelled or not of_sessions else tuple(group.headers),
            is_joined=True,
            num_unused_files=group.num_unused_files,
        ),
        named=values,
    )
