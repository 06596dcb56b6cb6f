"""Run independent tasks in worker processes, a bounded number in flight, results as they finish.

Tasks are frozen dataclasses that name one output each, so any of them may be run again. Their `repr` must not hold an
identifier: Dask writes it to the log when a worker dies.

A worker that dies takes its tasks along, the one at fault and those that waited behind it. Each is run again; a task
that loses its worker once more is given back as killed, and may then be replaced by one that runs what is dangerous in
processes of its own. A task whose worker has no time left may leave it by itself (`leave_worker`): another does it.
"""

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, NoReturn, TypeVar

from distributed import Future, Reschedule, Status, get_worker
from distributed.scheduler import KilledWorker

from mmdata.errors import CapacityError, ClusterError
from mmdata.execution.connection import KEY_PREFIX, Connection
from mmdata.execution.pools import LocalPool, WorkerPool, connect

Task = TypeVar("Task")
Result = TypeVar("Result")

TASKS_IN_FLIGHT_PER_THREAD = 2
"""Enough to keep a worker busy while its last result travels; more would only hold memory."""
MAX_KILLS = 10
"""Times that one task may be given back as killed: a campaign of random kills passes, a hopeless task ends."""
PATIENCE_SECONDS = 300.0
"""How long a cluster may be without workers."""
TELL_SECONDS = 10.0
"""Without workers, after which the log says so."""
POLL_SECONDS = 1.0
LEAVE_SECONDS = 30.0
"""How long a worker may take to get no more tasks, once it has said that it leaves."""
FETCH_SECONDS = 10.0
"""How long a result may take to come over; one that was lost with its worker is computed again."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Attempt(Generic[Task]):
    task: Task
    num_kills: int = 0


def run_tasks(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int | WorkerPool,
    memory_bytes: int | None = None,
    on_crash: Callable[[Task], Task] | None = None,
    came_further: Callable[[], bool] = lambda: False,
) -> Generator[Result, None, None]:
    """Yield ``function(task)`` for every task, in the order they finish.

    Parameters
    ----------
    function
        A module-level function, so that worker processes can import it.
    workers
        Where to run: processes to start on this machine, 0 for none, then tasks run here in their order; or a pool.
    memory_bytes
        Peak memory of a task and the process that runs it: what a job asks for, and a cluster must offer.
    on_crash
        Replaces a task whose worker died twice, its own fault or not, by one that outlives a crash. Left out, the
        second death is the end.
    came_further
        Asked when a task has lost its workers: whether work has come further since this was asked last. Then its deaths
        are counted anew; for tasks that keep what they have done elsewhere, and may take longer than a worker lives.

    Raises
    ------
    CapacityError
        Worker processes died again and again on one task.
    ClusterError
        The cluster or the job queue cannot be used, or was lost.
    Exception
        What `function` raised; the tasks in flight are abandoned.
    """
    pool = LocalPool(processes=workers) if isinstance(workers, int) else workers
    if not tasks or pool == LocalPool(processes=0):
        yield from map(function, tasks)
        return
    with connect(pool, num_tasks=len(tasks), memory_bytes=memory_bytes) as connection:
        yield from _run_on(connection, function, tasks, on_crash, came_further)


def leave_worker() -> NoReturn:
    """End the worker that the calling task runs on, and let another worker do the task from its beginning.

    Raises
    ------
    distributed.Reschedule
        Always: the task is to let it pass.
    """
    worker = get_worker()
    worker.loop.add_callback(worker.close_gracefully, reason="its time is over")
    deadline = time.monotonic() + LEAVE_SECONDS
    while worker.status == Status.running and time.monotonic() < deadline:  # before, it would get the task again
        time.sleep(POLL_SECONDS / 10)
    raise Reschedule


def keep_results(
    results: Generator[Result, None, None],
    keep: Callable[[Result], int],
    num_items: int,
    on_progress: Callable[[int, int], None],
) -> None:
    """Keep what each task has done before the next is waited for, and tell how far they have come.

    Whatever ends it, the workers are gone before anything else happens.

    Parameters
    ----------
    results
        From `run_tasks`.
    keep
        Puts a result on record, and returns how many of the `num_items` it is of.
    """
    done = 0
    on_progress(done, num_items)
    with closing(results):
        for result in results:
            done += keep(result)
            on_progress(done, num_items)


def _run_on(
    connection: Connection,
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    on_crash: Callable[[Task], Task] | None,
    came_further: Callable[[], bool],
) -> Iterator[Result]:
    waiting = deque(_Attempt(task=task) for task in tasks)
    running: dict[Future[Result], _Attempt[Task]] = {}
    finished: SimpleQueue[Future[Result]] = SimpleQueue()
    num_threads = _watch_threads(connection)
    while waiting or running:
        room = TASKS_IN_FLIGHT_PER_THREAD * max(1, next(num_threads)) - len(running)
        for _ in range(min(room, len(waiting))):
            attempt = waiting.popleft()
            key = f"{KEY_PREFIX}{uuid.uuid4().hex}"
            future = connection.client.submit(function, attempt.task, key=key, pure=False)
            running[future] = attempt
            future.add_done_callback(finished.put)
        try:
            future = finished.get(timeout=POLL_SECONDS)
        except Empty:
            continue
        try:
            result = future.result(timeout=FETCH_SECONDS)
        except KilledWorker as error:
            attempt = running.pop(future)
            again = _Attempt(task=attempt.task) if came_further() else _next_attempt(attempt, on_crash, error)
            waiting.appendleft(again)
        except (CancelledError, OSError) as error:
            _raise_if_final(future, connection, error)
            future.add_done_callback(finished.put)
        else:
            del running[future]
            yield result


def _watch_threads(connection: Connection) -> Iterator[int]:
    """Yield how many tasks the workers can run at once, asked again every few seconds; raise when long without any."""
    last_seen = time.monotonic()
    told = False
    while True:
        connection.replace_lost()
        num_threads = connection.num_threads()
        asked = time.monotonic()
        if num_threads or (asked - last_seen > PATIENCE_SECONDS and connection.more_may_come()):
            last_seen = asked
        missing_seconds = asked - last_seen
        if missing_seconds > PATIENCE_SECONDS:
            raise ClusterError(
                f"No workers came for {PATIENCE_SECONDS:g} s. What was stored is intact: the same command resumes.",
                connection.remedy,
            )
        if missing_seconds > TELL_SECONDS and not told:
            _logger.warning("Waiting for workers.")
        told = missing_seconds > TELL_SECONDS
        while time.monotonic() - asked < POLL_SECONDS:
            yield num_threads


def _next_attempt(
    attempt: _Attempt[Task], on_crash: Callable[[Task], Task] | None, error: KilledWorker
) -> _Attempt[Task]:
    num_kills = attempt.num_kills + 1
    if on_crash is None or num_kills > MAX_KILLS:
        raise CapacityError(
            "A worker process was killed again and again on the same task, most likely for want of memory. "
            "What was stored is intact.",
            "Run the same command with fewer --workers.",
        ) from error
    task = on_crash(attempt.task) if num_kills == 1 else attempt.task
    return _Attempt(task=task, num_kills=num_kills)


def _raise_if_final(future: Future[Result], connection: Connection, error: CancelledError | OSError) -> None:
    """Raise what a task raised and what a lost scheduler did; pass over a result that was lost with its worker."""
    if future.status == "error":
        raise error
    if future.status == "cancelled" or connection.client.status != "running":
        raise ClusterError(
            "The connection to the Dask scheduler was lost. What was stored is intact.",
            "See why the scheduler ended, then run the same command again to resume.",
        ) from error
