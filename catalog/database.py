"""Open the catalogue: one writer at a time, readers on a frozen snapshot, migrations before anything else.

Terms
-----
replacement    a writer works on a copy, which takes the catalogue's name when all went well.
in place       a writer changes the file itself, in one transaction and for a tenth of a second; see ADR 14.
"""

import fcntl
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

import duckdb

from catalog.errors import CatalogError, CatalogLockedError
from catalog.failures import damaged_catalog, explained
from catalog.migrations import MIGRATIONS
from catalog.statements import fetch_integer, transaction
from mmbase.files import PRIVATE_MODE, sync_directory, sync_file
from mmbase.lock import LockHeldError, hold_lock

CATALOG_WAIT_SECONDS = 60.0
"""How long a command waits that has work to enter; another has the catalogue for seconds."""
READER_WAIT_SECONDS = 10.0
"""How long a reader waits for a writer in place to end."""
IN_PLACE_WAIT_SECONDS = 2.0
"""How long a writer in place waits for readers to end; then it replaces the catalogue."""
_RETRY_SECONDS = 0.05
_CONNECTING = threading.Lock()
"""Held while a file is opened and its lock looked at: to close a file gives up every lock that a process has on it."""
_MAX_TRIES = 3
Connection: TypeAlias = duckdb.DuckDBPyConnection
"""An open catalogue, for those who only hand it on."""
_Settings: TypeAlias = dict[str, str | bool | int | float | list[str]]
_NO_SETTINGS: _Settings = {}
_STORAGE: _Settings = {"storage_compatibility_version": "v1.0.0"}
"""Any DuckDB shell since 1.0 can open the file, not only those as new as the library that wrote it."""


@contextmanager
def open_catalog(
    path: Path, *, writable: bool = False, wait_seconds: float = 0.0, rewrite: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a study's catalogue, with today's schema: one that an older mm made is brought up to date first.

    A writer works on a copy of its own, which takes the catalogue's place in one step when the block ends, and is
    thrown away when the block fails. So a reader sees the catalogue as it was when it was opened, whatever is written
    meanwhile, and a kill leaves it as it was. Within one process a reader that is opened beside an older one sees what
    that one sees.

    Parameters
    ----------
    wait_seconds
        How long to wait for another process that writes.
    rewrite
        Write every page of the file again, so that nothing of what was deleted stays in it.

    Raises
    ------
    CatalogLockedError
        Another process is writing.
    CatalogError
        There is none to read, it is damaged, or a newer mm made it.
    """
    if writable:
        with (
            _hold_writer(path, wait_seconds),
            explained(path),
            _replace(path, wait_seconds, rewrite=rewrite) as connection,
        ):
            yield connection
        return
    if not path.exists():
        raise CatalogError(f"The study has no {path.name} yet.", "Run: mm ingest ukb SOURCE")
    with explained(path), closing(_connect_to_read(path, wait_seconds)) as connection:
        if not _is_old(connection):
            yield connection
            return
    with open_catalog(path, writable=True, wait_seconds=READER_WAIT_SECONDS):
        pass
    with explained(path), closing(_connect_to_read(path, wait_seconds)) as connection:
        yield connection


@contextmanager
def open_in_place(path: Path, *, wait_seconds: float = 0.0) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a study's catalogue to change a few rows in one transaction, at a cost that does not depend on its size.

    While nobody else has the file open it is changed itself; readers that come meanwhile wait. Where readers do not end
    soon, where there is no catalogue or an older mm made it, it is replaced as by `open_catalog`. Either way a kill or
    an error leaves it as it was. What is deleted stays in free pages: people are removed with ``rewrite=True`` there.

    Parameters
    ----------
    wait_seconds
        How long to wait for another writer.

    Raises
    ------
    CatalogLockedError
        Another process is writing.
    CatalogError
        It is damaged, or a newer mm made it.
    """
    with _hold_writer(path, wait_seconds), explained(path):
        own = _connect_in_place(path)
        if own is None:
            with _replace(path, wait_seconds, rewrite=False) as copy:
                yield copy
        else:
            with closing(own), transaction(own):
                yield own


def bring_up_to_date(path: Path) -> None:
    """Remove what a killed writer left, and give a catalogue that an older mm made today's schema.

    Raises
    ------
    CatalogError
        As `open_catalog`.
    """
    with _hold_writer(path, 0.0):
        _remove(_draft(path))
    if not path.exists():
        return
    with open_catalog(path):
        pass


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
        _spill_beside(connection, _draft(path))
        if path.exists():
            with open_catalog(path):  # judged by the same rules as any other reader, and kept from writers in place
                connection.execute(f"ATTACH {_quoted(path)} AS saved (READ_ONLY)")
                connection.execute("COPY FROM DATABASE saved TO memory")
                connection.execute("DETACH saved")
        _migrate(connection)
        yield connection
    finally:
        connection.close()


@contextmanager
def _hold_writer(path: Path, wait_seconds: float) -> Iterator[None]:
    """Keep every other writer of mm out while the block runs."""
    try:
        with hold_lock(_lock(path), wait_seconds=wait_seconds):
            yield
    except LockHeldError as error:
        raise _locked(path, error.holder) from error


@contextmanager
def _replace(path: Path, wait_seconds: float, *, rewrite: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a copy to write to; put it in the catalogue's place when the block succeeds."""
    draft = _draft(path)
    _remove(draft)
    try:
        if path.exists():
            _settle(path, wait_seconds)
            shutil.copyfile(path, draft)
        with closing(_connect(draft, read_only=False)) as connection:
            draft.chmod(PRIVATE_MODE)
            _migrate(connection)
            yield connection
            connection.execute("CHECKPOINT")
        if rewrite:
            _rewrite(draft)
        sync_file(draft)
        draft.replace(path)
        sync_directory(path.parent)
    finally:
        _remove(draft)


def _settle(path: Path, wait_seconds: float) -> None:
    """Make sure that a file can be copied: nobody else writes to it, and no log of a killed writer lies beside it."""
    has_log = path.with_name(f"{path.name}.wal").exists()
    with closing(_connect(path, read_only=not has_log, wait_seconds=wait_seconds)) as connection:
        if has_log:
            connection.execute("CHECKPOINT")


def _rewrite(draft: Path) -> None:
    """Copy a closed catalogue's tables and views to a new file, and put that in its place."""
    fresh = _rewritten(draft)
    with closing(duckdb.connect(":memory:", config=_STORAGE)) as connection:
        _spill_beside(connection, draft)
        connection.execute(f"ATTACH {_quoted(draft)} AS old (READ_ONLY)")
        connection.execute(f"ATTACH {_quoted(fresh)} AS fresh")
        connection.execute("COPY FROM DATABASE old TO fresh")
    fresh.chmod(PRIVATE_MODE)
    fresh.replace(draft)


def _spill_beside(connection: duckdb.DuckDBPyConnection, draft: Path) -> None:
    """Let what does not fit in memory go where a draft's leftovers are removed, not to the working directory."""
    connection.execute(f"SET temp_directory = {_quoted(draft.with_name(f'{draft.name}.tmp'))}")


def _remove(draft: Path) -> None:
    """Remove a draft with whatever a writer that was killed left of it."""
    for path in (draft, _rewritten(draft)):
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
        shutil.rmtree(path.with_name(f"{path.name}.tmp"), ignore_errors=True)


def _draft(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _rewritten(draft: Path) -> Path:
    return draft.with_name(f"{draft.name}er")


def _lock(path: Path) -> Path:
    return path.with_suffix(".lock")


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _connect_to_read(path: Path, wait_seconds: float = 0.0) -> duckdb.DuckDBPyConnection:
    """Open the file to read; wait for a writer in place, whose lock says that it is one of ours."""
    deadline = time.monotonic() + READER_WAIT_SECONDS
    while True:
        try:
            return _connect(path, read_only=True)
        except CatalogLockedError:
            try:
                with hold_lock(_lock(path), shared=True):  # nobody of ours writes: another program has it
                    return _connect(path, read_only=True, wait_seconds=wait_seconds)
            except LockHeldError as error:
                if time.monotonic() >= deadline:
                    raise _locked(path, error.holder) from error
        time.sleep(_RETRY_SECONDS)


def _connect_in_place(path: Path) -> duckdb.DuckDBPyConnection | None:
    """Open the file itself to write; None where others keep it open, there is none, or it needs migrations."""
    if not path.exists():
        return None
    try:
        connection = _connect(path, read_only=False, wait_seconds=IN_PLACE_WAIT_SECONDS)
    except CatalogLockedError:
        return None
    if _schema_version(connection) == MIGRATIONS[-1].version:
        return connection
    connection.close()
    return None


def _connect(path: Path, *, read_only: bool, wait_seconds: float = 0.0) -> duckdb.DuckDBPyConnection:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return _connect_now(path, read_only=read_only)
        except CatalogLockedError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_RETRY_SECONDS)


def _connect_now(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    settings = _NO_SETTINGS if read_only else _STORAGE
    for tries_left in reversed(range(_MAX_TRIES)):
        with _CONNECTING:
            try:
                return duckdb.connect(str(path), read_only=read_only, config=settings)
            except duckdb.ConnectionException as error:
                raise CatalogLockedError(
                    f"{path.name} is open in this process.", "Close it before it is written."
                ) from error
            except duckdb.IOException as error:
                # DuckDB has one type for a file in use and a file that is no database; the system knows which it is.
                if _is_locked(path, read_only=read_only):
                    holder = re.search(r"PID (\d+)", str(error))
                    raise _locked(path, holder[1] if holder else "") from error
                if not tries_left:  # in use when it was opened, and free a moment later: not three times
                    raise damaged_catalog(path, error) from error
            except duckdb.Error as error:
                raise damaged_catalog(path, error) from error
    raise AssertionError("the last try returns or raises")


def _is_locked(path: Path, *, read_only: bool) -> bool:
    """Tell whether another process keeps this one from opening a file: DuckDB locks it by fcntl(2)."""
    try:
        with path.open("rb" if read_only else "r+b") as file:
            fcntl.lockf(file, (fcntl.LOCK_SH if read_only else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        raise CatalogError(f"{path.name} cannot be opened: {error.strerror}.", "Mend that, then try again.") from error
    return False


def _locked(path: Path, holder: str) -> CatalogLockedError:
    by = f" by process {holder}" if holder.isdecimal() else ""
    return CatalogLockedError(
        f"{path.name} is in use{by}.", "Wait for that command to end, or close the program, then try again."
    )


def _migrate(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL)")
    version = _require_known(connection)
    for migration in MIGRATIONS:
        if migration.version > version:
            with transaction(connection):
                connection.execute(migration.sql)
                connection.execute("INSERT INTO migration VALUES (?, ?)", [migration.version, migration.name])


def _is_old(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether an older mm made the catalogue.

    Raises
    ------
    CatalogError
        No mm has made it, or a newer one.
    """
    version = _schema_version(connection)
    if version == 0:
        raise CatalogError("The catalogue was never filled.", "Run mm ingest ukb SOURCE first.")
    return version < MIGRATIONS[-1].version


def _schema_version(connection: duckdb.DuckDBPyConnection) -> int:
    try:
        return _require_known(connection)
    except duckdb.CatalogException:
        return 0


def _require_known(connection: duckdb.DuckDBPyConnection) -> int:
    version = fetch_integer(connection, "SELECT coalesce(max(version), 0) FROM migration")
    newest = MIGRATIONS[-1].version
    if version > newest:
        raise CatalogError(
            f"The catalogue has schema version {version}; this mm knows up to {newest}.", "Use a newer mm."
        )
    return version
