"""What becomes of an error: one line for whoever can do something about it, a traceback for our own mistakes."""

import errno
import re
from collections.abc import Iterator

import typer

from mmbase.errors import MmError
from mmbase.printable import printable, without_numbers
from mmcli.machine import memory_message
from mmtrain.ranks.environment import rank_of_process

FREE_SOME_SPACE = "The disk is full, or your quota of it is. What was stored is intact: free some space, then run"
DISK_IS_FULL = f"{FREE_SOME_SPACE} the same command again."
FILE_IS_TOO_LARGE = (
    "A file would be larger than it may be here: a limit of the shell (ulimit -f) or of the file system. Nothing of it "
    "was kept: lift the limit, or write to another disk."
)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def without_values(message: str) -> str:
    """Return what the parser says of wrong usage, without what may be a secret: a setting that lacks its ``--set``.

    >>> without_values("Got a word too many: slat=0123abcd.")
    'Got a word too many: slat=…'
    """
    return printable(re.sub(r"(?<=\w)=(?!VALUE)[^\s)]+", "=…", message))


def explain(error: BaseException) -> str | None:
    """Return what to tell the user about an error; None: it is a mistake of ours."""
    if isinstance(error, MmError):
        return str(error)
    if is_full_disk(error):
        return DISK_IS_FULL
    if any(isinstance(cause, OSError) and cause.errno == errno.EFBIG for cause in causes(error)):
        return FILE_IS_TOO_LARGE
    if message := memory_message(causes(error)):
        return message
    if isinstance(error, OSError) and error.filename:
        return f"{error.strerror}: {without_numbers(str(error.filename))}"
    return None


def is_full_disk(error: BaseException) -> bool:
    """Return whether an error, or what it came from, is that the disk is full."""
    return any(isinstance(cause, OSError) and cause.errno in _FULL for cause in causes(error))


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, then what it was raised from or while handling, back to the first."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        yield cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__


def leave_to_torchrun(error: Exception) -> None:
    """In one of several ranks, let the command that started them tell the user; elsewhere do nothing."""
    if rank_of_process() is None:
        return
    from mmtrain.ranks.failure import record_failure

    record_failure(error)
    raise typer.Exit(1)
