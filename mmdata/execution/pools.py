"""Where tasks run: processes of this machine, a Dask cluster that runs already, or jobs of SLURM.

A pool describes the place; `connect` opens it for as long as a block lasts. Our own clusters encrypt and authenticate
what they send: whoever can talk to a Dask scheduler can run code as its user.
"""

import importlib.metadata
import logging
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any

from dask import config as dask_config
from distributed import Client, LocalCluster, Worker
from distributed.core import Status
from distributed.utils import silence_logging_cmgr
from distributed.versions import VersionMismatchWarning

from mmdata.errors import ClusterError
from mmdata.execution.capacity import as_gb
from mmdata.execution.slurm import SlurmPool, any_job_left, submit_jobs

KEY_PREFIX = "mm-"
"""Of the names of our tasks on a cluster."""
ALLOWED_DEATHS = 1
"""Of workers on one task: the first may be bad luck, with the second the task is given back."""
START_SECONDS = 5
"""How long work is held back for the first process; it then begins with whichever comes."""
CONNECT_SECONDS = 10
JOIN_SECONDS = 60.0
"""How long a cluster may take to get its first worker."""
LEFTOVER_SECONDS = 900.0
"""How long tasks of an earlier run may go on in a cluster."""
_COMPARED_PACKAGES = ("python", "dask", "distributed", "cloudpickle")
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

_logger = logging.getLogger(__name__)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """A live cluster."""

    client: Client
    remedy: str
    """What to look at when there are no workers."""
    more_may_come: Callable[[], bool]
    """Whether workers may still join by themselves, however long that takes."""
    replace_lost: Callable[[], None]
    """Start workers in place of those that are gone for good, where that is ours to do."""

    def num_threads(self) -> int:
        """Return how many tasks the workers can run at once."""
        workers = self.client.scheduler_info(n_workers=-1).get("workers", {})
        return sum(worker["nthreads"] for worker in workers.values() if worker["status"] == "running")


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
    _asyncio_logger.setLevel(logging.CRITICAL)  # after Ctrl-C it complains, late, of what was then on its way
    match pool:
        case LocalPool():
            return _start_here(min(pool.processes, num_tasks))
        case SchedulerPool():
            return _reach(pool.address, memory_bytes)
        case SlurmPool():
            return _start_jobs(pool, min(pool.jobs, num_tasks), memory_bytes)


@contextmanager
def _start_here(num_processes: int) -> Iterator[Connection]:
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
def _reach(address: str, memory_bytes: int | None) -> Iterator[Connection]:
    remedy = f"Start some on each machine: dask worker {address} --nthreads 1 --nworkers 8 --memory-limit 4GiB"
    with (
        silence_logging_cmgr(logging.CRITICAL),
        dask_config.set({"distributed.comm.timeouts.connect": CONNECT_SECONDS}),
    ):
        client = _client_of(address)
        try:
            connection = Connection(
                client=client, remedy=remedy, more_may_come=lambda: False, replace_lost=lambda: None
            )
            _wait_for_a_worker(connection)
            _require_same_versions(client)
            _require_memory(client, memory_bytes)
            _wait_for_leftovers(client)
            yield connection
        finally:
            with suppress(TimeoutError):
                client.close()


def _client_of(address: str) -> Client:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)  # compared afterwards, with what to do about it
            return Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {address} within {CONNECT_SECONDS} s. "
            "Check the address, or start one: dask scheduler"
        ) from error


def _wait_for_a_worker(connection: Connection) -> None:
    deadline = time.monotonic() + JOIN_SECONDS
    while not connection.num_threads():
        if time.monotonic() > deadline:
            raise ClusterError(f"The Dask cluster has no workers after {JOIN_SECONDS:g} s. {connection.remedy}")
        time.sleep(0.2)


def _require_same_versions(client: Client) -> None:
    """Refuse a cluster whose processes would not understand our tasks or would compute them differently."""
    versions: Any = client.get_versions()
    mm_versions = client.run(importlib.metadata.version, "mm", on_error="return")
    ours = _compared_versions(versions["client"], importlib.metadata.version("mm"))
    _require_equal("the scheduler", _compared_versions(versions["scheduler"], ours["mm"]), ours)
    for worker, described in versions["workers"].items():
        mm_version = mm_versions.get(worker)
        theirs = _compared_versions(described, mm_version if isinstance(mm_version, str) else "none")
        _require_equal("a worker", theirs, ours)


def _compared_versions(described: Mapping[str, Any], mm_version: str) -> dict[str, str]:
    versions = {name: str(described["packages"].get(name)) for name in _COMPARED_PACKAGES}
    versions["python"] = ".".join(versions["python"].split(".")[:2])
    return {"mm": mm_version, **versions}


def _require_equal(who: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> None:
    for package, version in ours.items():
        if theirs[package] != version:
            raise ClusterError(
                f"Expected {package} {version} everywhere in the Dask cluster, {who} has {theirs[package]}. "
                "Start scheduler and workers from the environment that mm is in here."
            )


def _require_memory(client: Client, memory_bytes: int | None) -> None:
    for worker in client.scheduler_info(n_workers=-1)["workers"].values():
        bytes_per_thread = worker["memory_limit"] / worker["nthreads"]
        if memory_bytes and 0 < bytes_per_thread < memory_bytes:
            raise ClusterError(
                f"A task needs up to {as_gb(memory_bytes)} of memory, a worker of the Dask cluster has "
                f"{as_gb(bytes_per_thread)} for each thread. Start workers with --nthreads 1 and a --memory-limit of "
                f"at least {memory_bytes}."
            )


def _wait_for_leftovers(client: Client) -> None:
    """Wait for tasks that an interrupted run left running: they may be writing the shards that we shall write."""
    leftovers = _unfinished_tasks(client)
    deadline = time.monotonic() + LEFTOVER_SECONDS
    if leftovers:
        _logger.warning("Waiting for %d tasks that an earlier run left in the Dask cluster.", len(leftovers))
    while leftovers & _unfinished_tasks(client):
        if time.monotonic() > deadline:
            raise ClusterError(
                f"Tasks of an earlier run are still at work in the Dask cluster after {LEFTOVER_SECONDS:g} s. "
                "Restart its workers, then try again."
            )
        time.sleep(1.0)


def _unfinished_tasks(client: Client) -> set[str]:
    by_worker: Mapping[str, set[str]] = client.run(_unfinished_tasks_of, on_error="ignore")
    return set().union(*by_worker.values())


def _unfinished_tasks_of(dask_worker: Worker) -> set[str]:
    state = dask_worker.state
    keys = {str(task.key) for task in (*state.all_running_tasks, *state.ready)}
    return {key for key in keys if key.startswith(KEY_PREFIX)}


@contextmanager
def _start_errors_silenced() -> Iterator[None]:
    """Keep tracebacks of workers that could not be started off the screen: others are started in their place."""
    logger = logging.getLogger("tornado.application")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
