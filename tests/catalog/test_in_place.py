"""Writing in place: what readers, other writers and kills meet."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from catalog.database import open_catalog, open_in_place, open_scratch
from catalog.errors import CatalogLockedError
from catalog.migrations import MIGRATIONS
from catalog.runs import enter_run
from catalog.statements import fetch_integer

NUM_KILLS = int(os.environ.get("MM_KILLS", "6"))
COUNT = "SELECT count(*) FROM modality"
METRICS = dict.fromkeys(("mae", "r2", "r", "pinball"), 0.5)
NUM_METRICS = 2 * len(METRICS)

HEAD = (
    "import os, signal, sys, time\n"
    "from pathlib import Path\n"
    "import catalog.database as database\n"
    "from catalog.runs import enter_run\n"
    "path = Path(sys.argv[1])\n"
)
READ = (
    HEAD
    + "with database.open_catalog(path) as c:\n    for _ in sys.stdin: print(database.fetch_integer(c, sys.argv[2]))\n"
)
HOLD = HEAD + (
    "with database.open_in_place(path) as c:\n"
    "    c.execute(\"INSERT INTO modality VALUES ('t1')\")\n"
    "    print('in', flush=True)\n"
    "    time.sleep(float(sys.argv[2]))\n"
)
ENTER = HEAD + (
    "runs = Path(sys.argv[2])\n"
    "print('in', flush=True)\n"
    "for number in range(int(sys.argv[3]), int(sys.argv[4])):\n"
    "    enter_run(path, runs / f'run_{number % 20:02}', wait_seconds=60)\n"
)
KILLED_BEFORE_THE_END = HEAD + (
    "class Closing:\n"
    "    def __init__(self, connection): self.connection = connection\n"
    "    def __enter__(self): return self.connection\n"
    "    def __exit__(self, *_): os.kill(os.getpid(), signal.SIGKILL)\n"
    "database.closing = Closing\n"
    "with database.open_in_place(path) as c:\n"
    "    c.execute(\"INSERT INTO modality VALUES ('t1')\")\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.duckdb"
    with open_catalog(path, writable=True):
        pass
    return path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """20 finished runs."""
    n = {"train": 8, "val": 2, "test": 2}
    metrics = {"target": "age", "kind": "regression", "inputs": ["t1"], "n": n, "val": METRICS, "test": METRICS}
    for number in range(20):
        run = tmp_path / "runs" / f"run_{number:02}"
        run.mkdir(parents=True)
        (run / "metrics.json").write_text(json.dumps(metrics))
    return tmp_path / "runs"


@contextmanager
def started(code: str, *words: object) -> Iterator[subprocess.Popen[str]]:
    """Run code in another process; it is killed in the end."""
    command = [sys.executable, "-u", "-c", code, *map(str, words)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def ask(process: subprocess.Popen[str]) -> int:
    print("look", file=process.stdin, flush=True)
    return int(line(process))


def count(path: Path) -> int:
    with open_catalog(path) as connection:
        return fetch_integer(connection, COUNT)


def add(path: Path, name: str) -> None:
    with open_in_place(path) as connection:
        connection.execute("INSERT INTO modality VALUES (?)", [name])


def test_the_file_itself_is_changed_and_nothing_is_left_beside_it(path: Path) -> None:
    before = path.stat().st_ino
    add(path, "t1")
    assert count(path) == 1
    assert path.stat().st_ino == before
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["catalog.duckdb", "catalog.lock"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_takes_everything_back(path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), open_in_place(path) as connection:
        connection.execute("INSERT INTO modality VALUES ('t1')")
        raise error
    assert count(path) == 0


def test_a_reader_that_was_there_before_is_left_with_what_it_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.database.IN_PLACE_WAIT_SECONDS", 0.3)
    before = path.stat().st_ino
    with started(READ, path, COUNT) as reader:
        assert ask(reader) == 0
        add(path, "t1")
        assert ask(reader) == 0
        assert count(path) == 1
        assert path.stat().st_ino != before


def test_a_reader_of_the_same_process_is_left_with_what_it_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.database.IN_PLACE_WAIT_SECONDS", 0.1)
    with open_catalog(path) as reader:
        add(path, "t1")
        assert fetch_integer(reader, COUNT) == 0
    assert count(path) == 1


def test_a_reader_that_comes_meanwhile_waits(path: Path) -> None:
    with started(HOLD, path, 1.0) as writer:
        assert line(writer) == "in"
        assert count(path) == 1


def test_a_plan_on_a_copy_in_memory_waits_too(path: Path) -> None:
    with started(HOLD, path, 1.0) as writer:
        assert line(writer) == "in"
        with open_scratch(path) as connection:
            assert fetch_integer(connection, COUNT) == 1


def test_a_reader_in_another_thread_waits(path: Path) -> None:
    counts: list[int] = []
    reader = threading.Thread(target=lambda: counts.append(count(path)))
    with open_in_place(path) as connection:
        connection.execute("INSERT INTO modality VALUES ('t1')")
        reader.start()
        time.sleep(0.3)
        assert not counts
    reader.join()
    assert counts == [1]


def test_a_reader_gives_up_in_the_end_and_names_the_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.database.READER_WAIT_SECONDS", 0.3)
    with started(HOLD, path, 600) as writer:
        assert line(writer) == "in"
        with pytest.raises(CatalogLockedError, match=rf"in use by process {writer.pid}\."):
            count(path)


def test_a_writer_that_replaces_and_one_in_place_take_turns(path: Path) -> None:
    with started(HOLD, path, 0.5) as writer:
        assert line(writer) == "in"
        with open_catalog(path, writable=True, wait_seconds=60) as connection:
            assert fetch_integer(connection, COUNT) == 1
            with pytest.raises(CatalogLockedError, match=f"by process {os.getpid()}"):
                add(path, "flair")


def test_a_catalogue_of_an_older_mm_is_brought_up_to_date_first(tmp_path: Path) -> None:
    path = tmp_path / "old.duckdb"
    with duckdb.connect(str(path)) as old:
        old.execute("CREATE TABLE migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        for migration in MIGRATIONS[:-1]:
            old.execute(migration.sql)
            old.execute("INSERT INTO migration VALUES (?, ?)", [migration.version, migration.name])
    add(path, "t1")
    assert count(path) == 1


def test_what_was_committed_before_a_kill_is_seen_by_readers_and_kept_by_writers(path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED_BEFORE_THE_END, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.with_name("catalog.duckdb.wal").exists()
    assert count(path) == 1
    add(path, "flair")
    assert count(path) == 2
    assert not path.with_name("catalog.duckdb.wal").exists()


def test_many_who_enter_and_read_at_once_lose_nothing_and_none_fails(path: Path, runs: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", ENTER, path, runs, str(n), str(n + 5)]) for n in (0, 5, 10, 15)]
    while any(writer.poll() is None for writer in writers):
        count(path)
    assert [writer.returncode for writer in writers] == [0, 0, 0, 0]
    with open_catalog(path) as connection:
        assert fetch_integer(connection, "SELECT count(*) FROM run") == 20
        assert fetch_integer(connection, "SELECT count(*) FROM metric") == 20 * NUM_METRICS


def test_a_kill_at_any_moment_leaves_every_run_whole_or_out(path: Path, runs: Path) -> None:
    add(path, "t1")
    rng = random.Random(11)
    for _ in range(NUM_KILLS):
        with started(ENTER, path, runs, 0, 1_000_000) as writer:
            assert line(writer) == "in"
            time.sleep(rng.uniform(0.0, 0.5))
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        with open_catalog(path) as connection:
            halves = connection.execute(
                "SELECT run_id FROM run FULL JOIN metric USING (run_id, target) GROUP BY run_id "
                "HAVING count(name) <> ? OR count(kind) <> count(*)",
                [NUM_METRICS],
            ).fetchall()
            assert halves == []
            assert fetch_integer(connection, COUNT) == 1
    enter_run(path, runs / "run_00")
    with open_catalog(path, writable=True) as connection:
        assert fetch_integer(connection, "SELECT count(*) FROM run") == 20
        assert fetch_integer(connection, "SELECT count(*) FROM metric") == 20 * NUM_METRICS
