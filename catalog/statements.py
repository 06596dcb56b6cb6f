"""Run statements on an open catalogue: all or nothing, and whole tables at once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb
import polars as pl


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit everything inside together, or nothing."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def fetch_integer(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    """Return the one integer that a query yields, 0 where it yields nothing."""
    rows = connection.execute(query).fetchall()
    return int(rows[0][0]) if rows else 0


def fetch_frame(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, object] | None = None
) -> pl.DataFrame:
    """Return what a query yields; through Arrow, as millions of values are slow one by one."""
    return pl.DataFrame(connection.sql(query, params=parameters or {}).to_arrow_table())


def insert_frame(connection: duckdb.DuckDBPyConnection, statement: str, frame: pl.DataFrame) -> None:
    """Run an INSERT that selects from ``incoming``, which stands for `frame`."""
    connection.register("incoming", frame.to_arrow())
    connection.execute(statement).fetchall()
    connection.unregister("incoming")
