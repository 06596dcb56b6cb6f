"""Read tables of participants: the fields that are wanted, and columns that name a feature.

Of a table of 500,000 rows and thousands of columns only wanted columns of participants with imaging stay, as columns of
numbers; `TableValues` hands them out field by field. How columns are found is told in `headers`, how rows are read in
`rows`, how a cell becomes a number in `cells`.
"""

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from catalog.errors import TableError
from catalog.tables.cells import FieldCells, plain_numbers, read_cells, tidy
from catalog.tables.headers import FieldColumn, TableHeader, find_fields, read_header
from catalog.tables.rows import read_rows

FIELD_SCHEMA = {"eid": pl.Int64, "instance": pl.Int32, "array": pl.Int32, "value": pl.Float64}
NAME_SCHEMA = {"eid": pl.Int64, "value": pl.String}


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedField:
    """What is to be known of a field to read it."""

    codes: frozenset[int] = frozenset()
    """Codes that definitions speak of: answers, missing codes, illnesses."""
    is_date: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TableReport:
    """What one table holds, and what of it was left out."""

    name: str
    num_rows: int
    num_participants: int
    """Distinct eids."""
    num_imaged: int
    """Of these, participants with imaging."""
    num_repeated: int
    """Rows left out because the participant had one before."""
    num_without_eid: int
    """Rows left out because their eid is none: below 1, empty, redacted, or no number."""
    num_contradictions: int
    """Wanted values left out because the rows of one participant disagree."""
    num_unreadable: int
    """Wanted values left out because they are neither numbers nor known labels, or no dates; more than a few of a
    field's are refused."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the values of a field's instance and array are."""

    column: str
    """Of `_Table.numbers`."""
    instance: int
    array: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Table:
    """What was read of one file."""

    report: TableReport
    places: Mapping[int, Sequence[_Place]]
    """By field."""
    unordered: frozenset[int]
    """Fields whose answers may come in one column, so that their order says nothing."""
    numbers: pl.DataFrame = dataclasses.field(repr=False)
    """Columns eid and those of `places`, one row for each participant."""
    texts: pl.DataFrame = dataclasses.field(repr=False)
    """Columns eid and named ones in lower case, one row for each participant."""

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
        """Return a named column's values."""
        if name not in self.texts.columns:
            return pl.DataFrame(schema=NAME_SCHEMA)
        return self.texts.select("eid", pl.col(name).alias("value")).drop_nulls("value")


@dataclass(frozen=True, slots=True)
class TableValues:
    """The wanted values of some tables that agree with each other."""

    reports: tuple[TableReport, ...]
    """One for each table."""
    _tables: tuple[_Table, ...] = dataclasses.field(repr=False)

    def of_field(self, field: int) -> pl.DataFrame:
        """Return a field's values.

        Returns
        -------
        polars.DataFrame
            Columns of `FIELD_SCHEMA`: dates as days since 1970-01-01; no nulls; by eid, instance and array.
        """
        having = [table for table in self._tables if field in table.places]
        key = ["eid", "instance"] if _is_unordered(having, field) else ["eid", "instance", "array"]
        values = pl.DataFrame(schema=FIELD_SCHEMA)
        for part in (table.of_field(field) for table in having):
            values = part if values.is_empty() else pl.concat([values, part.join(values, on=key, how="anti")])
        return values.sort("eid", "instance", "array")

    def of_name(self, name: str) -> pl.DataFrame:
        """Return the values of columns whose header is a name.

        Parameters
        ----------
        name
            In lower case.

        Returns
        -------
        polars.DataFrame
            Columns of `NAME_SCHEMA`: text as in the table; no nulls; by eid.
        """
        parts = [table.of_name(name) for table in self._tables]
        return pl.concat([*parts, pl.DataFrame(schema=NAME_SCHEMA)]).unique("eid").sort("eid")


def read_tables(
    paths: Sequence[Path], wanted: Mapping[int, WantedField], names: Collection[str], eids: Collection[int]
) -> TableValues:
    """Read the wanted values of some participants from tables.

    Parameters
    ----------
    wanted
        By field.
    names
        Columns that are wanted by their name, in lower case.
    eids
        Participants with imaging; of others nothing is kept.

    Raises
    ------
    TableError
        A table cannot be parsed, has no column of eids or no rows; a field's values cannot be understood; or tables
        contradict each other.
    """
    imaged = pl.Series("eid", list(eids), pl.Int64)
    tables = tuple(_read_table(path, wanted, frozenset(names), imaged) for path in paths)
    _require_agreement(tables, wanted, names)
    return TableValues(tuple(table.report for table in tables), tables)


def _read_table(path: Path, wanted: Mapping[int, WantedField], names: frozenset[str], imaged: pl.Series) -> _Table:
    header = read_header(path)
    columns = [column for column in find_fields(header) if column.field in wanted]
    named = {name.lower(): position for position, name in enumerate(header.names) if name.lower() in names}
    _require_unique(path, header, columns, named)
    rows = read_rows(path, header, [*(column.position for column in columns), *named.values()], imaged)
    texts = rows.wanted.select("eid", *(tidy(pl.col(str(position))).alias(name) for name, position in named.items()))
    numbers, places, num_unreadable = _read_numbers(path, columns, wanted, rows.wanted)
    texts, num_contradictory_texts = _merge_rows(texts)
    numbers, num_contradictory_numbers = _merge_rows(numbers)
    num_participants = rows.eids.n_unique()
    return _Table(
        report=TableReport(
            name=path.name,
            num_rows=len(rows.eids) + rows.num_without_eid,
            num_participants=num_participants,
            num_imaged=numbers.height,
            num_repeated=len(rows.eids) - num_participants,
            num_without_eid=rows.num_without_eid,
            num_contradictions=num_contradictory_texts + num_contradictory_numbers,
            num_unreadable=num_unreadable,
        ),
        places=places,
        unordered=frozenset(column.field for column in columns if column.array is None),
        numbers=numbers,
        texts=texts,
    )


def _require_unique(path: Path, header: TableHeader, columns: Sequence[FieldColumn], names: Collection[str]) -> None:
    """Refuse a table that has a wanted column twice, because nothing says which counts."""
    places = Counter((column.field, column.instance, column.array or 0) for column in columns)
    spellings = Counter(name.lower() for name in header.names)
    repeated = {f"field {field}" for (field, *_), number in places.items() if number > 1}
    repeated |= {name for name in names if spellings[name] > 1}
    if repeated:
        raise TableError(
            f"{path.name} has more than one column for {', '.join(sorted(repeated))}.", "Remove one of them."
        )


def _read_numbers(
    path: Path, columns: Sequence[FieldColumn], wanted: Mapping[int, WantedField], wide: pl.DataFrame
) -> tuple[pl.DataFrame, dict[int, list[_Place]], int]:
    """Return columns of numbers behind the eid, where each field's are, and how many values are unreadable."""
    texts = wide.select(str(column.position) for column in columns)
    plain = plain_numbers(texts, {str(column.position) for column in columns if wanted[column.field].is_date})
    numbers, total_unreadable = {"eid": wide["eid"]}, 0
    places: dict[int, list[_Place]] = {}
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
        answers, num_unreadable = read_cells(cells)
        total_unreadable += num_unreadable
        for column, of_column in zip(of_field, answers, strict=True):
            for number, values in enumerate(of_column):
                place = _Place(f"{column.position}.{number}", column.instance, (column.array or 0) + number)
                numbers[place.column] = values
                places.setdefault(field, []).append(place)
    return pl.DataFrame(numbers), places, total_unreadable


def _merge_rows(rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Make one row of each participant's; return how many values are left out because theirs disagree."""
    is_repeated = rows["eid"].is_duplicated()
    if not is_repeated.any():
        return rows, 0
    distinct = rows.filter(is_repeated).group_by("eid").agg(pl.all().drop_nulls().unique())
    columns = distinct.columns[1:]
    merged = distinct.with_columns(pl.when(pl.col(c).list.len() == 1).then(pl.col(c).list.first()) for c in columns)
    num_contradictions = sum(int((distinct[column].list.len() > 1).sum()) for column in columns)
    return pl.concat([rows.filter(~is_repeated), merged]), num_contradictions


def _require_agreement(tables: Sequence[_Table], fields: Collection[int], names: Collection[str]) -> None:
    """Refuse tables that contradict each other."""
    differing: dict[str, Sequence[_Table]] = {}
    for field in sorted(fields):
        having = [table for table in tables if field in table.places]
        if len(having) > 1 and _differ([_comparable(table, field, _is_unordered(having, field)) for table in having]):
            differing[f"field {field}"] = having
    for name in sorted(names):
        having = [table for table in tables if name in table.texts.columns]
        if len(having) > 1 and _differ([table.of_name(name) for table in having]):
            differing[name] = having
    if differing:
        involved = dict.fromkeys(table.report.name for having in differing.values() for table in having)
        raise TableError(
            f"The tables {', '.join(involved)} give different values for the same participants in "
            f"{', '.join(differing)}.",
            "Leave only the newest of them in the source folders.",
        )


def _differ(parts: Sequence[pl.DataFrame]) -> bool:
    """Return whether frames of a value behind its key have different values for one key."""
    values = pl.concat(parts).unique()
    return values.height > values.n_unique(values.columns[:-1])


def _comparable(table: _Table, field: int, unordered: bool) -> pl.DataFrame:
    values = table.of_field(field)
    if not unordered:
        return values
    answers = pl.col("value").sort().cast(pl.String).str.join("|")
    return values.group_by("eid", "instance").agg(answers)


def _is_unordered(tables: Sequence[_Table], field: int) -> bool:
    return any(field in table.unordered for table in tables)
