"""Answer a user's own SQL about the catalogue; a query can write nothing, and read nothing but the catalogue."""

import csv
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

import duckdb

from catalog.errors import CatalogError
from catalog.failures import said
from mmbase.errors import first_line

VIEWS = (
    *("samples", "scans", "features", "splits", "runs", "metrics"),
    *("dictionary", "relatives", "similar_scans", "tables"),
)
_FETCHED_ROWS = 10_000
_READING_ALONE = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
    "BEGIN TRANSACTION READ ONLY",
)
"""Once, in this order: neither extensions, Python's variables nor files; nothing of that can be undone, or written."""
_SELECTS = (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI)
"""MULTI is what DuckDB makes of PIVOT."""
_ABOUT_THE_QUERY = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.PermissionException)
"""Errors whose text is about the query; that of others may quote a value of the catalogue."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query found."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]] = field(repr=False)
    """Fetched as they are asked for, once, while the connection is open. May raise CatalogError."""


class TextWriter(Protocol):
    """What text can be written to."""

    def write(self, text: str, /) -> object:
        """Write some text."""


def run_query(connection: duckdb.DuckDBPyConnection, sql: str) -> QueryResult:
    """Run one SELECT. From then on the connection answers queries alone, until the first that fails.

    Raises
    ------
    CatalogError
        It is not one SELECT, or DuckDB cannot run it: the message says what DuckDB says.
    """
    with _explained():
        statement = _only_select(connection, sql)
        _read_alone(connection)
        connection.execute(statement)
        columns = tuple(str(column[0]) for column in connection.description or ())
    return QueryResult(columns, _fetch(connection))


def count_rows(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """Return how many rows a query yields, without fetching them.

    Raises
    ------
    CatalogError
        As `run_query`.
    """
    (number,) = next(run_query(connection, f"SELECT count(*) FROM (\n{_only_select(connection, sql)}\n)").rows)
    return int(number)


def write_rows(result: QueryResult, file: TextWriter) -> None:
    """Write a result as CSV with a header, a missing value as nothing."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(result.columns)
    writer.writerows(result.rows)


def plain_rows(result: QueryResult) -> list[list[Any]]:
    """Return a result's rows as JSON can hold them: dates and the like as text, numbers that are none as null."""
    return [[_plain(value) for value in row] for row in result.rows]


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _only_select(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """Return the one statement of a text, without what ends it."""
    with _explained():
        statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise CatalogError(f"Expected one SELECT statement, got {len(statements)} statements.")
    if statements[0].type not in _SELECTS:
        raise CatalogError(
            f"Expected a SELECT statement, got {statements[0].type.name}: a query only reads the catalogue."
        )
    return statements[0].query.strip().rstrip(";")


def _read_alone(connection: duckdb.DuckDBPyConnection) -> None:
    if not connection.execute("SELECT current_setting('lock_configuration')").fetchall()[0][0]:
        for statement in _READING_ALONE:
            connection.execute(statement)


def _fetch(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    with _explained():
        while rows := connection.fetchmany(_FETCHED_ROWS):
            yield from rows


@contextmanager
def _explained() -> Iterator[None]:
    """Turn DuckDB's errors into one line that names the views and quotes no value."""
    try:
        yield
    except duckdb.Error as error:
        told = first_line(error) if isinstance(error, _ABOUT_THE_QUERY) else said(error)
        raise CatalogError(
            f"The query cannot be run. DuckDB says: {told}",
            f'There are the views {", ".join(VIEWS)}; "DESCRIBE samples" shows a view\'s columns.',
        ) from None
