"""One holder at a time, known by its process number; the operating system releases the lock of a process that dies.

Some network file systems have no such locks. There nothing is done unless the user takes it on them that one command
works at a time: ``mm --no-lock``, which the environment hands on to the processes that a command starts.

Source: flock(2).
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mmbase.errors import MmError

_RETRY_SECONDS = 0.2
_PRIVATE_MODE = 0o600


NO_LOCK = "MM_NO_LOCK"
"""Environment variable: go on where the file system has no locks."""
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class NoLocksError(MmError):
    """The file system has no locks."""


class LockHeldError(Exception):
    """Another process holds the lock.

    Parameters
    ----------
    holder
        Number of that process as it wrote it, or ``unknown``.
    """

    def __init__(self, holder: str) -> None:
        super().__init__(f"held by process {holder}")
        self.holder = holder


@contextmanager
def hold_lock(path: Path, *, wait_seconds: float = 0.0, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a file while a block lasts.

    Parameters
    ----------
    path
        The lock file; it is made where there is none, and stays.
    wait_seconds
        How long to wait for another holder to end.
    shared
        Hold it beside others that share it; such holders are not known by their number.

    Raises
    ------
    LockHeldError
        Another process holds it still.
    NoLocksError
        The file system has no locks, and the user has not said to go on without.
    """
    deadline = time.monotonic() + wait_seconds
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with open(path, "a+", opener=_open_private) as file:
        while True:
            try:
                _flock(file, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    raise LockHeldError(file.read().strip() or "unknown") from error
            time.sleep(_RETRY_SECONDS)
        if not shared:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        yield


def has_locks(path: Path) -> bool:
    """Return whether the file system of a file has locks.

    Parameters
    ----------
    path
        A lock file; it is made where there is none, and stays.

    Raises
    ------
    NoLocksError
        It has none, and the user has not said to go on without.
    """
    with open(path, "a+", opener=_open_private) as file:
        try:
            return _flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True


def _flock(file: IO[str], kind: int) -> bool:
    """Lock a file; return False where the file system has no locks and the user goes on without."""
    try:
        fcntl.flock(file, kind)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        if not os.environ.get(NO_LOCK):
            raise NoLocksError(
                f"The file system of {Path(file.name).parent} has no file locks ({error.strerror}), and nothing else "
                "keeps two commands from writing to a study at once.",
                "Mount it with locks (Lustre: -o flock; NFS: with a lock manager), or give mm --no-lock and take care "
                "that one command works at a time.",
            ) from error
        return False
    return True


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, _PRIVATE_MODE)
