"""A Dask cluster that others started: whether it can be used, and the connection to it."""

import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from dask import config as dask_config
from distributed import Client, Worker
from distributed.utils import silence_logging_cmgr
from distributed.versions import VersionMismatchWarning

from mmbase.version import VERSION
from mmdata.errors import ClusterError
from mmdata.execution.capacity import as_gb
from mmdata.execution.connection import KEY_PREFIX, Connection

CONNECT_SECONDS = 10
JOIN_SECONDS = 60.0
"""How long a cluster may take to get its first worker."""
LEFTOVER_SECONDS = 900.0
"""How long tasks of an earlier run may still be at work in a cluster."""
_COMPARED_PACKAGES = ("python", "dask", "distributed", "cloudpickle")

_logger = logging.getLogger(__name__)


@contextmanager
def reach_scheduler(address: str, memory_bytes: int | None) -> Iterator[Connection]:
    """Connect to a cluster whose workers can do our tasks, for the duration of a block.

    Parameters
    ----------
    memory_bytes
        Peak memory of one task and the process that runs it; None: unknown.

    Raises
    ------
    ClusterError
        No scheduler answers, there are no workers, they run other versions or have too little memory, or tasks of an
        earlier run do not end.
    """
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
            f"No Dask scheduler answers at {address} within {CONNECT_SECONDS} s.",
            "Check the address, or start one: dask scheduler",
        ) from error


def _wait_for_a_worker(connection: Connection) -> None:
    deadline = time.monotonic() + JOIN_SECONDS
    while not connection.num_threads():
        if time.monotonic() > deadline:
            raise ClusterError(f"The Dask cluster has no workers after {JOIN_SECONDS:g} s.", connection.remedy)
        time.sleep(0.2)


def _require_same_versions(client: Client) -> None:
    """Refuse a cluster whose processes would not understand our tasks or would compute them differently."""
    versions: Any = client.get_versions()
    ours = _compared_versions(versions["client"])
    _require_equal("the scheduler", _compared_versions(versions["scheduler"]), ours)
    for described in versions["workers"].values():
        _require_equal("a worker", _compared_versions(described), ours)
    for theirs in _mm_versions(client):
        _require_equal("a worker", {"mm": theirs}, {"mm": VERSION})


def _mm_versions(client: Client) -> list[str]:
    """Return the version of mm that each worker imports; `none` where it cannot."""

    def version_there() -> str:  # sent as code, because a worker without mm could not look its name up
        from mmbase import version  # noqa: PLC0415 - that of the worker

        return version.VERSION

    told: Mapping[str, Any] = client.run(version_there, on_error="return")
    return [version if isinstance(version, str) else "none" for version in told.values()]


def _compared_versions(described: Mapping[str, Any]) -> dict[str, str]:
    versions = {name: str(described["packages"].get(name)) for name in _COMPARED_PACKAGES}
    return {**versions, "python": ".".join(versions["python"].split(".")[:2])}


def _require_equal(who: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> None:
    for package, version in ours.items():
        if theirs[package] != version:
            raise ClusterError(
                f"Expected {package} {version} everywhere in the Dask cluster, {who} has {theirs[package]}.",
                "Start scheduler and workers from the environment that mm is in here.",
            )


def _require_memory(client: Client, memory_bytes: int | None) -> None:
    for worker in client.scheduler_info(n_workers=-1)["workers"].values():
        bytes_per_thread = worker["memory_limit"] / worker["nthreads"]
        if memory_bytes and 0 < bytes_per_thread < memory_bytes:
            raise ClusterError(
                f"A task needs up to {as_gb(memory_bytes)} of memory, a worker of the Dask cluster has "
                f"{as_gb(bytes_per_thread)} for each thread.",
                f"Start workers with --nthreads 1 and a --memory-limit of at least {memory_bytes}.",
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
                f"Tasks of an earlier run are still at work in the Dask cluster after {LEFTOVER_SECONDS:g} s.",
                "Restart its workers, then try again.",
            )
        time.sleep(1.0)


def _unfinished_tasks(client: Client) -> set[str]:
    by_worker: Mapping[str, set[str]] = client.run(_unfinished_tasks_of, on_error="ignore")
    return set().union(*by_worker.values())


def _unfinished_tasks_of(dask_worker: Worker) -> set[str]:
    state = dask_worker.state
    keys = {str(task.key) for task in (*state.all_running_tasks, *state.ready)}
    return {key for key in keys if key.startswith(KEY_PREFIX)}
