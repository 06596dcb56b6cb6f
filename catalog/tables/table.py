"""One table as it was read: the fields that are wanted, and columns that name a feature."""

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from catalog.errors import TableError
from catalog.tables.cells import FieldCells, plain_numbers, read_cells, tidy
from catalog.tables.headers import (
    EID_HEADERS,
    LABEL_HEADERS,
    SESSION_HEADERS,
    FieldColumn,
    TableHeader,
    find_fields,
    read_header,
)
from catalog.tables.named_rows import merge_rows, read_names, session_instances
from catalog.tables.reports import ColumnReport, TableReport
from catalog.tables.rows import read_rows
from catalog.tables.sidecars import describe_columns, read_sidecar
from catalog.tables.wanted import Wanted, WantedField
from mmbase.printable import shown
from mmbase.records import participant_number

NAME_SCHEMA = {"eid": pl.Int64, "instance": pl.Int32, "value": pl.Float64}
"""Columns of a named column's values."""
_NUM_SHOWN_HEADERS = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where the values of a field's instance and array are."""

    column: str
    """Of `Table.numbers`."""
    instance: int
    array: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """What was read of one file, or of many that are one table."""

    report: TableReport
    places: Mapping[int, Sequence[Place]] = dataclasses.field(default_factory=dict)
    """By field."""
    unordered: frozenset[int] = frozenset()
    """Fields whose answers may come in one column, so that their order says nothing."""
    numbers: pl.DataFrame = dataclasses.field(repr=False, default_factory=pl.DataFrame)
    """Columns eid and those of `places`, one row for each participant."""
    named: pl.DataFrame = dataclasses.field(repr=False)
    """Columns eid, instance, and those that name a feature, by its name in lower case; one row for each participant
    and session."""

    def of_field(self, field: int) -> pl.DataFrame:
        """Return a field's values in long form."""
        numbers = self.numbers.lazy()
        parts = [
            numbers.select(
                "eid",
                pl.lit(place.instance, pl.Int32).alias("instance"),
                pl.lit(place.array, pl.Int32).alias("array"),
                pl.col(place.column).alias("value"),
            ).drop_nulls("value")
            for place in self.places[field]
        ]
        return pl.concat(parts).collect()

    def of_name(self, name: str) -> pl.DataFrame:
        """Return a named column's values; of rows for one session also those that are null."""
        if name not in self.named.columns:
            return pl.DataFrame(schema=NAME_SCHEMA)
        values = self.named.select("eid", "instance", pl.col(name).alias("value"))
        return values.filter(pl.col("instance").is_not_null() | pl.col("value").is_not_null())


def read_table(path: Path, wanted: Wanted) -> Table:
    """Read one file.

    Raises
    ------
    TableError
        It cannot be parsed, has no column of eids, no rows or a wanted column twice; or a field's values cannot be
        understood.
    """
    header = read_header(path)
    columns = [column for column in find_fields(header) if column.field in wanted.fields]
    named = wanted.find_names(header)
    _require_unique(path, header, columns, named)
    session = header.find(SESSION_HEADERS) if named else None
    positions = [column.position for column in columns] + [position for (position,) in named.values()]
    rows = read_rows(path, header, positions if session is None else [*positions, session], wanted.eids, wanted.labels)
    numbers, places, field_reports = _read_numbers(path, columns, wanted.fields, rows.wanted)
    numbers, num_contradictions = merge_rows(numbers, ["eid"])
    spelled = {name: header.names[position] for name, (position,) in named.items()}
    sidecar = describe_columns([read_sidecar(path.with_suffix(".json"))]) if named else {}
    texts = _named_texts(rows.wanted, {name: position for name, (position,) in named.items()}, session)
    values, name_reports, num_contradicting_names = read_names(texts, spelled, sidecar, wanted)
    reports = (*field_reports, *name_reports)
    num_participants = rows.eids.n_unique()
    return Table(
        report=TableReport(
            name=path.name,
            num_rows=len(rows.eids) + rows.num_without_eid,
            num_participants=num_participants,
            num_imaged=rows.wanted["eid"].n_unique(),
            num_repeated=len(rows.eids) - num_participants if session is None else texts.height - values.height,
            num_without_eid=rows.num_without_eid,
            num_contradictions=num_contradictions + num_contradicting_names,
            num_unreadable=sum(report.num_unreadable for report in reports),
            columns=tuple(report for report in reports if report.num_unreadable or report.refusal),
            num_recognised=len(columns) + len(named),
            unrecognised=() if columns or named else shown_headers(header, wanted.eids.to_list()),
            num_respelled=rows.num_respelled,
            num_ambiguous=rows.num_ambiguous,
            has_two_participant_columns=_has_two_participant_columns(header),
        ),
        places=places,
        unordered=frozenset(column.field for column in columns if column.array is None),
        numbers=numbers,
        named=values,
    )


def shown_headers(header: TableHeader, eids: Collection[int] = ()) -> tuple[str, ...]:
    """Return a few headers for a message, without those that may name a participant.

    Parameters
    ----------
    eids
        Participants who may be columns, in a table that has its rows where others have columns.
    """
    apart = (*EID_HEADERS, *LABEL_HEADERS, *SESSION_HEADERS)
    names = [name for name in header.names if name and name.lower() not in apart and not name.startswith("sub-")]
    people = frozenset(eids)
    return tuple(name for name in names if participant_number(name) not in people)[:_NUM_SHOWN_HEADERS]


def _named_texts(rows: pl.DataFrame, positions: Mapping[str, int], session: int | None) -> pl.DataFrame:
    """Return columns eid, instance, and text by name of the feature."""
    instance = pl.lit(None, pl.Int32) if session is None else session_instances(rows[str(session)])
    texts = (tidy(pl.col(str(position))).alias(name) for name, position in positions.items())
    return rows.select("eid", instance.alias("instance"), *texts)


def _has_two_participant_columns(header: TableHeader) -> bool:
    spelled = [name.lower() for name in header.names]
    first = next(name for name in (*EID_HEADERS, *LABEL_HEADERS) if name in spelled)
    return spelled.count(first) > 1


def _require_unique(
    path: Path, header: TableHeader, columns: Sequence[FieldColumn], named: Mapping[str, Collection[int]]
) -> None:
    """Refuse a table that has a wanted column twice, because nothing says which counts."""
    places = Counter((column.field, column.instance, column.array or 0) for column in columns)
    repeated = {f"field {field}" for (field, *_), number in places.items() if number > 1}
    repeated |= {name for name, positions in named.items() if len(positions) > 1}
    if repeated:
        raise TableError(
            f"{shown(path)} has more than one column for {', '.join(sorted(repeated))}.",
            "Remove one of them.",
        )


def _read_numbers(
    path: Path, columns: Sequence[FieldColumn], wanted: Mapping[int, WantedField], wide: pl.DataFrame
) -> tuple[pl.DataFrame, dict[int, list[Place]], list[ColumnReport]]:
    """Return columns of numbers behind the eid, where each field's are, and what of each was left out."""
    texts = wide.select(str(column.position) for column in columns)
    plain = plain_numbers(texts, {str(column.position) for column in columns if wanted[column.field].is_date})
    numbers = {"eid": wide["eid"]}
    places: dict[int, list[Place]] = {}
    reports = []
    for field, has_lists in sorted({(column.field, column.array is None) for column in columns}):
        of_field = [column for column in columns if (column.field, column.array is None) == (field, has_lists)]
        cells = FieldCells(
            table=shown(path),
            field=field,
            texts=[texts[str(column.position)] for column in of_field],
            numbers=[plain[str(column.position)] for column in of_field],
            codes=wanted[field].codes,
            is_date=wanted[field].is_date,
            has_lists=has_lists,
        )
        answers, num_unreadable, num_values = read_cells(cells)
        reports.append(ColumnReport(column=f"field {field}", num_values=num_values, num_unreadable=num_unreadable))
        for column, of_column in zip(of_field, answers, strict=True):
            for number, values in enumerate(of_column):
                place = Place(f"{column.position}.{number}", column.instance, (column.array or 0) + number)
                numbers[place.column] = values
                places.setdefault(field, []).append(place)
    return pl.DataFrame(numbers), places, reports
