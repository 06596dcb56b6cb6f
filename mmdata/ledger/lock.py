"""One command at a time writes to a study's stores; the operating system releases the lock when it dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from mmdata.errors import StudyError
from mmdata.store.schema import StudyLayout


@contextmanager
def hold_stores(layout: StudyLayout) -> Iterator[None]:
    """Keep every other writer out while the block runs.

    Raises
    ------
    StudyError
        Another command is writing; the message names its process.
    """
    path = layout.receipts / "writer.lock"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise StudyError(
                f"Process {holder} is writing to this study. Wait for it to end, then try again."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
