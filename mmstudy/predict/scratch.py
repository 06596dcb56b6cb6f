"""A private folder for what a prediction needs while it runs, and nobody may keep: heads for a brain extractor, tables.

It lies among the system's temporary files. A lock in it says that its command is at work. So what a kill has left is
known, and the next prediction removes it.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmbase.lock import LockHeldError, hold_lock

_PREFIX = "mm-predict-"
_LOCK = "lock"


@contextmanager
def open_scratch_folder() -> Iterator[Path]:
    """Make a folder that this user alone can read, for as long as a block lasts; remove those of killed commands."""
    _remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder, hold_lock(Path(folder) / _LOCK):
        yield Path(folder)


def _remove_abandoned(parent: Path) -> None:
    """Remove this user's folders that no command holds; one without a lock is being made, and holds nothing yet."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError, LockHeldError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid() or not (folder / _LOCK).exists():
                continue
            with hold_lock(folder / _LOCK):
                shutil.rmtree(folder)
