"""One table as it was read: the fields that are wanted, and columns that name a feature.

A row may speak for one session of a participant, if the table has a column ``session_id``; else it speaks for the
participant.
"""

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
from catalog.tables.named import WantedName, read_named
from catalog.tables.reports import ColumnReport, TableReport
from catalog.tables.rows import read_rows
from catalog.tables.sidecars import ColumnDescription, Sidecar, describe_columns, read_sidecar
from mmbase.sessions import FIRST_IMAGING_INSTANCE, instance_of

NAME_SCHEMA = {"eid": pl.Int64, "instance": pl.Int32, "value": pl.Float64}
_KEY = ["eid", "instance"]
"""Of rows that name features: the instance is null where a row speaks for every visit."""
_NO_VISIT = -1
"""The instance of a session that is no visit with images."""
_NUM_SHOWN_HEADERS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedField:
    """What is to be known of a field to read it."""

    codes: frozenset[int] = frozenset()
    """Codes that definitions speak of: answers, missing codes, illnesses."""
    is_date: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What tables are read for."""

    fields: Mapping[int, WantedField]
    names: Mapping[str, WantedName]
    """By name of the feature, in lower case."""
    eids: pl.Series = dataclasses.field(repr=False)
    """Participants with imaging, int64."""
    labels: Mapping[int, str] = dataclasses.field(repr=False)
    """Of those who are not called by their number."""
    sessionless: Mapping[int, bool] = dataclasses.field(repr=False)
    """Participants with images outside any session; whether all of theirs are."""

    def find_names(self, header: TableHeader) -> dict[str, list[int]]:
        """Return where the columns are that name a feature, by the feature."""
        features = {spelled: name for name, wanted in self.names.items() for spelled in (name, *wanted.headers)}
        positions: dict[str, list[int]] = {}
        for position, spelled in enumerate(header.names):
            if name := features.get(spelled.lower()):
                positions.setdefault(name, []).append(position)
        return positions


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
        values = self.named.select(*_KEY, pl.col(name).alias("value"))
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
    position_of = {name: positions[0] for name, positions in named.items()}
    session = header.find(SESSION_HEADERS) if named else None
    positions = [*(column.position for column in columns), *position_of.values()]
    rows = read_rows(path, header, positions if session is None else [*positions, session], wanted.eids, wanted.labels)
    numbers, places, field_reports = _read_numbers(path, columns, wanted.fields, rows.wanted)
    numbers, num_contradictions = _merge_rows(numbers, ["eid"])
    instance = pl.lit(None, pl.Int32) if session is None else session_instances(rows.wanted[str(session)])
    texts = rows.wanted.select(
        "eid",
        instance.alias("instance"),
        *(tidy(pl.col(str(position))).alias(name) for name, position in position_of.items()),
    )
    spelled = {name: header.names[position] for name, position in position_of.items()}
    sidecar = describe_columns([read_sidecar(path.with_suffix(".json"))]) if named else {}
    values, name_reports, num_contradicting_names = read_names(texts, spelled, sidecar, wanted)
    num_participants = rows.eids.n_unique()
    num_repeated = len(rows.eids) - num_participants
    return Table(
        report=TableReport(
            name=path.name,
            num_rows=len(rows.eids) + rows.num_without_eid,
            num_participants=num_participants,
            num_imaged=rows.wanted["eid"].n_unique(),
            num_repeated=num_repeated if session is None else texts.height - values.height,
            num_without_eid=rows.num_without_eid,
            num_contradictions=num_contradictions + num_contradicting_names,
            num_unreadable=sum(report.num_unreadable for report in (*field_reports, *name_reports)),
            columns=tuple(
                report for report in (*field_reports, *name_reports) if report.num_unreadable or report.refusal
            ),
            num_recognised=len(columns) + len(named),
            unrecognised=() if columns or named else shown_headers(header),
            num_respelled=rows.num_respelled,
            num_ambiguous=rows.num_ambiguous,
            has_two_participant_columns=_has_two_participant_columns(header),
        ),
        places=places,
        unordered=frozenset(column.field for column in columns if column.array is None),
        numbers=numbers,
        named=values,
    )


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
    values, num_contradictions = _merge_rows(rows, _KEY)
    clashes = values.select(pl.col(constants).drop_nulls().n_unique().over("eid") > 1)
    num_clashes = sum(values.filter(clash)["eid"].n_unique() for clash in clashes)
    values = values.with_columns(pl.when(~clashes[name]).then(pl.col(name)) for name in constants)
    return values, reports, num_contradictions + num_clashes


def shown_headers(header: TableHeader) -> tuple[str, ...]:
    """Return a few headers for a message, without those that may name a participant."""
    apart = (*EID_HEADERS, *LABEL_HEADERS, *SESSION_HEADERS)
    names = [name for name in header.names if name and name.lower() not in apart and not name.startswith("sub-")]
    return tuple(names[:_NUM_SHOWN_HEADERS])


def session_instances(sessions: pl.Series) -> pl.Series:
    """Return the visits that the labels of sessions stand for; null where there is none."""
    texts = pl.DataFrame({"text": sessions}).select(tidy(pl.col("text")).str.replace("(?i)^ses-", ""))["text"]
    instances = {text: instance_of(text) for text in texts.drop_nulls().unique()}
    return texts.replace_strict(list(instances), list(instances.values()), default=None, return_dtype=pl.Int32)


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
            f"{path.name} has more than one column for {', '.join(sorted(repeated))}.", "Remove one of them."
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
            table=path.name,
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


def _merge_rows(rows: pl.DataFrame, key: Sequence[str]) -> tuple[pl.DataFrame, int]:
    """Make one row of those of one key; return how many values are left out because rows disagree."""
    is_repeated = rows.select(key).is_duplicated()
    if not is_repeated.any():
        return rows, 0
    distinct = rows.filter(is_repeated).group_by(key).agg(pl.all().drop_nulls().unique())
    columns = distinct.columns[len(key) :]
    merged = distinct.with_columns(pl.when(pl.col(c).list.len() == 1).then(pl.col(c).list.first()) for c in columns)
    num_contradictions = sum(int((distinct[column].list.len() > 1).sum()) for column in columns)
    return pl.concat([rows.filter(~is_repeated), merged]), num_contradictions
