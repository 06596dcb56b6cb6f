"""What a study says of its data, read in the background, and kept until somebody withdraws."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event

from mmstudy.presence import Withdrawals
from mmstudy.progress import Progress
from mmstudy.report.facts import DataFacts


class DataReader:
    """Reads the data of a study in a thread of its own; one at a time may ask for them."""

    def __init__(self, read: Callable[[Progress], DataFacts]) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._reading: _Reading | None = None
        self._num_begun = 0

    @property
    def state(self) -> tuple[int, bool]:
        """Return which reading was begun last, counted from 1, and whether it has ended."""
        return self._num_begun, self._reading is not None and self._reading.future.done()

    @property
    def begun(self) -> str:
        """Return when it was begun; empty: it was not."""
        return self._reading.begun if self._reading else ""

    def data_without(self, withdrawals: Withdrawals) -> DataFacts | None:
        """Return the data as they were after these withdrawals; None while they are read, which begins now.

        Raises
        ------
        Exception
            What the reading ended with. It is begun anew when it is asked for again.
        """
        if self._reading is None or self._reading.withdrawals != withdrawals:
            self._stop_reading()
            stop = Event()
            future = self._pool.submit(self._read, _until(stop))
            self._reading = _Reading(withdrawals=withdrawals, stop=stop, future=future)
            self._num_begun += 1
        future = self._reading.future
        if not future.done():
            return None
        if future.exception() is not None:
            self._reading = None
        return future.result()

    def close(self) -> None:
        """Stop reading, and wait until it has."""
        self._stop_reading()
        self._pool.shutdown(cancel_futures=True)

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.stop.set()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    withdrawals: Withdrawals
    stop: Event
    future: Future[DataFacts]
    begun: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")


class _StoppedError(Exception):
    """Nobody waits for the data any more."""


def _until(stop: Event) -> Progress:
    """Return what shows nothing, and ends work that tells how far it is once it is to stop."""

    @contextmanager
    def progress(_what: str) -> Iterator[Callable[[int, int], None]]:
        def on_progress(_done: int, _total: int) -> None:
            if stop.is_set():
                raise _StoppedError

        yield on_progress

    return progress
