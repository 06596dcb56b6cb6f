"""Stop when asked to by a signal: not at once, but after the step that runs, with a checkpoint."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class TrainingStopped(Exception):  # noqa: N818 - nothing failed
    """Training ended early because it was asked to; a checkpoint says where."""


@dataclass(slots=True)
class StopRequest:
    """Whether this process was asked to stop."""

    made: bool = False


@contextmanager
def heed_signals() -> Iterator[StopRequest]:
    """Turn SIGTERM and Ctrl-C into a request while a block lasts; the second Ctrl-C interrupts at once."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, _: FrameType | None) -> None:
        if request.made and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.made = True

    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
