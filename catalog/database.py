"""Open the catalogue: one writer at a time, readers in between, migrations before anything else."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import duckdb
import polars as pl

from catalog.errors import CatalogError, CatalogLockedError
from catalog.migrations import MIGRATIONS

_RETRY_SECONDS = 0.2
Connection: TypeAlias = duckdb.DuckDBPyConnection
"""An open catalogue, for those who only hand it on."""
_Settings: TypeAlias = dict[str, str | bool | int | float | list[str]]
_NO_SETTINGS: _Settings = {}
_STORAGE: _Settings = {"storage_compatibility_version": "v1.0.0"}
"""Any DuckDB shell since 1.0 can open the file, not only those as new as the library that wrote it."""


@contextmanager
def open_catalog(
    path: Path, *, writable: bool = False, wait_seconds: float = 0.0
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a study's catalogue; a writer creates it and brings it up to date.

    Parameters
    ----------
    wait_seconds
        How long to wait for another process that has it locked.

    Raises
    ------
    CatalogLockedError
        Another process has it open, and one of the two writes.
    CatalogError
        There is none to read, it is damaged, or a newer mm made it.
    """
    if not writable and not path.exists():
        raise CatalogError(f"The study has no {path.name} yet. Run: mm ingest ukb SOURCE")
    connection = _connect(path, writable, wait_seconds)
    try:
        if writable:
            path.chmod(0o600)
            _migrate(connection)
        else:
            _require_current(connection)
        yield connection
    finally:
        connection.close()


@contextmanager
def open_scratch(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a copy of a catalogue in memory, or an empty one where there is none, to plan on; nothing is kept.

    Raises
    ------
    CatalogError
        As `open_catalog`.
    """
    connection = duckdb.connect(":memory:")
    try:
        if path.exists():
            with open_catalog(path):
                pass  # judged by the same rules as any other reader
            quoted = str(path).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS saved (READ_ONLY)")
            connection.execute("COPY FROM DATABASE saved TO memory")
            connection.execute("DETACH saved")
        _migrate(connection)
        yield connection
    finally:
        connection.close()


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


def insert_frame(connection: duckdb.DuckDBPyConnection, statement: str, frame: pl.DataFrame) -> None:
    """Run an INSERT that selects from ``incoming``, which stands for `frame`."""
    connection.register("incoming", frame.to_arrow())
    connection.execute(statement).fetchall()
    connection.unregister("incoming")


def _connect(path: Path, writable: bool, wait_seconds: float) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return duckdb.connect(str(path), read_only=not writable, config=_STORAGE if writable else _NO_SETTINGS)
        except duckdb.Error as error:
            if "Could not set lock" not in str(error):
                raise CatalogError(
                    f"{path.name} is damaged or not a DuckDB file. Move it away and run mm ingest ukb again: it is "
                    f"filled anew without reading the images again. DuckDB says: {str(error).splitlines()[0]}"
                ) from error
            if time.monotonic() >= deadline:
                raise CatalogLockedError(_locked_message(path, str(error))) from error
            time.sleep(_RETRY_SECONDS)


def _locked_message(path: Path, error: str) -> str:
    holder = re.search(r"PID (\d+)", error)
    by = f" by process {holder[1]}" if holder else ""
    return f"{path.name} is in use{by}. Wait for that command to end, or close the program, then try again."


def _migrate(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL)")
    version = _require_known(connection)
    for migration in MIGRATIONS:
        if migration.version > version:
            with transaction(connection):
                connection.execute(migration.sql)
                connection.execute("INSERT INTO migration VALUES (?, ?)", [migration.version, migration.name])


def _require_current(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        version = _require_known(connection)
    except duckdb.CatalogException:
        version = 0
    if version < MIGRATIONS[-1].version:
        raise CatalogError(
            "The catalogue is of an older mm or was never filled. Run mm ingest ukb to bring it up to date."
        )


def _require_known(connection: duckdb.DuckDBPyConnection) -> int:
    version = fetch_integer(connection, "SELECT coalesce(max(version), 0) FROM migration")
    newest = MIGRATIONS[-1].version
    if version > newest:
        raise CatalogError(f"The catalogue has schema version {version}; this mm knows up to {newest}. Use a newer mm.")
    return version
