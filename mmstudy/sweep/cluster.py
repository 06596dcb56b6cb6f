"""The workers of a sweep on other machines: tasks of Dask, there or in SLURM jobs, that each start one and wait for it.

A worker is a process of its own there too, so that it can be asked to stop with a checkpoint, and ends by itself when
the task that started it is gone. A job of SLURM has an end: before it, the worker stops with a checkpoint, and its task
goes to the next job.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psutil

from mmdata.execution.pools import WorkerPool
from mmdata.execution.slurm import SlurmPool
from mmdata.execution.tasks import leave_worker, run_tasks
from mmdata.study import Study
from mmstudy.settings import load_study
from mmstudy.sweep.directory import SweepDirectory, find_sweep
from mmstudy.sweep.losses import Losses, SweepProgress
from mmstudy.sweep.stored_plan import read_plan
from mmstudy.sweep.worker_process import (
    BROKEN,
    STOPPED,
    WorkerOrder,
    WorkerTerms,
    last_words,
    log_name,
    start_worker,
)
from mmtrain.errors import TrainError

MEMORY_BYTES = 8 << 30
"""That a worker asks a cluster for, rows that it keeps among them."""
CACHE_BYTES = 2 << 30
"""Of these, for rows, where nothing else is asked for."""
JOB_END = "SLURM_JOB_END_TIME"
"""Environment variable of newer SLURM: when it ends a job, in seconds since 1970."""
_LOOK_SECONDS = 1.0
_SPARE_SECONDS, _SPARE_SHARE = 300.0, 0.25
"""Of a job's walltime, kept for the step and the checkpoint that a worker ends with; no more than this share of it."""


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
        terms=WorkerTerms(execution={"cache_bytes": CACHE_BYTES, **execution}),
        walltime_seconds=pool.walltime_seconds if isinstance(pool, SlurmPool) else None,
        command=uuid.uuid4().hex,
        log=sweep.logs.resolve(),
    )
    orders = [replace(order, log=order.log / f"cluster-{number}") for number in range(num_workers)]
    progress = _progress(study, sweep)
    with _looking(look), _stopping(sweep):
        for said in run_tasks(
            work_in_child,
            orders,
            workers=pool,
            memory_bytes=MEMORY_BYTES,
            on_crash=_as_it_is,
            came_further=progress.came_further,
        ):
            if said:
                raise TrainError(f"A worker of the sweep has ended: {said}", f"The logs are in {sweep.logs}.")


def work_in_child(order: WorkerOrder) -> str:
    """Start a worker where this task runs, and wait for it; return why it ended, empty where nothing was wrong.

    Raises
    ------
    distributed.Reschedule
        The SLURM job that this runs in ends soon: the task goes to another.
    """
    log = order.log.with_name(log_name(f"{order.log.name}-{os.getpid()}"))
    study = load_study(order.root)
    sweep = find_sweep(study.layout, order.sweep)
    losses = Losses(_progress(study, sweep))
    while True:
        seconds = _seconds_left(order.walltime_seconds)
        ends_at = None if seconds is None else time.monotonic() + seconds
        code = start_worker(replace(order, log=log, terms=replace(order.terms, seconds=seconds))).wait()
        if code == STOPPED and ends_at is not None and time.monotonic() >= ends_at and not sweep.stop.exists():
            leave_worker()
        if code in (0, STOPPED):
            return ""
        if code > 0 and code != BROKEN:
            return f"exit code {code}, {last_words(log)}"
        if losses.is_hopeless(code):
            how = last_words(log) if code == BROKEN else f"at last killed by signal {-code}."
            return f"{losses.number} times, {how}"


def _progress(study: Study, sweep: SweepDirectory) -> SweepProgress:
    plan, _ = read_plan(sweep)
    return SweepProgress(study, sweep, {job.name: job for job in plan.jobs})


def _as_it_is(order: WorkerOrder) -> WorkerOrder:
    """Return what to do after a crash: the same, for a job that kills its worker is given up by the next one."""
    return order


def _seconds_left(walltime_seconds: float | None) -> float | None:
    """Return how long a worker that is started here now may work; None: no end is known."""
    if walltime_seconds is None:
        return None
    if told := os.environ.get(JOB_END):
        ends_at = float(told)
    else:  # the process that runs tasks, or the one that watches it, is what the job began with
        own = psutil.Process()
        parent = own.parent()
        ends_at = min(process.create_time() for process in (own, parent or own)) + walltime_seconds
    return ends_at - min(_SPARE_SECONDS, _SPARE_SHARE * walltime_seconds) - time.time()


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
