"""Random kills of the command, of its workers and of a cluster's scheduler: running again ends in the same bytes.

``MM_KILLS`` sets how many; a handful is enough to see that it works, 30 to believe it.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import RunMm

BIN = Path(sys.executable).parent
NUM_KILLS = int(os.environ.get("MM_KILLS", "4"))
SETTINGS = ("volumes.rows_per_shard=2",)
VICTIMS = ("beginning", "worker", "command", "cluster")
"""In turn. The beginning is the command before a scan is on record; of a cluster, chance chooses a process."""
MAX_RECEIPTS = 8
"""After which something is killed later than in the beginning, of many more."""
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


def wait_for_receipts(root: Path, num: int, command: subprocess.Popen[str]) -> bool:
    """Wait until a command has put so many more scans on record; return whether it has not ended before."""
    path = root / "receipts" / "scans.jsonl"

    def count() -> int:
        return path.read_bytes().count(b"\n") if path.exists() else 0

    wanted = count() + num
    while command.poll() is None and count() < wanted:
        time.sleep(0.01)
    return command.poll() is None


def wait_for_store(root: Path, command: subprocess.Popen[str]) -> bool:
    """Wait until a command makes the store, before scans are read; return whether it has not ended before."""
    while command.poll() is None and not (root / "volumes.zarr").exists():
        time.sleep(0.01)
    return command.poll() is None


def workers_of(command: subprocess.Popen[str]) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(command.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it may have ended just now
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


def kill_one(processes: list[psutil.Process], rng: random.Random) -> bool:
    """Kill one of these processes; return whether one had not ended."""
    for process in rng.sample(processes, len(processes)):
        with suppress(psutil.NoSuchProcess):
            process.kill()
            return True
    return False


def live(root: Path, rng: random.Random, kills: list[str]) -> bool:
    """Run an ingest and kill something of it, unless it ends before; return whether it finished."""
    victim, num_receipts = VICTIMS[len(kills) % len(VICTIMS)], rng.randint(1, MAX_RECEIPTS)
    if victim == "cluster":
        with dask_cluster(root.parent / "scheduler.json") as (address, processes):
            command = start_ingest(root, "--scheduler", address)
            if wait_for_receipts(root, num_receipts, command):
                rng.choice(processes).kill()
                kills.append(victim)
                time.sleep(1.0)
                command.kill()
    else:
        command = start_ingest(root, "--workers", "2")
        if victim == "beginning":
            is_running = wait_for_store(root, command)
        else:
            is_running = wait_for_receipts(root, num_receipts, command)
        if is_running:
            victims = workers_of(command) if victim == "worker" else [psutil.Process(command.pid)]
            if kill_one(victims, rng):
                kills.append(victim)
    _, messages = command.communicate(timeout=300)
    assert "Traceback" not in messages, messages
    return command.returncode == 0


@pytest.mark.slow  # of the same claim, tests/test_kill.py stops the command in two ways
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_random_kills_and_reruns_end_in_the_same_bytes(
    tmp_path: Path, make_study: Callable[..., Path], run_mm: RunMm
) -> None:
    whole = make_study(tmp_path / "whole", *SETTINGS)
    result = run_mm("--study", whole, "ingest", "ukb", "--workers", 0)
    assert result.exit_code == 0, result.output
    expected = store_bytes(whole)
    rng = random.Random(11)
    kills: list[str] = []
    num_studies = 0
    while len(kills) < NUM_KILLS:
        root = make_study(tmp_path / f"study{num_studies}", *SETTINGS)
        is_finished = False
        while not is_finished and len(kills) < NUM_KILLS:
            is_finished = live(root, rng, kills)
        again = start_ingest(root, "--workers", "2")
        _, messages = again.communicate(timeout=600)
        assert again.returncode == 0, messages
        assert store_bytes(root) == expected
        num_studies += 1
