from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mmtrain.page import live
from mmtrain.page.live import live_page
from mmtrain.run import RunDirectory
from mmtrain.train import train


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What pages would have been written."""
    states: list[str] = []
    monkeypatch.setattr(live, "write_page", lambda run, state, *, internal: states.append(state))
    return states


def test_a_page_is_not_written_after_each_of_many_short_epochs(
    written: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
    with live_page(RunDirectory(tmp_path), print) as page:
        for _ in range(100):
            page.on_epoch({})
            clock[0] += 1.0
    assert written == ["training"] * 9 + ["stopped"]


def test_the_last_page_says_how_the_run_ended(written: list[str], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), live_page(RunDirectory(tmp_path), print):
        raise KeyboardInterrupt
    (tmp_path / "metrics.json").write_text("{}")
    with live_page(RunDirectory(tmp_path), print):
        pass
    assert written == ["stopped", "finished"]


def test_a_page_that_fails_is_told_in_a_line_and_the_run_goes_on(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(live, "write_page", fail)
    monkeypatch.setattr(live, "MIN_SECONDS", 0.0)
    told: list[str] = []
    run = tiny.begin(inputs=("connectivity",), epochs=2)
    train(
        run,
        tiny.layout,
        tiny.configure(inputs=("connectivity",), epochs=2),
        keep_page=partial(live_page, tell=told.append),
    )
    assert run.metrics.exists() and not run.report.exists()
    assert len(told) == 2 and all(f"mm page {run.run_id}" in line and "\n" not in line for line in told)
