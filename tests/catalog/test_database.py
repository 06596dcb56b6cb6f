import os
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from catalog.database import bring_up_to_date, open_catalog
from catalog.errors import CatalogError, CatalogLockedError
from catalog.migrations import MIGRATIONS
from catalog.statements import fetch_integer, transaction

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
    path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waited"))
    with (
        pytest.raises(CatalogLockedError, match=rf"in use by process {holder.pid}\."),
        open_catalog(path, writable=writable),
    ):
        pass


def test_a_writer_may_wait_for_the_lock(
    path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, naps = [0.0], []

    def nap(seconds: float) -> None:
        now[0] += seconds
        naps.append(seconds)

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", nap)
    with pytest.raises(CatalogLockedError), open_catalog(path, writable=True, wait_seconds=0.5):
        pass
    assert now[0] >= 0.5 and len(naps) > 1

    def leave(_: float) -> None:
        assert holder.stdin
        holder.stdin.close()
        holder.wait()

    monkeypatch.setattr(time, "sleep", leave)
    with open_catalog(path, writable=True, wait_seconds=20) as connection:
        assert fetch_integer(connection, "SELECT 1") == 1
    assert holder.returncode == 0


def test_a_second_writer_of_mm_is_refused_by_name(path: Path) -> None:
    with open_catalog(path, writable=True):
        with (
            pytest.raises(CatalogLockedError, match=rf"in use by process {os.getpid()}\."),
            open_catalog(path, writable=True),
        ):
            pass
        with open_catalog(path) as reader:
            assert fetch_integer(reader, "SELECT 7") == 7


def test_a_reader_sees_what_was_there_when_it_opened(path: Path) -> None:
    count = "SELECT count(*) FROM modality"
    other = "import sys; from pathlib import Path; from catalog.database import open_catalog\n"
    other += "from catalog.statements import fetch_integer as f\n"
    other += "with open_catalog(Path(sys.argv[1])) as c:\n  for _ in sys.stdin: print(f(c, sys.argv[2]), flush=True)"
    command = [sys.executable, "-c", other, str(path), count]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin and reader.stdout

        def seen() -> int:
            print("look", file=reader.stdin, flush=True)
            return int(reader.stdout.readline())  # type: ignore[union-attr]

        assert seen() == 0
        with open_catalog(path, writable=True) as writer:
            writer.execute("INSERT INTO modality VALUES ('t1')")
            assert seen() == 0
            with open_catalog(path) as late:
                assert fetch_integer(late, count) == 0
        assert seen() == 0
        with open_catalog(path) as late:
            assert fetch_integer(late, count) == 1


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_every_byte_as_it_was(path: Path, error: type[BaseException]) -> None:
    before = path.read_bytes()
    with pytest.raises(error), open_catalog(path, writable=True) as connection:
        connection.execute("INSERT INTO modality VALUES ('t1')")
        raise error
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["catalog.duckdb", "catalog.lock"]


def test_a_writer_that_is_killed_leaves_every_byte_as_it_was(path: Path) -> None:
    before = path.read_bytes()
    code = "import sys; from pathlib import Path; from catalog.database import open_catalog\n"
    code += "with open_catalog(Path(sys.argv[1]), writable=True) as c:\n"
    code += "  c.execute(\"INSERT INTO modality VALUES ('t1')\"); print('in', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout and writer.stdout.readline() == "in\n"
        writer.kill()
    assert (path.parent / "catalog.duckdb.new").exists()
    assert path.read_bytes() == before
    with open_catalog(path, writable=True) as connection:
        assert fetch_integer(connection, "SELECT count(*) FROM modality") == 0
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["catalog.duckdb", "catalog.lock"]


def test_what_a_killed_writer_of_another_program_left_in_its_log_is_kept(path: Path) -> None:
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); c.execute(\"INSERT INTO modality VALUES ('t1')\");"
    code += "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert path.with_name("catalog.duckdb.wal").exists()
    for _ in range(2):
        with open_catalog(path, writable=True) as connection:
            assert fetch_integer(connection, "SELECT count(*) FROM modality") == 1
    assert not path.with_name("catalog.duckdb.wal").exists()


@pytest.mark.parametrize("rewrite", [True, False])
def test_only_a_rewritten_file_forgets_what_was_deleted(path: Path, rewrite: bool) -> None:
    secret = "a-name-that-is-nowhere-else"
    with open_catalog(path, writable=True) as connection:
        connection.execute("INSERT INTO modality VALUES (?)", [secret])
    with open_catalog(path, writable=True) as connection:  # behind it in the file, so that its end is not cut off
        connection.execute("INSERT INTO withdrawn SELECT 'p' || number FROM range(1000) numbers(number)")
    assert secret.encode() in path.read_bytes()
    with open_catalog(path, writable=True, rewrite=rewrite) as connection:
        connection.execute("DELETE FROM modality")
    assert (secret.encode() in path.read_bytes()) != rewrite
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with open_catalog(path, writable=True) as connection:  # the new file has the keys of the old one
        connection.execute("INSERT INTO modality VALUES ('t1')")
        with pytest.raises(duckdb.ConstraintException):
            connection.execute("INSERT INTO modality VALUES ('t1')")


def test_a_catalogue_of_the_second_schema_keeps_its_features(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    with duckdb.connect(str(path)) as old:
        old.execute("CREATE TABLE migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        for migration in MIGRATIONS[:2]:
            old.execute(migration.sql)
            old.execute("INSERT INTO migration VALUES (?, ?)", [migration.version, migration.name])
        old.execute("INSERT INTO participant VALUES ('p', 1000001, NULL)")
        old.execute("INSERT INTO sample VALUES ('s2', 'p', 2, 4, 'train'), ('s3', 'p', 3, 1, 'train')")
        old.execute("INSERT INTO feature VALUES ('s2', 'age', 63, 21003, 2, 0), ('s3', 'age', 66, 21003, 3, 0)")
        expected = old.execute("SELECT * FROM features ORDER BY ALL").fetchall()
    with open_catalog(path) as connection:  # a reader brings it up to date
        assert connection.execute("SELECT * FROM features ORDER BY ALL").fetchall() == expected
    before = path.stat().st_mtime_ns
    bring_up_to_date(path)
    assert path.stat().st_mtime_ns == before
    with open_catalog(path) as connection:
        assert connection.execute("SELECT * FROM features ORDER BY ALL").fetchall() == expected
        assert len(expected) == 2


def test_a_catalogue_of_the_third_schema_keeps_its_runs_column_for_column(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    with duckdb.connect(str(path)) as old:
        old.execute("CREATE TABLE migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        for migration in MIGRATIONS[:3]:
            old.execute(migration.sql)
            old.execute("INSERT INTO migration VALUES (?, ?)", [migration.version, migration.name])
        old.execute(
            "INSERT INTO run (run_id, target, kind, inputs, n_train, n_val, n_test, val_mae, test_mae, withdrawn) "
            "VALUES ('age_1', 'age', 'regression', 't1', 80, 10, 11, 3.5, 4.5, 2)"
        )
        old.execute(
            "INSERT INTO run (run_id, target, kind, inputs, n_train, n_val, n_test, val_balanced_accuracy, test_auc) "
            "VALUES ('sex_1', 'sex', 'classification', 't1+dwi', 90, 20, 21, 0.75, 0.5)"
        )
        query = old.execute("SELECT * FROM runs ORDER BY run_id")
        columns, expected = query.description, query.fetchall()
    bring_up_to_date(path)
    with open_catalog(path) as connection:
        query = connection.execute("SELECT * FROM runs ORDER BY run_id")
        assert (query.description, query.fetchall()) == (columns, expected)
        metrics = connection.execute("SELECT * FROM metrics ORDER BY ALL").fetchall()
    assert metrics == [
        ("age_1", "age", "test", "mae", 4.5, None, None),
        ("age_1", "age", "val", "mae", 3.5, None, None),
        ("sex_1", "sex", "test", "auc", 0.5, None, None),
        ("sex_1", "sex", "val", "balanced_accuracy", 0.75, None, None),
    ]


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


def with_header(path: Path, storage_version: int, version: bytes) -> None:
    """Write the main header as another DuckDB would: a checksum of 8 bytes, DUCK, the storage's version, its own."""
    content = bytearray(path.read_bytes())
    content[12:20] = storage_version.to_bytes(8, "little")
    content[52:84] = version.ljust(32, b"\0")
    checksum = 5381
    for (number,) in struct.iter_unpack("<Q", content[8:4096]):
        checksum ^= number * 0xBF58476D1CE4E5B9 & 2**64 - 1
    path.write_bytes(struct.pack("<Q", checksum) + content[8:])


@pytest.mark.parametrize("writable", [True, False])
def test_a_catalogue_of_a_newer_duckdb_is_not_called_damaged(path: Path, writable: bool) -> None:
    with_header(path, 64, duckdb.__version__.encode())
    with open_catalog(path, writable=writable):
        pass  # so the header is made as DuckDB makes it
    with_header(path, 5000, b"v9.8.7")
    told = r"^catalog\.duckdb was written by DuckDB v9\.8\.7; the DuckDB of this mm, .*pip install -U duckdb"
    with pytest.raises(CatalogError, match=told), open_catalog(path, writable=writable):
        pass


def test_a_catalogue_that_is_damaged_in_the_middle_is_told_when_that_is_read(path: Path) -> None:
    with open_catalog(path, writable=True) as connection:
        connection.execute("INSERT INTO participant (participant_key, eid) SELECT i, i FROM range(50_000) t(i)")
    content = bytearray(path.read_bytes())
    for place in range(100_000, len(content), 5000):
        content[place] ^= 1
    path.write_bytes(content)
    with (
        pytest.raises(CatalogError, match=r"catalog\.duckdb is damaged .* Move it away and run mm ingest again"),
        open_catalog(path) as connection,
    ):
        connection.execute("SELECT count(DISTINCT participant_key || eid) FROM participant").fetchall()


def test_too_little_memory_and_a_full_disk_are_no_damage(path: Path) -> None:
    with pytest.raises(CatalogError, match="not enough memory to work on catalog"), open_catalog(path):
        raise duckdb.OutOfMemoryException("Out of Memory Error: could not allocate")
    with pytest.raises(OSError, match="No space left on device"), open_catalog(path, writable=True):
        raise duckdb.IOException("IO Error: Could not write file: No space left on device")
    with pytest.raises(duckdb.BinderException), open_catalog(path) as connection:
        connection.execute("SELECT nothing FROM samples")
