import ctypes
import errno
import math
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from distributed import Client

from mmdata.errors import CapacityError, ClusterError
from mmdata.execution import semaphores, tasks
from mmdata.execution.isolation import ProcessCrashed, run_isolated
from mmdata.execution.pools import LocalPool, connect
from mmdata.execution.tasks import run_tasks

ROOT = Path(__file__).parents[3]
CRASHING = 5
KILLING = -1
WORKS_FOREVER = """
import time
from mmdata.execution.tasks import run_tasks
if __name__ == "__main__":
    for _ in run_tasks(time.sleep, [0, 0, 600, 600], workers=2):
        print("a task is done", flush=True)
"""


@pytest.fixture(autouse=True)
def _this_file_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    numbers: tuple[int, ...]
    isolated: bool = False


def isolate(batch: Batch) -> Batch:
    return replace(batch, isolated=True)


def square(number: int) -> int:
    if number == CRASHING:
        ctypes.string_at(0)
    return number**2


def square_batch(batch: Batch) -> dict[int, int | str]:
    if KILLING in batch.numbers:
        os.kill(os.getpid(), signal.SIGKILL)
    squares: dict[int, int | str] = {}
    for number in batch.numbers:
        try:
            squares[number] = run_isolated(square, number, timeout_s=60) if batch.isolated else square(number)
        except ProcessCrashed as crash:
            squares[number] = str(crash)
    return squares


def square_slowly(batch: Batch) -> int:
    time.sleep(0.3)
    return batch.numbers[0] ** 2


def worker_processes(parent: psutil.Process) -> list[psutil.Process]:
    found = []
    for child in parent.children():
        with suppress(psutil.Error):
            if any("spawn_main" in word for word in child.cmdline()):
                found.append(child)
    return found


def kill_a_worker() -> int:
    while not (workers := worker_processes(psutil.Process())):
        time.sleep(0.05)
    worker = workers[-1]
    worker.kill()
    return worker.pid


def test_no_tasks_start_nothing() -> None:
    assert list(run_tasks(math.sqrt, [], workers=2)) == []


def test_without_workers_tasks_run_here_in_order() -> None:
    assert list(run_tasks(math.sqrt, [9.0, 1.0, 4.0], workers=0)) == [3.0, 1.0, 2.0]


def test_two_workers_do_every_task_once() -> None:
    tasks = [float(number**2) for number in range(11)]
    assert sorted(run_tasks(math.sqrt, tasks, workers=2)) == [float(number) for number in range(11)]


@pytest.mark.parametrize("workers", [0, 1])
def test_error_of_a_task_comes_out(workers: int) -> None:
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        list(run_tasks(math.sqrt, [1.0, -1.0, 4.0], workers=workers))


def test_error_that_looks_like_a_lost_connection_comes_out_too() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-file"):
        list(run_tasks(os.stat, ["no-such-file"], workers=1))


def test_a_crash_costs_what_crashed_and_nothing_else() -> None:
    batches = [Batch(numbers=(start, start + 1)) for start in range(0, 8, 2)]
    squares = {}
    for result in run_tasks(square_batch, batches, workers=2, on_crash=isolate):
        assert not squares.keys() & result.keys()
        squares |= result
    assert squares.pop(CRASHING) == "killed by SIGSEGV"
    assert squares == {number: number**2 for number in range(8) if number != CRASHING}


def test_a_crash_ends_the_work_where_tasks_cannot_be_isolated() -> None:
    with pytest.raises(CapacityError, match=r"killed again and again.*What was stored is intact"):
        list(run_tasks(square_batch, [Batch(numbers=(CRASHING,))], workers=1))


def kill_unless_marked_often(folder: Path) -> int:
    """Leave a mark and kill this process, unless there are four marks."""
    marks = len(list(folder.iterdir()))
    if marks < 4:
        (folder / str(marks)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return marks


@pytest.mark.parametrize("further", [True, False])
def test_a_task_that_loses_its_workers_is_done_again_while_work_comes_further(tmp_path: Path, *, further: bool) -> None:
    results = run_tasks(kill_unless_marked_often, [tmp_path], workers=1, came_further=lambda: further)
    if further:
        assert list(results) == [4]
        return
    with pytest.raises(CapacityError, match="killed again and again"):
        list(results)


def test_a_task_that_kills_its_worker_though_isolated_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MAX_KILLS", 1)
    isolated = []

    def isolate_and_note(batch: Batch) -> Batch:
        isolated.append(batch)
        return isolate(batch)

    with pytest.raises(CapacityError, match="killed again and again"):
        list(run_tasks(square_batch, [Batch(numbers=(KILLING,))], workers=1, on_crash=isolate_and_note))
    assert len(isolated) == 1


def test_every_task_is_done_once_though_workers_are_killed() -> None:
    batches = [Batch(numbers=(number,)) for number in range(8)]
    squares, killed = [], set()
    for square in run_tasks(square_slowly, batches, workers=2, on_crash=isolate):
        squares.append(square)
        if len(squares) in (1, 3, 6):
            killed.add(kill_a_worker())
    assert len(killed) == 3
    assert sorted(squares) == [number**2 for number in range(8)]


def test_a_worker_killed_as_it_starts_is_replaced() -> None:
    batches = [Batch(numbers=(number,)) for number in range(3)]
    killed: list[int] = []

    def kill_the_first() -> None:
        while not (workers := worker_processes(psutil.Process())):
            time.sleep(0.1)
        workers[0].kill()
        killed.append(workers[0].pid)

    thread = threading.Thread(target=kill_the_first)
    thread.start()
    assert sorted(run_tasks(square_slowly, batches, workers=1)) == [0, 1, 4]
    thread.join()
    assert len(killed) == 1


def test_who_has_not_the_keys_cannot_talk_to_the_local_scheduler() -> None:
    with connect(LocalPool(processes=1), num_tasks=1, memory_bytes=None) as connection:
        address = connection.client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        with pytest.raises(OSError, match=r"Timed out|in <"):
            Client(address.replace("tls", "tcp"), timeout=1, set_as_default=False)


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_no_worker_outlives_the_command(stop: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "works.py"
    script.write_text(WORKS_FOREVER)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "a task is done\n"
        first, *_ = worker_processes(psutil.Process(command.pid))
        first.kill()
        while len(workers := worker_processes(psutil.Process(command.pid))) < 2 or first in workers:
            assert command.poll() is None
            time.sleep(0.05)
        time.sleep(0.3)  # the new worker is importing
        family = psutil.Process(command.pid).children(recursive=True)
        if stop == signal.SIGKILL:
            command.kill()
        else:
            os.killpg(command.pid, stop)
        _, messages = command.communicate(timeout=300)  # Dask may wait for a worker that starts before it stops it
    _, alive = psutil.wait_procs(family, timeout=120)
    assert alive == []
    if stop == signal.SIGINT:
        assert messages.count("Traceback") == messages.count("KeyboardInterrupt") == 1


@pytest.mark.parametrize("error", [OSError(errno.EROFS, "Read-only file system"), ImportError("no sem_open")])
def test_without_shared_memory_no_process_is_waited_for(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(semaphores, "get_context", lambda _: SimpleNamespace(Lock=fail))
    with pytest.raises(ClusterError, match=r"shared memory \(/dev/shm\) cannot be used: .*--workers 0"):
        list(run_tasks(abs, [1, 2], workers=2))
