import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from catalog.database import fetch_integer, open_catalog, transaction
from catalog.errors import CatalogError, CatalogLockedError
from catalog.migrations import MIGRATIONS

HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An empty catalogue in a folder whose name must not be mistaken for a message about a lock."""
    (tmp_path / "block").mkdir()
    path = tmp_path / "block" / "catalog.duckdb"
    with open_catalog(path, writable=True):
        pass
    return path


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the catalogue open to write."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process


@pytest.mark.parametrize("writable", [True, False])
def test_a_catalogue_held_by_another_process_is_refused_at_once_by_name(
    path: Path, holder: subprocess.Popen[str], writable: bool
) -> None:
    started = time.monotonic()
    with (
        pytest.raises(CatalogLockedError, match=rf"in use by process {holder.pid}\."),
        open_catalog(path, writable=writable),
    ):
        pass
    assert time.monotonic() - started < 2


def test_a_writer_may_wait_for_the_lock(path: Path, holder: subprocess.Popen[str]) -> None:
    started = time.monotonic()
    with pytest.raises(CatalogLockedError), open_catalog(path, writable=True, wait_seconds=0.5):
        pass
    assert time.monotonic() - started >= 0.5
    assert holder.stdin
    holder.stdin.close()
    with open_catalog(path, writable=True, wait_seconds=20) as connection:
        assert fetch_integer(connection, "SELECT 1") == 1


def test_two_readers_may_look_at_once(path: Path) -> None:
    with open_catalog(path) as one, open_catalog(path) as other:
        assert fetch_integer(one, "SELECT 7") == fetch_integer(other, "SELECT 7") == 7


def test_a_reader_cannot_write(path: Path) -> None:
    with open_catalog(path) as connection, pytest.raises(duckdb.Error, match="read-only"):
        connection.execute("INSERT INTO modality VALUES ('t1')")


def test_every_migration_is_recorded_once(path: Path) -> None:
    for _ in range(2):
        with open_catalog(path, writable=True) as connection:
            recorded = connection.execute("SELECT version, name FROM migration ORDER BY version").fetchall()
    assert recorded == [(m.version, m.name) for m in MIGRATIONS]
    assert [m.version for m in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


@pytest.mark.parametrize("writable", [True, False])
def test_a_catalogue_of_a_newer_mm_is_refused(path: Path, writable: bool) -> None:
    with open_catalog(path, writable=True) as connection:
        connection.execute("INSERT INTO migration VALUES (99, 'from the future')")
    with (
        pytest.raises(CatalogError, match=r"schema version 99; .* Use a newer mm"),
        open_catalog(path, writable=writable),
    ):
        pass


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("content", [b"not a database\n" * 400, b"eid,31-0.0\n"])
def test_a_text_file_in_its_place_is_refused_and_kept(path: Path, writable: bool, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=r"catalog\.duckdb") as caught, open_catalog(path, writable=writable):
        pass
    assert not isinstance(caught.value, CatalogLockedError)
    assert path.read_bytes() == content


def test_a_reader_before_the_first_ingest_is_told_to_ingest(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="Run: mm ingest ukb"), open_catalog(tmp_path / "catalog.duckdb"):
        pass
    assert not any(tmp_path.iterdir())


def test_a_reader_of_a_database_without_migrations_is_told_to_ingest(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "catalog.duckdb")).close()
    with pytest.raises(CatalogError, match="Run mm ingest ukb"), open_catalog(tmp_path / "catalog.duckdb"):
        pass


def test_a_catalogue_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0o000)
    try:
        with open_catalog(tmp_path / "catalog.duckdb", writable=True):
            pass
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "catalog.duckdb").stat().st_mode) == 0o600


def test_a_transaction_keeps_all_or_nothing(path: Path) -> None:
    with open_catalog(path, writable=True) as connection:
        with pytest.raises(RuntimeError), transaction(connection):
            connection.execute("INSERT INTO modality VALUES ('t1')")
            raise RuntimeError
        assert fetch_integer(connection, "SELECT count(*) FROM modality") == 0
        with transaction(connection):
            connection.execute("INSERT INTO modality VALUES ('t1')")
    with open_catalog(path) as connection:
        assert fetch_integer(connection, "SELECT count(*) FROM modality") == 1


def test_a_query_without_rows_counts_as_0(path: Path) -> None:
    with open_catalog(path) as connection:
        assert fetch_integer(connection, "SELECT 5 WHERE false") == 0


def test_the_file_is_readable_by_any_duckdb_since_version_1(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    for _ in range(2):
        with open_catalog(path, writable=True):
            pass
    # Source: duckdb.org/docs/internals/storage, the file's header: a checksum of 8 bytes, DUCK, the version as 8 bytes
    header = path.read_bytes()[:20]
    assert header[8:12] == b"DUCK"
    assert int.from_bytes(header[12:20], "little") == 64
