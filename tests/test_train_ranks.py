"""Several ranks on a study that was ingested."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--gpus", "2"], "PyTorch finds no GPU here"),
        (["--gpus", "0", "--device", "cpu"], "--gpus must be at least 1"),
        (["--gpus", "50", "--device", "cpu"], "A batch of "),
    ],
)
def test_a_run_that_has_no_place_is_refused_before_it_is_made(
    study: Path, run_mm: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, words: list[str], expected: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    before = set((study / "runs").glob("*"))
    result = run_mm("--study", study, "train", "--target", "age", "--inputs", "connectivity", "--fold", "1/4", *words)
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {expected}") and "--gpus" in line
    assert set((study / "runs").glob("*")) == before
