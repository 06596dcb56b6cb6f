import errno
import fcntl
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmbase.lock import NO_LOCK, LockHeldError, NoLocksError, has_locks, hold_lock

HOLD = (
    "import pathlib, sys\n"
    "from mmbase.lock import hold_lock\n"
    "with hold_lock(pathlib.Path(sys.argv[1]), shared=len(sys.argv) > 2):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "writer.lock"


def start_holder(path: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(path), *words]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock alone."""
    with start_holder(path) as process:
        yield process
        process.kill()


def test_the_holder_is_named_by_its_number(path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(LockHeldError) as caught, hold_lock(path):
        pass
    assert caught.value.holder == str(holder.pid)


def test_a_lock_is_held_against_its_own_process_too(path: Path) -> None:
    with hold_lock(path), pytest.raises(LockHeldError, match=str(os.getpid())), hold_lock(path):
        pass
    with hold_lock(path):
        pass


def test_an_error_releases_the_lock(path: Path) -> None:
    with pytest.raises(KeyError), hold_lock(path):
        raise KeyError
    with hold_lock(path):
        pass


def test_a_kill_releases_the_lock(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with hold_lock(path):
        pass


def test_whoever_may_wait_gets_the_lock_when_its_holder_ends(path: Path, holder: subprocess.Popen[str]) -> None:
    started = time.monotonic()
    with pytest.raises(LockHeldError), hold_lock(path, wait_seconds=0.3):
        pass
    assert time.monotonic() - started >= 0.3
    assert holder.stdin
    holder.stdin.close()
    with hold_lock(path, wait_seconds=60):
        pass


def test_those_who_share_it_keep_out_only_those_who_want_it_alone(path: Path) -> None:
    with start_holder(path, "shared") as other:
        with hold_lock(path, shared=True):
            pass
        with pytest.raises(LockHeldError, match="unknown"), hold_lock(path):
            pass
        other.kill()
    with hold_lock(path), pytest.raises(LockHeldError), hold_lock(path, shared=True):
        pass


def test_its_file_can_be_read_by_its_owner_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        with hold_lock(path):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused_unless_the_user_goes_on_without(
    number: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_locks(file: object, kind: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", without_locks)
    with pytest.raises(NoLocksError, match=r"has no file locks \(.*--no-lock"), hold_lock(path):
        pass
    with pytest.raises(NoLocksError):
        has_locks(path)
    monkeypatch.setenv(NO_LOCK, "1")
    with hold_lock(path), hold_lock(path, shared=True):
        pass
    assert not has_locks(path)


def test_going_on_without_locks_changes_nothing_where_there_are_some(
    path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NO_LOCK, "1")
    assert has_locks(path)
    with pytest.raises(LockHeldError), hold_lock(path):
        pass
