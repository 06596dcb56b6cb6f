"""How `mm train` shows a run while it is trained: on a terminal a bar and what is to be expected, elsewhere lines."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mmbase.duration import as_duration
from mmcli.console import err, say
from mmcli.training_times import Outlook, TrainingTimes, best_of
from mmtrain.observer import EpochPosition, RunStart, TrainingObserver
from mmtrain.report import epoch_line, main_scores
from mmtrain.state import EpochEntry

PLAIN_TRAINING_SECONDS = 60.0
"""Between lines within an epoch where there is no terminal."""
_REFRESHES_PER_SECOND = 4
_BAR_WIDTH = 24
_SHOWN_SCORES = 4
"""Of an epoch below the bar; the line of the epoch has all."""


@contextmanager
def show_training(*, plain: bool) -> Iterator[TrainingObserver]:
    """Show a run on standard error while a block lasts.

    Parameters
    ----------
    plain
        Print lines also on a terminal, as one of several ranks does.
    """
    if plain or not err.is_terminal:
        yield TrainingLines()
        return
    screen = TrainingScreen()
    with Live(screen, console=err, refresh_per_second=_REFRESHES_PER_SECOND, transient=True, redirect_stdout=False):
        yield screen


class TrainingLines(TrainingObserver):
    """Prints a line after each epoch, and within long ones."""

    def __init__(self) -> None:
        self._times: TrainingTimes | None = None
        self._last_shown = 0.0

    def on_begin(self, start: RunStart) -> None:
        """Begin to measure; print what is to be known."""
        self._times = TrainingTimes(start)
        for note in start.notes:
            say(note)

    def on_step(self, position: EpochPosition) -> None:
        """Print how far the epoch has come, if the last line is old enough."""
        assert self._times is not None
        now = time.monotonic()
        if self._times.position is None:
            self._last_shown = now
        self._times.note_step(position, now)
        if now - self._last_shown >= PLAIN_TRAINING_SECONDS and position.steps < position.num_steps:
            self._last_shown = now
            say(step_line(self._times, now))

    def on_epoch(self, entry: EpochEntry) -> None:
        """Print the epoch."""
        assert self._times is not None
        self._times.note_epoch(entry, time.monotonic())
        say(epoch_line(entry))


class TrainingScreen(TrainingObserver):
    """Prints a line after each epoch, and is what a terminal shows below them."""

    def __init__(self) -> None:
        self._times: TrainingTimes | None = None
        self._doing = "preparing"
        """What is done when no steps are taken."""

    def on_begin(self, start: RunStart) -> None:
        """Begin to measure; print what is to be known."""
        self._times = TrainingTimes(start)
        for note in start.notes:
            say(note)

    def on_step(self, position: EpochPosition) -> None:
        """Move the bar."""
        assert self._times is not None
        self._doing = ""
        self._times.note_step(position, time.monotonic())

    def on_validation(self, epoch: int) -> None:
        """Say so."""
        assert self._times is not None
        self._doing = "validation"
        self._times.note_validation(time.monotonic())

    def on_epoch(self, entry: EpochEntry) -> None:
        """Print the epoch above the bar."""
        assert self._times is not None
        self._doing = "preparing"
        self._times.note_epoch(entry, time.monotonic())
        say(epoch_line(entry))

    def on_test(self, epoch: int) -> None:
        """Say so."""
        self._doing = f"testing epoch {epoch}, the best"

    def __rich__(self) -> RenderableType:
        """Return what is below the lines of the epochs now; the terminal asks for it some times a second."""
        now, position = time.monotonic(), self._times.position if self._times else None
        if self._times is None or position is None:
            return _text(self._doing)
        scores = score_line(self._times.history)
        lines = [*([scores] if scores else []), outlook_line(self._times.outlook(now))]
        return Group(_bar(self._times, position, self._doing, now), *map(_text, lines))


def step_line(times: TrainingTimes, now: float) -> str:
    """Return one line about an epoch that is being trained."""
    position = times.position
    assert position is not None
    share = position.samples / position.num_samples
    words = [f"epoch {position.epoch}: {share:.0%} ({position.samples:,} of {position.num_samples:,} samples)"]
    return ", ".join([*words, *_speed(times, now)])


def score_line(history: Sequence[EpochEntry]) -> str:
    """Return the validation scores of the last and the best epoch; nothing before there is one."""
    best = best_of(history)
    if best is None:
        return ""
    if best is history[-1]:
        return f"last and best {_scores(best)}"
    return f"last {_scores(history[-1])}; best {_scores(best)}"


def outlook_line(outlook: Outlook) -> str:
    """Return when the run ends."""
    if outlook.patience_epoch == outlook.limit_epoch:
        return f"ends after epoch {outlook.limit_epoch}{_in(outlook.limit_seconds)} at the latest"
    return (
        f"ends after epoch {outlook.patience_epoch}{_in(outlook.patience_seconds)} unless the validation loss falls "
        f"below the best, after epoch {outlook.limit_epoch}{_in(outlook.limit_seconds)} at the latest"
    )


def _bar(times: TrainingTimes, position: EpochPosition, doing: str, now: float) -> Table:
    row = Table.grid(padding=(0, 1))
    of_epochs = f"epoch {position.epoch}/{times.start.max_epochs}"
    steps = f"{position.steps}/{position.num_steps} steps"
    bar = ProgressBar(total=position.num_steps, completed=position.steps, width=_BAR_WIDTH, pulse=bool(doing))
    row.add_row(_text(of_epochs), bar, _text(", ".join([steps, *([doing] if doing else _speed(times, now))])))
    return row


def _speed(times: TrainingTimes, now: float) -> list[str]:
    rate, left = times.samples_per_second, times.training_seconds_left(now)
    known_rate = [f"{rate:,.0f} samples/s" if rate >= 10 else f"{rate:.2g} samples/s"] if rate else []
    return [*known_rate, *([f"{as_duration(left)} left"] if left is not None else [])]


def _scores(entry: EpochEntry) -> str:
    shown = [f"{name} {value:.3f}" for name, value in list(main_scores(entry).items())[:_SHOWN_SCORES]]
    return f"epoch {entry['epoch']}: " + ", ".join([f"val loss {entry['val_loss']:.4f}", *shown])


def _in(seconds: float | None) -> str:
    return "" if seconds is None else f" (in {as_duration(seconds)})"


def _text(words: str) -> Text:
    """Return a text that is folded by itself: what a terminal folds, rich would not know to take away again."""
    return Text(words, no_wrap=False, overflow="fold")
