"""The workers of a sweep on other machines: tasks of Dask, there or in SLURM jobs, that each start one and wait for it.

A worker is a process of its own there too, so that it can be asked to stop with a checkpoint, and ends by itself when
the task that started it is gone.
"""

import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mmdata.execution.pools import WorkerPool
from mmdata.execution.tasks import run_tasks
from mmdata.study import Study
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.worker_process import STOPPED, WorkerOrder, last_words, start_worker
from mmtrain.errors import TrainError

MEMORY_BYTES = 8 << 30
"""That a worker asks a cluster for, rows that it keeps among them."""
CACHE_BYTES = 2 << 30
"""Of these, for rows, where nothing else is asked for."""
MAX_DEATHS = 4
"""Of the processes of one task: a job that kills them is given up before."""
_LOOK_SECONDS = 1.0


def run_on_cluster(
    study: Study,
    sweep: SweepDirectory,
    pool: WorkerPool,
    num_workers: int,
    execution: Mapping[str, Any],
    look: Callable[[], None],
) -> None:
    """Let workers on other machines work until nothing is left that they could begin.

    Parameters
    ----------
    look
        Called again and again meanwhile, from another thread.

    Raises
    ------
    ClusterError, CapacityError
        The cluster cannot be used, or loses workers again and again.
    TrainError
        A worker ended because of something that is no job's fault.
    """
    order = WorkerOrder(
        root=study.layout.root.resolve(),
        sweep=sweep.name,
        execution={"cache_bytes": CACHE_BYTES, **execution},
        command=uuid.uuid4().hex,
        log=sweep.logs.resolve(),
    )
    orders = [replace(order, log=order.log / f"cluster-{number}") for number in range(num_workers)]
    with _looking(look), _stopping(sweep):
        for said in run_tasks(work_in_child, orders, workers=pool, memory_bytes=MEMORY_BYTES):
            if said:
                raise TrainError(f"A worker of the sweep has ended: {said}", f"The logs are in {sweep.logs}.")


def work_in_child(order: WorkerOrder) -> str:
    """Start a worker where this task runs, and wait for it; return why it ended, empty where nothing was wrong."""
    own = replace(order, log=order.log.with_name(f"{order.log.name}-{socket.gethostname()}-{os.getpid()}.log"))
    for _ in range(MAX_DEATHS):
        code = start_worker(own).wait()
        if code in (0, STOPPED):
            return ""
        if code > 0:
            return f"exit code {code}, {last_words(own.log)}"
    return f"killed {MAX_DEATHS} times, at last by signal {-code}."


@contextmanager
def _stopping(sweep: SweepDirectory) -> Iterator[None]:
    """Ask all workers to stop where the block ends before they do: a task that is waited for no more goes on."""
    try:
        yield
    except BaseException:
        sweep.stop.touch(mode=0o600)
        raise


@contextmanager
def _looking(look: Callable[[], None]) -> Iterator[None]:
    """Look again and again while the block lasts; what goes wrong with that is raised at its end, and stops nobody."""
    ended = threading.Event()

    def look_again_and_again() -> None:
        while not ended.wait(_LOOK_SECONDS):
            look()

    with ThreadPoolExecutor(1, "looking") as threads:
        looking = threads.submit(look_again_and_again)
        try:
            yield
        finally:
            ended.set()
        looking.result()
