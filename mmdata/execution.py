"""Run independent tasks in Dask worker processes, a bounded number in flight, results as they finish.

Tasks are frozen dataclasses that name one output each, so any of them may be run again. Their `repr` must not hold an
identifier: Dask writes it to the log when a worker dies.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from dask import config as dask_config
from distributed import Client, LocalCluster, as_completed
from distributed.scheduler import KilledWorker

from mmdata.errors import CapacityError

Task = TypeVar("Task")
Result = TypeVar("Result")

TASKS_IN_FLIGHT_PER_WORKER = 2
"""Enough to keep a worker busy while its last result travels; more would only hold memory."""
_DASK_SETTINGS = {
    "distributed.worker.multiprocessing-method": "spawn",  # tensorstore aborts in a forked child
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.comm.timeouts.connect": "120s",
}


def run_tasks(function: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int) -> Iterator[Result]:
    """Yield ``function(task)`` for every task, in the order they finish.

    Parameters
    ----------
    function
        A module-level function, so that worker processes can import it.
    workers
        Processes to start on this machine; 0 runs the tasks here, one after another, in their order.

    Raises
    ------
    CapacityError
        A worker process died several times on one task.
    Exception
        What `function` raised; the tasks in flight are abandoned.
    """
    if workers == 0 or not tasks:
        yield from map(function, tasks)
        return
    with (
        dask_config.set(_DASK_SETTINGS),
        _local_cluster(min(workers, len(tasks))) as cluster,
        Client(cluster) as client,
    ):
        waiting = iter(tasks)
        first = list(islice(waiting, workers * TASKS_IN_FLIGHT_PER_WORKER))
        running = as_completed(client.map(function, first, pure=False))
        for future in running:
            try:
                result = future.result()
            except KilledWorker as error:
                raise CapacityError(
                    "A worker process was killed again and again on the same task, most likely for want of memory. "
                    "What was stored is intact: run the same command with fewer --workers."
                ) from error
            future.release()
            for task in islice(waiting, 1):
                running.add(client.submit(function, task, pure=False))
            yield result


def _local_cluster(workers: int) -> LocalCluster:
    with _interrupts_ignored():
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            memory_limit=0,
        )


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let child processes begin with Ctrl-C ignored: the terminal sends it to all, and only the parent shall answer."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
