"""Stop when asked to by a signal: not at once, but after the step that runs, with a checkpoint."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class TrainingStopped(Exception):  # noqa: N818 - nothing failed
    """Training ended early because it was asked to; a checkpoint says where."""


@dataclass(slots=True)
class StopRequest:
    """Whether this process was asked to stop."""

    made: bool = False


_requests: ContextVar[tuple[StopRequest, ...]] = ContextVar("_requests", default=())
"""Of the blocks that this one is in, the innermost first."""


@contextmanager
def heed_signals() -> Iterator[StopRequest]:
    """Turn SIGTERM and Ctrl-C into a request while a block lasts; the second Ctrl-C interrupts at once.

    A block within another hands a request on to it, for it may end before it has seen it.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    outer = _requests.get()

    def note(number: int, _: FrameType | None) -> None:
        if request.made and number == signal.SIGINT:
            raise KeyboardInterrupt
        for asked in (request, *outer):
            asked.made = True

    token = _requests.set((request, *outer))
    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        _requests.reset(token)
        for number, handler in before.items():
            signal.signal(number, handler)
