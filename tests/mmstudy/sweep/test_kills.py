"""Real workers, really killed at random: a sweep that is begun again ends with the results of one that ran through."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest

NUM_KILLS = 10
JOBS = 9
"""A trunk, two heads on its embeddings, two networks without volumes, four baselines."""
SWEEP = (
    *("sweep", "--target", "age,weight", "--inputs", "flair", "--inputs", "connectivity", "--baselines", "linear"),
    *("--method", "frozen"),
    *("--epochs", "3", "--device", "cpu", "--checkpoint-minutes", "0.0001", "--workers", "2"),
)


def start(root: Path) -> subprocess.Popen[str]:
    """Start a sweep, in a process group of its own."""
    words = [sys.executable, "-P", "-m", "cli", "--study", str(root), *SWEEP, "--json"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def descendants(pid: int) -> list[int]:
    """Return the children of a process, and theirs."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    direct = [int(word) for word in children.read_text().split()] if children.exists() else []
    return [*direct, *(other for child in direct for other in descendants(child))]


def kill(pids: Iterable[int]) -> None:
    """Kill processes that may have ended meanwhile."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def results_of(root: Path) -> dict[str, Any]:
    """Return what every job of the only sweep came to, less what no two runs share."""
    found = {}
    for path in sorted((root / "sweeps" / "sweep" / "jobs").glob("*.json")):
        state = json.loads(path.read_text())
        assert state["outcome"] == "finished", state
        run = root / "runs" / state["run_id"]
        metrics = json.loads((run / "metrics.json").read_text())
        metrics.pop("minutes")
        found[path.stem] = (metrics, pl.read_parquet(run / "predictions.parquet").to_dicts())
    return found


@pytest.mark.slow
def test_a_sweep_that_is_killed_ten_times_ends_with_the_same_results(study: Path, tmp_path: Path) -> None:
    """Kills the command, a worker, or all of them; the last attempt is left to end."""
    straight, killed = (Path(shutil.copytree(study, tmp_path / name)) for name in ("straight", "killed"))
    process = start(straight)
    output, messages = process.communicate()
    assert process.returncode == 0, messages
    assert json.loads(output)["finished"] == JOBS
    rng = random.Random(5)
    for _ in range(NUM_KILLS):
        process = start(killed)
        time.sleep(rng.uniform(2.0, 25.0))
        everybody = [process.pid, *descendants(process.pid)]
        what = rng.choice(("a worker", "the command", "all"))
        if what == "a worker":
            kill(everybody[-1:])
            time.sleep(1.0)
        kill([process.pid] if what == "the command" else everybody)
        process.communicate()
    process = start(killed)
    output, messages = process.communicate()
    assert process.returncode == 0, messages
    assert results_of(killed) == results_of(straight)
    runs = {path.name for path in (killed / "runs").iterdir()}
    assert len(runs) == JOBS
