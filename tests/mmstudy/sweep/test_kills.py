"""Real workers, really killed: a sweep that is begun again ends with the results of one that ran through."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conftest import RunMm
from tests.test_kill import path_behind

JOBS = 9
"""A trunk, two heads on its embeddings, two networks without volumes, four baselines."""
SWEEP = (
    *("sweep", "--target", "age,weight", "--inputs", "flair", "--inputs", "connectivity", "--baselines", "linear"),
    *("--method", "frozen"),
    *("--epochs", "3", "--device", "cpu", "--checkpoint-minutes", "0.0001", "--workers", "2"),
)
WAITS_BEFORE_STATE = """
import os
import time
import mmstudy.sweep.state as state

write = state.write_state

def write_or_wait(sweep, job, new):
    if new.outcome == "finished":
        open(os.environ["MM_TEST_WAITING"], "w").close()
        time.sleep(600)
    write(sweep, job, new)

state.write_state = write_or_wait
"""
"""A sitecustomize.py, which every interpreter runs: workers wait between a run's end and the state that tells it."""


def start(root: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a sweep, in a process group of its own."""
    words = [sys.executable, "-P", "-m", "mmcli", "--study", str(root), *SWEEP, "--json"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(words, env={**os.environ, **environment}, start_new_session=True, **pipes)


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


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that a process does."""
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def states_of(root: Path) -> Iterator[dict[str, Any]]:
    """Yield what became so far of every job that was begun."""
    for path in (root / "sweeps" / "sweep" / "jobs").glob("*.json"):
        if text := path.read_text():
            yield json.loads(text)


def count_ended(root: Path) -> int:
    """Return how many jobs have ended."""
    return sum(state["outcome"] != "begun" for state in states_of(root))


def untold_runs(root: Path) -> dict[Path, bytes]:
    """Return the metrics of runs that are finished and whose job's state does not tell it yet."""
    begun = [state["run_id"] for state in states_of(root) if state["outcome"] == "begun"]
    metrics = [root / "runs" / run / "metrics.json" for run in begun if run]
    return {path: path.read_bytes() for path in metrics if path.exists()}


def is_under_way(root: Path) -> bool:
    """Return whether a run is between its first checkpoint and its end."""
    begun = (root / "runs" / state["run_id"] for state in states_of(root) if state["outcome"] == "begun")
    return any((run / "checkpoints" / "last.safetensors").exists() for run in begun)


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
def test_a_sweep_that_is_killed_again_and_again_ends_with_the_same_results(
    study: Path, run_mm: RunMm, tmp_path: Path
) -> None:
    """Kills all while the sweep is begun, a worker, the command, all again, and all between a run's end and the state
    that tells it; the last attempt is left to end.
    """
    straight, killed = (Path(shutil.copytree(study, tmp_path / name)) for name in ("straight", "killed"))
    result = run_mm("--study", straight, *SWEEP, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["finished"] == JOBS

    process = start(killed)
    wait_until((killed / "sweeps" / "sweep").exists, process)
    kill([process.pid, *descendants(process.pid)])
    process.communicate()

    process = start(killed)
    wait_until(lambda: is_under_way(killed), process)
    kill(descendants(process.pid)[-1:])
    num_ended = count_ended(killed)
    wait_until(lambda: count_ended(killed) > num_ended and is_under_way(killed), process)
    kill([process.pid])
    process.communicate()

    num_ended = count_ended(killed)
    process = start(killed)
    wait_until(lambda: count_ended(killed) > num_ended and is_under_way(killed), process)
    kill([process.pid, *descendants(process.pid)])
    process.communicate()
    assert count_ended(killed) < JOBS

    hook, waiting = tmp_path / "hook" / "sitecustomize.py", tmp_path / "waiting"
    hook.parent.mkdir()
    hook.write_text(WAITS_BEFORE_STATE)
    process = start(killed, PYTHONPATH=path_behind(hook.parent), MM_TEST_WAITING=str(waiting))
    wait_until(waiting.exists, process)
    kill([process.pid, *descendants(process.pid)])
    process.communicate()
    untold = untold_runs(killed)
    assert untold

    process = start(killed)
    output, messages = process.communicate()
    assert process.returncode == 0, messages
    assert json.loads(output)["finished"] == JOBS
    assert {path: path.read_bytes() for path in untold} == untold  # not trained a second time
    assert results_of(killed) == results_of(straight)
    runs = {path.name for path in (killed / "runs").iterdir()}
    assert len(runs) == JOBS
