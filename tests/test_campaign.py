"""Random kills of the command, of its workers and of a cluster's scheduler: running again ends in the same bytes.

``MM_KILLS`` sets how many; a handful is enough to see that it works, 30 to believe it.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

BIN = Path(sys.executable).parent
NUM_KILLS = int(os.environ.get("MM_KILLS", "4"))
SETTINGS = ("volumes.rows_per_shard=2",)
LONGEST_LIFE_SECONDS = 7.0
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def store_bytes(root: Path) -> dict[str, str]:
    store = root / "volumes.zarr"
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in store.rglob("*")
        if path.is_file()
    }


def start_ingest(root: Path, *words: str) -> subprocess.Popen[str]:
    command = [str(BIN / "mm"), "--study", str(root), "ingest", "ukb", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def start_dask(program: str, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{program}", "--no-dashboard", *options]
    return subprocess.Popen(command, **QUIET)  # type: ignore[call-overload,no-any-return]


@contextmanager
def dask_cluster(description: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers of their own, as an administrator would start them."""
    description.unlink(missing_ok=True)
    options = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(description))
    processes = [start_dask("scheduler", *options)]
    try:
        while not description.exists() or not description.read_text():
            assert processes[0].poll() is None
            time.sleep(0.05)
        address = json.loads(description.read_text())["address"]
        processes += [start_dask("worker", address, "--nthreads", "1") for _ in range(2)]
        yield address, processes
    finally:
        for process in processes:
            for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                child.kill()
            process.kill()
            process.wait()


def kill_one_here(command: subprocess.Popen[str], rng: random.Random) -> str:
    """Kill the command or one of its workers, whichever chance says."""
    me = psutil.Process(command.pid)
    workers = [child for child in me.children(recursive=True) if "spawn_main" in " ".join(child.cmdline())]
    victim = rng.choice([me, *workers])
    victim.send_signal(signal.SIGKILL)
    return "command" if victim == me else "worker"


def live(root: Path, rng: random.Random, kills: list[str]) -> bool:
    """Run an ingest until it ends or something of it is killed; return whether it finished."""
    life_seconds = rng.uniform(2.0, LONGEST_LIFE_SECONDS)
    if rng.random() < 0.3:
        with dask_cluster(root.parent / "scheduler.json") as (address, processes):
            command = start_ingest(root, "--scheduler", address)
            try:
                command.wait(timeout=life_seconds + 6)
            except subprocess.TimeoutExpired:
                victim = rng.choice([command, *processes])
                victim.kill()
                kills.append("command" if victim is command else "cluster")
                if victim is not command:
                    time.sleep(1.0)
                    command.kill()
    else:
        command = start_ingest(root, "--workers", "2")
        try:
            command.wait(timeout=life_seconds)
        except subprocess.TimeoutExpired:
            kills.append(kill_one_here(command, rng))
    _, messages = command.communicate(timeout=300)
    assert "Traceback" not in messages, messages
    return command.returncode == 0


@pytest.mark.slow  # of the same claim, tests/test_kill.py stops the command in two ways
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_random_kills_and_reruns_end_in_the_same_bytes(
    tmp_path: Path, make_study: Callable[..., Path], run_mm: Callable[..., object]
) -> None:
    whole = make_study(tmp_path / "whole", *SETTINGS)
    run_mm("--study", whole, "ingest", "ukb", "--workers", 0)
    expected = store_bytes(whole)
    rng = random.Random(11)
    kills: list[str] = []
    num_studies = 0
    while len(kills) < NUM_KILLS:
        root = make_study(tmp_path / f"study{num_studies}", *SETTINGS)
        finished = False
        while not finished and len(kills) < NUM_KILLS:
            finished = live(root, rng, kills)
        again = start_ingest(root, "--workers", "2")
        _, messages = again.communicate(timeout=600)
        assert again.returncode == 0, messages
        assert store_bytes(root) == expected
        num_studies += 1
