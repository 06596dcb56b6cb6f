"""The page of a run while it is trained: refreshed after epochs, and never a reason for a run to fail."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from mmbase.errors import first_line
from mmtrain.observer import TrainingObserver
from mmtrain.page.facts import State
from mmtrain.page.page import write_page
from mmtrain.page.reading import find_state
from mmtrain.run import RunDirectory
from mmtrain.state import EpochEntry

MIN_SECONDS = 10.0
"""Between two pages of a run, and before the first."""
COST_FACTOR = 50
"""Of what a page took, before the next is written: a fiftieth of the time at most goes into pages."""
Tell = Callable[[str], None]
PageKeeper = Callable[[RunDirectory], AbstractContextManager[TrainingObserver]]
"""What keeps the page of a run up to date while a block trains it."""


class LivePage(TrainingObserver):
    """Refreshes the page after epochs, as often as is worth its time, until it fails once."""

    def __init__(self, run: RunDirectory, tell: Tell) -> None:
        self._run, self._tell = run, tell
        self._due = time.monotonic() + MIN_SECONDS
        self._has_failed = False

    def on_epoch(self, entry: EpochEntry) -> None:
        """Write the page, if it is due."""
        started = time.monotonic()
        if started < self._due or self._has_failed:
            return
        self._has_failed = not try_page(self._run, "training", self._tell)
        ended = time.monotonic()
        self._due = ended + max(MIN_SECONDS, COST_FACTOR * (ended - started))


@contextmanager
def live_page(run: RunDirectory, tell: Tell = lambda _: None) -> Iterator[LivePage]:
    """Keep the page of a run while a block trains it.

    When the block ends, the page says how far the run has come: finished, or stopped.

    Parameters
    ----------
    tell
        Called with a line where the page cannot be written.
    """
    try:
        yield LivePage(run, tell)
    finally:
        try_page(run, "finished" if run.metrics.exists() else "stopped", tell)


@contextmanager
def without_page(_: RunDirectory) -> Iterator[TrainingObserver]:
    """Keep no page while a block trains a run."""
    yield TrainingObserver()


def try_page(run: RunDirectory, state: State | None, tell: Tell, *, internal: bool = False) -> bool:
    """Write a page, or tell in one line why there is none; return whether there is.

    Parameters
    ----------
    state
        How far the run has come; None: find out.
    """
    try:
        write_page(run, state or find_state(run), internal=internal)
    except Exception as error:  # a page is worth no run
        tell(f"The page of run {run.run_id} could not be written ({first_line(error)}). Later: mm page {run.run_id}")
        return False
    return True
