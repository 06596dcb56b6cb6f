"""One command at a time writes to a study's stores."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from mmbase.files import make_directory
from mmbase.lock import LockHeldError, hold_lock
from mmdata.errors import StudyError
from mmdata.store.schema import StudyLayout


@contextmanager
def hold_stores(layout: StudyLayout) -> Iterator[None]:
    """Keep every other writer out while the block runs; whole heads that a killed one left are removed.

    Raises
    ------
    StudyError
        Another command is writing; the message names its process.
    """
    make_directory(layout.receipts)
    with ExitStack() as held:
        try:
            held.enter_context(hold_lock(layout.receipts / "writer.lock"))
        except LockHeldError as error:
            raise StudyError(
                f"Process {error.holder} is writing to this study.", "Wait for it to end, then try again."
            ) from error
        shutil.rmtree(layout.scratch, ignore_errors=True)
        held.callback(shutil.rmtree, layout.scratch, ignore_errors=True)
        yield
