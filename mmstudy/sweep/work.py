"""A worker: one process that does one job of a sweep after the other, and keeps what they share in memory.

Workers agree through files alone: who holds a job's lock works on it, and its state says what became of it. A worker
that is killed lets go of its lock; whoever comes next resumes the run from its checkpoint.
"""

import errno
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from mmbase.errors import MmError, first_line
from mmbase.lock import LockHeldError, hold_lock
from mmdata.study import Study
from mmstudy.sweep.cost import expected_costs, in_order
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.health import BrokenWorkerError, Health
from mmstudy.sweep.job_run import Worker, train_job
from mmstudy.sweep.jobs import Job
from mmstudy.sweep.state import JobState, read_latest_state, read_state, write_state
from mmstudy.sweep.stored_plan import read_plan
from mmstudy.sweep.watch import StopWatch
from mmstudy.sweep.worker_process import WorkerTerms
from mmtrain.checkpoint import read_progress, remove_checkpoints
from mmtrain.errors import TrainError
from mmtrain.kept import Kept
from mmtrain.kept_values import KeptValues, values_budget
from mmtrain.run import RunDirectory
from mmtrain.stopping import TrainingStopped, heed_signals

MAX_ATTEMPTS = 3
"""Of one command's workers at one job that comes no further: a process that dies of it each time will not do it."""
_WAIT_SECONDS = 1.0
_IDLE_ROUNDS = 2
"""After which a worker ends: a lock may be held for a moment by whoever looks whether it is held."""
_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Doing:
    """Who does the jobs."""

    worker: Worker
    health: Health
    tell: Callable[[str], None]


def work(
    study: Study,
    sweep: SweepDirectory,
    *,
    terms: WorkerTerms,
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
        It was asked to, or its time is over.
    BrokenWorkerError
        This process cannot train, whatever the job.
    OSError
        The disk is full: no job would come further.
    """
    doing = _prepare(study, sweep, terms, command, parent, tell)
    plan = doing.worker.plan
    try:
        doing.health.require()
        _do_all(doing, in_order(plan.jobs, expected_costs(plan)))
    except OSError as error:  # of the sweep's own files: what fails in a job is told of the job
        if error.errno in _DISK_IS_FULL:
            raise
        raise BrokenWorkerError(f"The files of the sweep cannot be read or written: {error.strerror}.") from error


def _prepare(
    study: Study,
    sweep: SweepDirectory,
    terms: WorkerTerms,
    command: str,
    parent: int | None,
    tell: Callable[[str], None],
) -> _Doing:
    ends_at = None if terms.seconds is None else time.monotonic() + terms.seconds
    plan, accepted = read_plan(sweep)
    settings: dict[str, Any] = {"device": "auto", **study.config.train, **plan.settings.train, **terms.execution}
    worker = Worker(
        study=study,
        sweep=sweep,
        plan=plan,
        accepted=accepted,
        execution=terms.execution,
        command=command,
        watch=StopWatch(sweep, parent, ends_at),
        kept=Kept(
            num_on_machine=terms.num_on_machine,
            num_on_device=terms.num_on_device,
            reductions=KeptValues(values_budget(terms.num_on_machine, settings.get("cache_bytes"))),
        ),
    )
    return _Doing(worker=worker, health=Health(sweep, settings["device"]), tell=tell)


def _do_all(doing: _Doing, jobs: list[Job]) -> None:
    watch = doing.worker.watch
    with heed_signals() as stop:
        idle_rounds = 0
        while jobs:
            num_before = len(jobs)
            jobs = _round(doing, jobs, lambda: stop.made or watch.must_stop())
            others_do_all = all(not job.trunk for job in jobs)
            idle_rounds = idle_rounds + 1 if others_do_all and len(jobs) == num_before else 0
            if idle_rounds == _IDLE_ROUNDS:
                return
            if jobs:
                time.sleep(_WAIT_SECONDS)


def _round(doing: _Doing, jobs: list[Job], must_stop: Callable[[], bool]) -> list[Job]:
    """Do every job that can be begun now; return those that are not done, for others work on them or they wait."""
    left = []
    for job in jobs:
        if must_stop():
            raise TrainingStopped
        is_done = _has_ended(read_state(doing.worker.sweep, job.name))
        if not is_done and not _claim_and_do(doing, job):
            left.append(job)
    return left


def _has_ended(state: JobState | None) -> bool:
    return state is not None and state.outcome != "begun"


def _claim_and_do(doing: _Doing, job: Job) -> bool:
    """Do a job unless another process works on it or it has to wait; return whether it is done."""
    sweep = doing.worker.sweep
    trunk = read_state(sweep, job.trunk) if job.trunk else None
    if job.trunk and not _has_ended(trunk):
        return False
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(sweep.locks / job.name))
        except LockHeldError:
            return False
        before = read_latest_state(sweep, job.name)
        if not _has_ended(before):
            doing.tell(f"{job.name}: {_do(doing, job, before, trunk)}")
    return True


def _do(doing: _Doing, job: Job, before: JobState | None, trunk: JobState | None) -> str:
    """Do a job whose lock is held; return what became of it in a word."""
    worker = doing.worker
    state = _next_attempt(worker, before)
    if state.attempts > MAX_ATTEMPTS:
        error = f"The process that worked on it has died {MAX_ATTEMPTS} times, and it came no further between."
        return _end(worker, job, replace(state, outcome="failed", error=error, remedy="Look into the sweep's logs."))
    if trunk is not None and trunk.outcome == "failed":
        error = f"Its trunk, {job.trunk}, has failed: {trunk.error}"
        return _end(worker, job, replace(state, outcome="failed", error=error, remedy=trunk.remedy))
    write_state(worker.sweep, job.name, state)
    started = time.perf_counter()
    try:
        run = train_job(worker, job, state, trunk)
    except TrainingStopped:
        latest = _latest(worker, job, state)
        write_state(worker.sweep, job.name, replace(latest, attempts=state.attempts - 1))  # nothing died
        raise
    except Exception as error:  # one cell's failure is not to end the others
        return _fail(doing, job, state, error)
    doing.health.note_success()
    seconds = state.seconds + time.perf_counter() - started
    told = _end(worker, job, replace(state, outcome="finished", run_id=run.run_id, seconds=round(seconds, 3)))
    remove_checkpoints(run.checkpoint)  # nobody resumes a finished run, and a sweep has hundreds
    return told


def _next_attempt(worker: Worker, before: JobState | None) -> JobState:
    """Return the state of a job that is begun now; attempts after which it was further are not counted."""
    if before is None:
        return JobState(outcome="begun", command=worker.command)
    reached = _reached(worker.study, before.run_id)
    is_counted = before.command == worker.command and reached <= before.reached
    return JobState(
        outcome="begun",
        run_id=before.run_id,
        attempts=before.attempts + 1 if is_counted else 1,
        reached=reached,
        command=worker.command,
        seconds=before.seconds,
    )


def _reached(study: Study, run_id: str) -> tuple[int, int]:
    """Return how many epochs of a run are finished, and steps of the next, at the checkpoint it is resumed from."""
    if not run_id:
        return 0, 0
    try:
        progress = read_progress(RunDirectory(study.layout.runs / run_id).checkpoint)
    except TrainError:  # damaged: whoever resumes it says so
        return 0, 0
    return progress.epoch, progress.part.steps


def _fail(doing: _Doing, job: Job, state: JobState, error: Exception) -> str:
    """Keep that a job has failed, unless that is not its own fault: it is then left as begun.

    Raises
    ------
    BrokenWorkerError
        This process cannot train, whatever the job.
    OSError
        The disk is full.
    """
    if isinstance(error, OSError) and error.errno in _DISK_IS_FULL:
        raise error
    if isinstance(error, MmError):
        what_happened, what_to_do = error.what_happened, error.what_to_do
    else:
        _logger.error("job %s", job.name, exc_info=error)
        what_happened, what_to_do = f"{type(error).__name__}: {first_line(error)}", ""
    doing.health.require_after(error)
    latest = _latest(doing.worker, job, state)
    return _end(doing.worker, job, replace(latest, outcome="failed", error=what_happened, remedy=what_to_do))


def _latest(worker: Worker, job: Job, state: JobState) -> JobState:
    """Return a job's state with the run that was begun since."""
    return read_state(worker.sweep, job.name) or state


def _end(worker: Worker, job: Job, state: JobState) -> str:
    write_state(worker.sweep, job.name, replace(state, ended=time.time()))
    return f"failed. {state.error}" if state.outcome == "failed" else state.outcome
