"""What the user sees: results on stdout, everything else on stderr, and in neither what a terminal would act on."""

import json
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.text import Text

from mmbase.printable import printable

PLAIN_PROGRESS_SECONDS = 10.0
"""Between lines of progress where there is no terminal."""
PIPED_WIDTH = 200
"""Columns of a table where there is no terminal."""
_hint: ContextVar[tuple[tuple[str, ...], Path | None]] = ContextVar("_hint", default=((), None))
"""Commands of mm, and the study to name in them."""


class SafeConsole(Console):
    """A console whose texts are shown as they are: no markup, no emoji codes, no control characters."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text to be printed; made printable before anybody measures how wide it is."""
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what is to be printed, but for the console's own styles and cursor movements, made printable."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


class ScreenOrFile:
    """Standard output for rows as they are; on a terminal made printable."""

    def write(self, text: str) -> int:
        """Write some text."""
        return sys.stdout.write(printable(text) if sys.stdout.isatty() else text)


out = SafeConsole(width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = SafeConsole(stderr=True)


def name_study_in_hints(commands: Iterable[str], study: Path | None) -> None:
    """Let the commands in messages name the study, so that they can be copied.

    Parameters
    ----------
    commands
        Of mm.
    study
        As the user gave it; None: it was not given, and hints are short.
    """
    _hint.set((tuple(commands), study))


def with_study(text: str) -> str:
    """Return a message whose commands name the study, if the user did."""
    commands, study = _hint.get()
    if study is None:
        return text
    start = f"mm --study {shlex.quote(str(study))} "
    return re.sub(rf"(?<![^\s(])mm (?=({'|'.join(map(re.escape, commands))})\b)", lambda _: start, text)


def report(as_json: bool, content: Mapping[str, Any], lines: Sequence[Any]) -> None:
    """Print the result: one JSON object, or lines and tables for people."""
    if as_json:
        sys.stdout.write(json.dumps(content, indent=2) + "\n")
        return
    for line in lines:
        out.print(with_study(line) if isinstance(line, str) else line)


def say(message: str) -> None:
    """Tell how the work is going, a line: one that a file's name brings along is shown as one."""
    err.print(with_study(message).replace("\n", "\\n"))


def warn(message: str) -> None:
    """Tell of something that is likely to be a mistake, and does not stop the work."""
    say(f"warning: {message}")


def asking(*, yes: bool) -> Callable[[str], bool]:
    """Return what asks the user about a step that cannot be undone.

    Parameters
    ----------
    yes
        The answer was given with the command. Without it, and without a terminal to ask at, the command fails.
    """

    def ask(question: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            fail(f"{question} Give --yes if that is meant.")
        return typer.confirm(f"{printable(question)} Is that meant?", err=True)

    return ask


def fail(message: str) -> NoReturn:
    """End the command with exit code 1 and one line that says why and what to do."""
    say(f"error: {message}")
    raise typer.Exit(1)


@contextmanager
def show_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress: a bar with rate and time left on a terminal, plain lines elsewhere.

    Parameters
    ----------
    what
        What is counted, e.g. ``scans``.

    Yields
    ------
    Callable[[int, int], None]
        To be called with how many are done, of how many.
    """
    if not err.is_terminal:
        yield _plain_progress(what)
        return
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    columns += [TextColumn("{task.fields[rate]}"), TimeRemainingColumn()]
    with Progress(*columns, console=err) as bar:
        bar_id = bar.add_task(what, total=None, rate="")

        def show(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(bar_id, completed=done, total=total, rate=f"{speed:.1f}/s" if speed else "")

        yield show


def _plain_progress(what: str) -> Callable[[int, int], None]:
    """Return what prints a line now and then; the rate counts from the first that is done, not from the start."""
    last_shown = float("-inf")
    first: tuple[float, int] | None = None

    def show(done: int, total: int) -> None:
        nonlocal last_shown, first
        now = time.monotonic()
        first = first or ((now, done) if done else None)
        if total and (done == total or now - last_shown >= PLAIN_PROGRESS_SECONDS):
            last_shown = now
            rate = (done - first[1]) / (now - first[0]) if first and now > first[0] else 0.0
            left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
            say(f"{what}: {done}/{total}" + (f" ({rate:.1f}/s{left})" if rate else ""))

    return show
