"""Read tables of participants: the fields that are wanted, and columns that name a feature.

Of a table of 500,000 rows and thousands of columns only wanted columns of participants with imaging stay, as columns of
numbers; `TableValues` hands them out field by field. How one table is read is told in `table`, how columns are found in
`headers`, how rows are read in `rows`, how a cell becomes a number in `cells` and, of columns that name a feature, in
`named`.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from catalog.errors import TableError
from catalog.tables.named import WantedName
from catalog.tables.reports import TableReport
from catalog.tables.table import NAME_SCHEMA, Table, read_table
from catalog.tables.visits import read_visit_tables
from catalog.tables.wanted import Wanted, WantedField
from mmbase.records import VisitTable

FIELD_SCHEMA = {"eid": pl.Int64, "instance": pl.Int32, "array": pl.Int32, "value": pl.Float64}


@dataclass(frozen=True, slots=True)
class TableValues:
    """The wanted values of some tables that agree with each other."""

    reports: tuple[TableReport, ...]
    """One for each table."""
    _tables: tuple[Table, ...] = dataclasses.field(repr=False)

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
            Columns of `NAME_SCHEMA`, by eid and instance: one row for each participant and session. The instance is
            null where the value is of every visit; the value is null where a table speaks of a session and gives none.
        """
        parts = [table.of_name(name) for table in self._tables]
        values = pl.concat([*parts, pl.DataFrame(schema=NAME_SCHEMA)]).sort("eid", "instance", "value", nulls_last=True)
        return values.unique(["eid", "instance"], keep="first", maintain_order=True)


def read_tables(
    paths: Sequence[Path],
    fields: Mapping[int, WantedField],
    names: Mapping[str, WantedName],
    eids: Collection[int],
    *,
    labels: Mapping[int, str] | None = None,
    visit_tables: Sequence[VisitTable] = (),
    sessionless: Mapping[int, bool] | None = None,
) -> TableValues:
    """Read the wanted values of some participants from tables.

    Parameters
    ----------
    fields
        What is wanted of UK Biobank's fields, by field.
    names
        What is wanted of columns that name a feature, by its name in lower case.
    eids
        Participants with imaging; of others nothing is kept.
    labels
        Of those of them who are not called by their number.
    visit_tables
        Tables of single participants or sessions.
    sessionless
        Participants with images outside any session; whether all of theirs are.

    Raises
    ------
    TableError
        A table cannot be parsed, has no column of eids or no rows; a field's values cannot be understood; or tables
        contradict each other.
    """
    wanted = Wanted(
        fields=fields,
        names=names,
        eids=pl.Series("eid", list(eids), pl.Int64),
        labels=labels or {},
        sessionless=sessionless or {},
    )
    tables = (*(read_table(path, wanted) for path in paths), *read_visit_tables(visit_tables, wanted))
    _require_agreement(tables, wanted)
    return TableValues(tuple(table.report for table in tables), tables)


def _require_agreement(tables: Sequence[Table], wanted: Wanted) -> None:
    """Refuse tables that contradict each other."""
    differing: dict[str, Sequence[Table]] = {}
    for field in sorted(wanted.fields):
        having = [table for table in tables if field in table.places]
        if len(having) > 1 and _differ([_comparable(table, field, _is_unordered(having, field)) for table in having]):
            differing[f"field {field}"] = having
    for name in sorted(wanted.names):
        having = [table for table in tables if name in table.named.columns]
        key = ["eid"] if wanted.names[name].is_constant else ["eid", "instance"]
        if len(having) > 1 and _differ(
            [table.of_name(name).select(*key, "value").drop_nulls("value") for table in having]
        ):
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


def _comparable(table: Table, field: int, unordered: bool) -> pl.DataFrame:
    values = table.of_field(field)
    if not unordered:
        return values
    answers = pl.col("value").sort().cast(pl.String).str.join("|")
    return values.group_by("eid", "instance").agg(answers)


def _is_unordered(tables: Sequence[Table], field: int) -> bool:
    return any(field in table.unordered for table in tables)
