"""What becomes of an error: one line for whoever can do something about it, a traceback for our own mistakes."""

import errno
from collections.abc import Iterator

import typer

from mmbase.errors import MmError
from mmcli.machine import memory_message
from mmstudy.wording import without_numbers
from mmtrain.ranks.environment import rank_of_process

DISK_IS_FULL = (
    "The disk is full, or your quota of it is. What was stored is intact: free some space, then run the same command "
    "again."
)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def explain(error: BaseException) -> str | None:
    """Return what to tell the user about an error; None: it is a mistake of ours."""
    if isinstance(error, MmError):
        return str(error)
    if any(isinstance(cause, OSError) and cause.errno in _FULL for cause in causes(error)):
        return DISK_IS_FULL
    if message := memory_message(causes(error)):
        return message
    if isinstance(error, OSError) and error.filename:
        return f"{error.strerror}: {without_numbers(str(error.filename))}"
    return None


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
