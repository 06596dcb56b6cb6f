"""Where tasks run: processes of this machine, a Dask cluster that runs already, or jobs of SLURM.

A pool describes where; `connect` opens it for as long as a block lasts. Our own clusters encrypt and authenticate what
they send: whoever can talk to a Dask scheduler can run code as its user.
"""

import logging
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker

from dask import config as dask_config
from distributed import Client, LocalCluster
from distributed.core import Status

from mmdata.execution.connection import Connection
from mmdata.execution.scheduler import reach_scheduler
from mmdata.execution.semaphores import require_semaphores
from mmdata.execution.slurm import SlurmPool, any_job_left, submit_jobs

ALLOWED_DEATHS = 1
"""Of workers on one task: the first may be bad luck, with the second the task is given back."""
START_SECONDS = 5
"""How long work is held back for the first process; it then begins with whichever comes."""
_OWN_CLUSTER_SETTINGS = {
    "distributed.worker.multiprocessing-method": "spawn",  # tensorstore aborts in a forked child
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.scheduler.http.routes": [],  # pages that anybody on the machine could read
    "distributed.worker.http.routes": [],
    "distributed.comm.timeouts.connect": "120s",
    "distributed.deploy.lost-worker-timeout": "180s",  # a worker that was killed may start again, slowly, before
}

_asyncio_logger = logging.getLogger("asyncio")


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalPool:
    """Worker processes on this machine."""

    processes: int
    """0 works in the caller's own process, where a crash takes all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SchedulerPool:
    """A Dask cluster that others start and stop."""

    address: str
    """Of its scheduler, e.g. ``tcp://node1:8786``."""


WorkerPool = LocalPool | SchedulerPool | SlurmPool


def num_workers(pool: WorkerPool) -> int:
    """Return how many tasks a pool is taken to work on at once."""
    match pool:
        case LocalPool():
            return pool.processes
        case SlurmPool():
            return pool.jobs
        case SchedulerPool():
            return 1  # how many there are shows when it is reached; what is projected is then of one


def connect(pool: WorkerPool, *, num_tasks: int, memory_bytes: int | None) -> AbstractContextManager[Connection]:
    """Open a pool for the duration of a block.

    Parameters
    ----------
    num_tasks
        No more processes or jobs than this are started.
    memory_bytes
        Peak memory of one task and the process that runs it; None: unknown.

    Raises
    ------
    ClusterError
        The scheduler or the job queue cannot be used; says why and what to do.
    """
    _asyncio_logger.setLevel(logging.CRITICAL)  # after Ctrl-C it complains, late, of messages not yet delivered
    match pool:
        case LocalPool():
            return _start_here(min(pool.processes, num_tasks))
        case SchedulerPool():
            return reach_scheduler(pool.address, memory_bytes)
        case SlurmPool():
            return _start_jobs(pool, min(pool.jobs, num_tasks), memory_bytes)


@contextmanager
def _start_here(num_processes: int) -> Iterator[Connection]:
    require_semaphores()
    with (
        dask_config.set(_OWN_CLUSTER_SETTINGS),
        _start_errors_silenced(),
        LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            security=True,
            silence_logs=logging.CRITICAL,
            memory_limit=0,
            scheduler_kwargs={"allowed_failures": ALLOWED_DEATHS, "dashboard": False},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        # the terminal sends Ctrl-C to all processes: what this thread starts shall never see it, only we shall answer
        resource_tracker.ensure_running()  # it unblocks the signal when it is started later
        cluster.loop.add_callback(signal.pthread_sigmask, signal.SIG_BLOCK, {signal.SIGINT})
        cluster.scale(num_processes)
        with suppress(TimeoutError):
            cluster.wait_for_workers(1, timeout=START_SECONDS)
        yield Connection(
            client=client,
            remedy="Use fewer --workers.",
            more_may_come=lambda: False,
            replace_lost=lambda: _replace_lost_processes(cluster, num_processes),
        )


def _replace_lost_processes(cluster: LocalCluster, num_processes: int) -> None:
    """Make up for workers that were killed as they started: Dask gives up on those."""
    for name, worker in list(cluster.workers.items()):
        if worker.status in (Status.closed, Status.failed):
            cluster.workers.pop(name, None)
    cluster.scale(num_processes)


@contextmanager
def _start_jobs(pool: SlurmPool, num_jobs: int, memory_bytes: int | None) -> Iterator[Connection]:
    scheduler_options = {"allowed_failures": ALLOWED_DEATHS, "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    with (
        dask_config.set(_OWN_CLUSTER_SETTINGS),
        _start_errors_silenced(),
        submit_jobs(pool, num_jobs=num_jobs, memory_bytes=memory_bytes, scheduler_options=scheduler_options) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield Connection(
            client=client,
            remedy=f"The jobs ended or never began: their logs are in {pool.directory}.",
            more_may_come=lambda: any_job_left(cluster),
            replace_lost=lambda: cluster.scale(jobs=num_jobs),
        )


@contextmanager
def _start_errors_silenced() -> Iterator[None]:
    """Keep tracebacks of workers that could not be started off the screen: others are started instead."""
    logger = logging.getLogger("tornado.application")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
