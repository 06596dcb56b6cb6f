"""How `mm sweep` shows what its workers do: on a terminal a table that is kept up to date, elsewhere lines."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live

from mmcli.console import err, say

if TYPE_CHECKING:
    from mmdata.store.schema import StudyLayout
    from mmstudy.sweep.directory import SweepDirectory
    from mmstudy.sweep.plan import SweepPlan

SCREEN_SECONDS, LINES_SECONDS = 1.0, 30.0
"""Between two looks at the files of a sweep."""
_REST = 20
"""Of a look's own time, at least, until the next one: on a slow file system thousands of files take seconds."""


@contextmanager
def show_sweep(layout: "StudyLayout", sweep: "SweepDirectory", plan: "SweepPlan") -> Iterator[Callable[[], None]]:
    """Show a sweep on standard error while a block lasts.

    Yields
    ------
    Callable[[], None]
        To be called again and again; it looks when it is time to.
    """
    from mmstudy.sweep.status import sweep_status
    from mmstudy.sweep.tables import status_lines

    next_look = float("-inf")

    def look(seconds: float, show: Callable[[], None]) -> None:
        nonlocal next_look
        began = time.monotonic()
        if began >= next_look:
            show()
            ended = time.monotonic()
            next_look = ended + max(seconds, _REST * (ended - began))

    if not err.is_terminal:
        told = ""

        def tell() -> None:
            nonlocal told
            line = status_lines(sweep.name, sweep_status(layout, sweep, plan))[0]
            if line != told:
                say(line)
                told = line

        yield lambda: look(LINES_SECONDS, tell)
        return
    with Live(console=err, auto_refresh=False, transient=True, redirect_stdout=False) as screen:

        def draw() -> None:
            screen.update(Group(*status_lines(sweep.name, sweep_status(layout, sweep, plan))), refresh=True)

        yield lambda: look(SCREEN_SECONDS, draw)


def watch_sweep(layout: "StudyLayout", sweep: "SweepDirectory", plan: "SweepPlan") -> None:
    """Show a sweep that others work on until no job is left, or Ctrl-C."""
    from mmstudy.sweep.status import num_ended

    with suppress(KeyboardInterrupt), show_sweep(layout, sweep, plan) as look:
        while num_ended(sweep, plan) < len(plan.jobs):
            look()
            time.sleep(SCREEN_SECONDS)
