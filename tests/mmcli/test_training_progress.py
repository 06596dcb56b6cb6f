"""What `mm train` shows while it trains: lines without a terminal, below them a bar with one."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mmcli import console, training_progress
from mmcli.training_progress import outlook_line, score_line, show_training
from mmcli.training_times import Outlook
from mmtrain.config.run import parse_run_config
from mmtrain.observer import EpochPosition, RunStart, TrainingObserver
from mmtrain.run import RunDirectory
from tests.mmtrain.conftest import SETTINGS

EPOCH_LINE = "epoch   1  train loss 0.5000  val loss 0.2500  mae 4.000  r2 0.750  r 0.900  80.0 samples/s, 0.0% waiting"


def entry(epoch: int, val_loss: float, r2: float) -> dict[str, Any]:
    speed = {"samples_per_second": 80.0, "wait_share": 0.0}
    return {"epoch": epoch, "train_loss": 0.5, "val_loss": val_loss, "val": {"mae": 4.0, "r2": r2, "r": 0.9}, **speed}


@pytest.fixture
def start() -> RunStart:
    config = parse_run_config(SETTINGS | {"inputs": ("t1",), "epochs": 200})
    return RunStart(directory=RunDirectory(Path("run")), config=config, max_epochs=200, resumed=False, history=())


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Set the clock."""
    clock = [0.0]
    with monkeypatch.context() as patch:
        patch.setattr(training_progress.time, "monotonic", lambda: clock[0])
        yield lambda seconds: clock.__setitem__(0, seconds)


def steps(observer: TrainingObserver, at: Callable[[float], None], seconds: float, counts: Any) -> None:
    """Let steps come, so many seconds apart."""
    for step in counts:
        at(step * seconds)
        samples = step * 1000
        observer.on_step(EpochPosition(epoch=1, steps=step, num_steps=10, samples=samples, num_samples=10_000))


def test_a_short_epoch_is_one_line(
    start: RunStart, at: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with show_training(plain=False) as shown:
        shown.on_begin(start)
        steps(shown, at, 1.0, range(11))
        shown.on_validation(1)
        shown.on_epoch(entry(1, 0.25, 0.75))
        shown.on_test(1)
        shown.on_end({})
    captured = capsys.readouterr()
    assert (captured.err.splitlines(), captured.out) == ([EPOCH_LINE], "")


def test_a_long_epoch_is_a_line_every_minute(
    start: RunStart, at: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with show_training(plain=True) as shown:
        shown.on_begin(start)
        steps(shown, at, 40.0, range(11))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "epoch 1: 20% (2,000 of 10,000 samples), 25 samples/s, 5.3 min left",
        "epoch 1: 40% (4,000 of 10,000 samples), 25 samples/s, 4.0 min left",
        "epoch 1: 60% (6,000 of 10,000 samples), 25 samples/s, 2.7 min left",
        "epoch 1: 80% (8,000 of 10,000 samples), 25 samples/s, 1.3 min left",
    ]


class Terminal(io.StringIO):
    """Somebody who looks."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    err = console.SafeConsole(stderr=True, width=200)
    err.file, err.is_interactive = screen, True
    monkeypatch.setattr(training_progress, "err", err)
    monkeypatch.setattr(console, "err", err)
    return screen


def drawn(width: int, screen: Any) -> list[str]:
    """Return the lines that are below those of the epochs."""
    plain = console.SafeConsole(width=width)
    with plain.capture() as capture:
        plain.print(screen)
    return capture.get().splitlines()


def test_a_terminal_shows_the_epoch_its_rate_the_scores_and_the_end(
    start: RunStart, at: Callable[[float], None], terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    with show_training(plain=False) as shown:
        assert drawn(200, shown) == ["preparing"]
        shown.on_begin(start)
        steps(shown, at, 60.0, range(5))
        first, last = drawn(200, shown)
        assert first.startswith("epoch 1/200 ") and first.endswith("4/10 steps, 17 samples/s, 6.0 min left")
        assert last == (
            "ends after epoch 30 (in 4.9 h) unless the validation loss falls below the best, after epoch 200 "
            "(in 33.3 h) at the latest"
        )
        shown.on_validation(1)
        assert "4/10 steps, validation" in drawn(200, shown)[0]
        shown.on_epoch(entry(1, 0.25, 0.75))
        assert drawn(200, shown) == ["preparing"]
        shown.on_step(EpochPosition(epoch=2, steps=0, num_steps=10, samples=0, num_samples=10_000))
        assert drawn(200, shown)[1] == "last and best epoch 1: val loss 0.2500, mae 4.000, r2 0.750, r 0.900"
        shown.on_test(1)
    assert EPOCH_LINE in terminal.getvalue() and "testing epoch 1, the best" in terminal.getvalue()
    assert terminal.getvalue().rstrip().endswith("\x1b[2K")  # the bar is taken away
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("width", [40, 60, 80])
def test_no_line_is_wider_than_the_terminal(start: RunStart, at: Callable[[float], None], width: int) -> None:
    """A terminal would fold it, and leave a part of it behind at the next refresh."""
    screen = training_progress.TrainingScreen()
    screen.on_begin(start)
    steps(screen, at, 60.0, range(5))
    assert max(map(len, drawn(width, screen))) <= width
    assert "at the latest" in " ".join(line.strip() for line in drawn(width, screen))


def test_several_ranks_print_lines_although_torchrun_hands_them_the_terminal(
    start: RunStart, at: Callable[[float], None], terminal: Terminal
) -> None:
    with show_training(plain=True) as shown:
        shown.on_begin(start)
        steps(shown, at, 1.0, range(11))
        shown.on_epoch(entry(1, 0.25, 0.75))
    assert terminal.getvalue() == f"{EPOCH_LINE}\n"


def test_the_best_epoch_is_told_beside_the_last() -> None:
    history = [entry(1, 0.25, 0.75), entry(2, 0.5, 0.5)]
    assert score_line([]) == ""
    assert score_line(history) == (
        "last epoch 2: val loss 0.5000, mae 4.000, r2 0.500, r 0.900; best epoch 1: val loss 0.2500, mae 4.000, "
        "r2 0.750, r 0.900"
    )


def test_a_run_that_ends_before_its_patience_does_says_so() -> None:
    outlook = Outlook(limit_epoch=3, limit_seconds=None, patience_epoch=3, patience_seconds=None)
    assert outlook_line(outlook) == "ends after epoch 3 at the latest"
