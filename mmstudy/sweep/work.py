"""A worker: one process that does one job of a sweep after the other, and keeps what they share in memory.

Workers agree through files alone: who holds a job's lock works on it, and its state says what became of it. A worker
that is killed lets go of its lock; whoever comes next resumes the run from its checkpoint.
"""

import errno
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from mmbase.errors import MmError, first_line
from mmbase.lock import LockHeldError, hold_lock
from mmdata.study import Study
from mmstudy.sweep.cost import expected_costs, in_order
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.job_run import Worker, train_job
from mmstudy.sweep.jobs import Job
from mmstudy.sweep.state import JobState, read_state, write_state
from mmstudy.sweep.stored_plan import read_plan
from mmstudy.sweep.watch import StopWatch
from mmtrain.kept import Kept
from mmtrain.stopping import TrainingStopped, heed_signals

MAX_ATTEMPTS = 3
"""Of one command's workers at one job: a process that dies of it each time will not do it."""
_WAIT_SECONDS = 1.0
_IDLE_ROUNDS = 2
"""After which a worker ends: a lock may be held for a moment by whoever looks whether it is held."""
_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)
_logger = logging.getLogger(__name__)


def work(
    study: Study,
    sweep: SweepDirectory,
    *,
    execution: dict[str, Any],
    command: str,
    parent: int | None,
    tell: Callable[[str], None],
) -> None:
    """Do jobs of a sweep until none is left that this process could begin, or it is asked to stop.

    Parameters
    ----------
    tell
        Is given a line about each job.

    Raises
    ------
    TrainingStopped
        It was asked to.
    OSError
        The disk is full: no job would come further.
    """
    plan, accepted = read_plan(sweep)
    worker = Worker(
        study=study,
        sweep=sweep,
        plan=plan,
        accepted=accepted,
        execution=execution,
        command=command,
        watch=StopWatch(sweep, parent),
        kept=Kept(),
    )
    jobs = in_order(plan.jobs, expected_costs(plan))
    with heed_signals() as stop:
        idle_rounds = 0
        while jobs:
            num_before = len(jobs)
            jobs = _round(worker, jobs, tell, lambda: stop.made or worker.watch.must_stop())
            others_do_all = all(not job.trunk for job in jobs)
            idle_rounds = idle_rounds + 1 if others_do_all and len(jobs) == num_before else 0
            if idle_rounds == _IDLE_ROUNDS:
                return
            if jobs:
                time.sleep(_WAIT_SECONDS)


def _round(worker: Worker, jobs: list[Job], tell: Callable[[str], None], must_stop: Callable[[], bool]) -> list[Job]:
    """Do every job that can be begun now; return those that are not done, for others work on them or they wait."""
    left = []
    for job in jobs:
        if must_stop():
            raise TrainingStopped
        if not _is_done(worker, job) and not _claim_and_do(worker, job, tell):
            left.append(job)
    return left


def _is_done(worker: Worker, job: Job) -> bool:
    state = read_state(worker.sweep, job.name)
    return state is not None and state.outcome != "begun"


def _claim_and_do(worker: Worker, job: Job, tell: Callable[[str], None]) -> bool:
    """Do a job unless another process works on it or it has to wait; return whether it is done."""
    trunk = _trunk_of(worker, job)
    if trunk is None and job.trunk:
        return False
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(worker.sweep.locks / job.name))
        except LockHeldError:
            return False
        if not _is_done(worker, job):
            tell(f"{job.name}: {_do(worker, job, trunk)}")
    return True


def _trunk_of(worker: Worker, job: Job) -> JobState | None:
    """Return what became of the trunk that a job needs; None where it needs none, or has to wait for it."""
    state = read_state(worker.sweep, job.trunk) if job.trunk else None
    return state if state is not None and state.outcome != "begun" else None


def _do(worker: Worker, job: Job, trunk: JobState | None) -> str:
    """Do a job whose lock is held; return what became of it in a word."""
    before = read_state(worker.sweep, job.name)
    attempts = before.attempts + 1 if before is not None and before.command == worker.command else 1
    state = JobState(
        outcome="begun",
        run_id="" if before is None else before.run_id,
        attempts=attempts,
        command=worker.command,
        seconds=0.0 if before is None else before.seconds,
    )
    if attempts > MAX_ATTEMPTS:
        error = f"The process that worked on it has died {MAX_ATTEMPTS} times."
        return _end(worker, job, replace(state, outcome="failed", error=error, remedy="Look into the sweep's logs."))
    if trunk is not None and trunk.outcome == "failed":
        error = f"Its trunk, {job.trunk}, has failed: {trunk.error}"
        return _end(worker, job, replace(state, outcome="failed", error=error, remedy=trunk.remedy))
    write_state(worker.sweep, job.name, state)
    started = time.perf_counter()
    try:
        run = train_job(worker, job, state, trunk)
    except TrainingStopped:
        raise
    except MmError as error:
        failed = replace(_latest(worker, job, state), error=error.what_happened, remedy=error.what_to_do)
    except Exception as error:  # one cell's failure is not to end the others
        if isinstance(error, OSError) and error.errno in _DISK_IS_FULL:
            raise
        _logger.exception("job %s", job.name)
        failed = replace(_latest(worker, job, state), error=f"{type(error).__name__}: {first_line(error)}")
    else:
        seconds = state.seconds + time.perf_counter() - started
        return _end(worker, job, replace(state, outcome="finished", run_id=run.run_id, seconds=round(seconds, 3)))
    return _end(worker, job, replace(failed, outcome="failed"))


def _latest(worker: Worker, job: Job, state: JobState) -> JobState:
    """Return a job's state with the run that was begun since."""
    return read_state(worker.sweep, job.name) or state


def _end(worker: Worker, job: Job, state: JobState) -> str:
    write_state(worker.sweep, job.name, replace(state, ended=time.time()))
    return f"failed. {state.error}" if state.outcome == "failed" else state.outcome
