import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client

from mmdata.errors import ClusterError
from mmdata.execution import scheduler, tasks
from mmdata.execution.pools import SchedulerPool
from mmdata.execution.tasks import run_tasks

ROOT = Path(__file__).parents[3]
WRITES_SLOWLY = """
import sys
from mmdata.execution.pools import SchedulerPool
from mmdata.execution.tasks import run_tasks
from tests.mmdata.execution.test_pools import write_begin_and_end
if __name__ == "__main__":
    list(run_tasks(write_begin_and_end, [sys.argv[2]], workers=SchedulerPool(address=sys.argv[1])))
"""


class DaskByHand:
    """A scheduler and workers as a person starts them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.processes: list[subprocess.Popen[bytes]] = []
        description = folder / "scheduler.json"
        options = ("--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0")
        self.scheduler = self._start("dask_scheduler", *options, "--scheduler-file", str(description))
        while not description.exists() or not description.read_text():
            assert self.scheduler.poll() is None
            time.sleep(0.05)
        self.address: str = json.loads(description.read_text())["address"]
        self.pool = SchedulerPool(address=self.address)

    def add_worker(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        self.environment |= environment
        return self._start("dask_worker", self.address, "--nthreads", "1", "--no-dashboard", *options)

    def stop(self) -> None:
        for process in reversed(self.processes):
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for member in family:
                with suppress(psutil.NoSuchProcess):
                    member.kill()
            process.wait()

    def _start(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", *options]
        with (self.folder / f"{program}{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, cwd=self.folder)
        self.processes.append(process)
        return process


@pytest.fixture
def dask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaskByHand]:
    monkeypatch.syspath_prepend(str(ROOT))
    started = DaskByHand(tmp_path)
    yield started
    started.stop()


def write_begin_and_end(path: str) -> None:
    for word in ("begin", "end"):
        with Path(path).open("a") as file:
            file.write(f"{word}\n")
        time.sleep(3 if word == "begin" else 0)


def leave_a_file(path: str) -> None:
    Path(path).touch()


def test_an_existing_cluster_computes_and_goes_on(dask: DaskByHand) -> None:
    dask.add_worker("--memory-limit", "1GiB")
    tasks = list(range(-9, 1))
    for _ in range(2):
        assert sorted(run_tasks(abs, tasks, workers=dask.pool, memory_bytes=1 << 30)) == list(range(10))
    assert [process.poll() for process in dask.processes] == [None, None]


def test_more_memory_than_a_worker_has_is_refused_before_any_work(dask: DaskByHand, tmp_path: Path) -> None:
    dask.add_worker("--memory-limit", "1GiB")
    witness = tmp_path / "witness"
    with pytest.raises(ClusterError, match=r"up to 2\.00 GB of memory, a worker .* has 1\.07 GB for each thread"):
        list(run_tasks(leave_a_file, [str(witness)], workers=dask.pool, memory_bytes=2_000_000_000))
    assert not witness.exists()


def test_workers_of_another_mm_are_refused(dask: DaskByHand, tmp_path: Path) -> None:
    other = tmp_path / "mmbase"
    other.mkdir()
    (other / "__init__.py").touch()
    (other / "version.py").write_text('VERSION = "9.9"\n')
    dask.add_worker(PYTHONPATH=f"{tmp_path}:{ROOT}")
    with pytest.raises(ClusterError, match=r"Expected mm \S+ everywhere in the Dask cluster, a worker has 9\.9\."):
        list(run_tasks(abs, [-1], workers=dask.pool))


def test_workers_without_mm_are_refused(dask: DaskByHand, tmp_path: Path) -> None:
    (tmp_path / "mmbase.py").touch()  # hides ours, as if there were none
    dask.add_worker(PYTHONPATH=f"{tmp_path}:{ROOT}")
    with pytest.raises(ClusterError, match=r"Expected mm \S+ everywhere in the Dask cluster, a worker has none\."):
        list(run_tasks(abs, [-1], workers=dask.pool))


@pytest.mark.parametrize(
    ("who", "package", "version", "message"),
    [
        ("scheduler", "distributed", "2020.1.0", "the scheduler has 2020.1.0"),
        ("workers", "python", "3.9.1.final.0", "a worker has 3.9"),
        ("workers", "python", "3.11.99.final.0", None),
    ],
)
def test_versions_that_would_not_understand_each_other_are_refused(
    who: str, package: str, version: str, message: str | None, dask: DaskByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_versions: Callable[[Client], dict[str, Any]] = Client.get_versions

    def get_other_versions(client: Client) -> dict[str, Any]:
        versions = get_versions(client)
        for described in [versions["scheduler"]] if who == "scheduler" else versions["workers"].values():
            described["packages"][package] = version
        return versions

    monkeypatch.setattr(Client, "get_versions", get_other_versions)
    dask.add_worker()
    if message is None:
        assert list(run_tasks(abs, [-1], workers=dask.pool)) == [1]
    else:
        with pytest.raises(ClusterError, match=message):
            list(run_tasks(abs, [-1], workers=dask.pool))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tcp://no-such-host.invalid:8786", "http://127.0.0.1:1", ""])
def test_where_no_scheduler_answers_the_error_says_so(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "CONNECT_SECONDS", 1)
    with pytest.raises(ClusterError, match=f"No Dask scheduler answers at {address} .* start one: dask scheduler"):
        list(run_tasks(abs, [-1], workers=SchedulerPool(address=address)))


def test_a_cluster_without_workers_is_refused_with_how_to_start_some(
    dask: DaskByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "JOIN_SECONDS", 0.5)
    with pytest.raises(ClusterError, match=f"no workers after 0.5 s.*dask worker {dask.address} --nthreads 1"):
        list(run_tasks(abs, [-1], workers=dask.pool))


def test_tasks_of_a_lost_machine_are_done_by_the_others(dask: DaskByHand) -> None:
    dask.add_worker()
    lost = dask.add_worker("--no-nanny")
    with Client(dask.address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
    num_done = 0
    for _ in run_tasks(time.sleep, [0.3] * 12, workers=dask.pool):
        num_done += 1
        if num_done == 3:
            lost.kill()
    assert num_done == 12


def test_all_workers_lost_ends_in_one_clear_error(dask: DaskByHand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "PATIENCE_SECONDS", 2.0)
    worker = dask.add_worker("--no-nanny")
    results = run_tasks(time.sleep, [0.1, 600, 600], workers=dask.pool)
    next(results)
    worker.kill()
    with pytest.raises(
        ClusterError, match=r"No workers came for 2 s\. What was stored is intact: .* Start some on each machine"
    ):
        next(results)


def test_a_lost_scheduler_ends_in_one_clear_error(dask: DaskByHand) -> None:
    dask.add_worker("--no-nanny")
    results = run_tasks(time.sleep, [0.1, 600, 600], workers=dask.pool)
    next(results)
    dask.scheduler.kill()
    with pytest.raises(ClusterError, match=r"connection to the Dask scheduler was lost\. What was stored is intact"):
        next(results)


def test_what_a_killed_command_left_running_is_waited_for(dask: DaskByHand, tmp_path: Path) -> None:
    written = tmp_path / "written"
    script = tmp_path / "writes.py"
    script.write_text(WRITES_SLOWLY)
    dask.add_worker("--nthreads", "2")
    with subprocess.Popen([sys.executable, str(script), dask.address, str(written)], env=dask.environment) as command:
        while not written.exists():
            assert command.poll() is None
            time.sleep(0.05)
        command.send_signal(signal.SIGKILL)
    list(run_tasks(write_begin_and_end, [str(written)], workers=dask.pool))
    assert written.read_text().split() == ["begin", "end", "begin", "end"]
