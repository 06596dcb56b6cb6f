"""One holder at a time, known by its process number; the operating system releases the lock of a process that dies.

Source: flock(2).
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RETRY_SECONDS = 0.2


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
def hold_lock(path: Path, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock of a file while a block lasts.

    Parameters
    ----------
    path
        The lock file; it is made where there is none, and stays.
    wait_seconds
        How long to wait for another holder to end.

    Raises
    ------
    LockHeldError
        Another process holds it still.
    """
    deadline = time.monotonic() + wait_seconds
    with path.open("a+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    raise LockHeldError(file.read().strip() or "unknown") from error
            time.sleep(_RETRY_SECONDS)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
