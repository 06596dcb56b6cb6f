"""The run of one job: begun, or taken up where a kill left it, brought to its end and into the catalogue."""

import logging
import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from mmdata.study import Study
from mmstudy.runs.begin import begin_run
from mmstudy.runs.enter import enter_run
from mmstudy.runs.plan import RunPlan, plan_run
from mmstudy.runs.train import find_unfinished
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.job_settings import settings_of_job
from mmstudy.sweep.jobs import Job
from mmstudy.sweep.plan import SweepPlan, scheme_of
from mmstudy.sweep.state import JobState, write_state
from mmstudy.sweep.watch import StopWatch
from mmtrain.errors import TrainError
from mmtrain.kept import Kept
from mmtrain.page.live import without_page
from mmtrain.run import RunDirectory
from mmtrain.train import train

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """One process of a sweep."""

    study: Study
    sweep: SweepDirectory
    plan: SweepPlan
    accepted: Collection[str]
    execution: dict[str, Any]
    """Settings of execution that are this worker's own, such as its device."""
    command: str
    """Of whose workers it is one."""
    watch: StopWatch
    kept: Kept
    """What it keeps from run to run."""


def train_job(worker: Worker, job: Job, state: JobState, trunk: JobState | None) -> RunDirectory:
    """Return the finished run of a job.

    Parameters
    ----------
    state
        Of the job; names the run that was begun for it, if one was.
    trunk
        What became of the trunk that it needs; None: it needs none.

    Raises
    ------
    MmError
        The run cannot be planned or trained.
    TrainingStopped
        A signal asked for it.
    """
    run = _begun_run(worker, state)
    is_new = run is None
    if run is None:
        run = _begin(worker, job, state, trunk)
    if is_new or not run.metrics.exists():
        _, config = find_unfinished(worker.study, run.run_id, worker.execution)
        train(
            run,
            worker.study.layout,
            config,
            resumed=not is_new,
            observers=[worker.watch],
            keep_page=without_page,  # mm page RUN writes it when somebody wants it
            kept=worker.kept,
        )
    for problem in enter_run(worker.study, run):
        _logger.warning("%s", problem)
    return run


def _begun_run(worker: Worker, state: JobState) -> RunDirectory | None:
    """Return the run that was begun for a job; what a kill left of one that was never whole is removed."""
    if not state.run_id:
        return None
    run = RunDirectory(worker.study.layout.runs / state.run_id)
    if run.config.exists() and run.cohort.exists():
        return run
    shutil.rmtree(run.path, ignore_errors=True)
    return None


def _begin(worker: Worker, job: Job, state: JobState, trunk: JobState | None) -> RunDirectory:
    plan, settings = worker.plan, worker.plan.settings
    given = {**settings_of_job(job, settings, plan.required_inputs), **worker.execution}
    if trunk is not None:
        given["trunk"] = trunk.run_id
    scheme = scheme_of(settings, job.fold)
    planned = plan_run(worker.study, job.targets, given, scheme=scheme, accepted=worker.accepted)
    _require_planned_participants(job, planned)

    def note(run: RunDirectory) -> None:
        write_state(worker.sweep, job.name, replace(state, run_id=run.run_id))

    return begin_run(worker.study, planned, noted=note)


def _require_planned_participants(job: Job, planned: RunPlan) -> None:
    """Refuse samples that are not those of the plan: the job's scores could not be compared with the others'.

    Raises
    ------
    TrainError
        The study has changed.
    """
    found = planned.comparable.participants
    if changed := [target for target, digest in job.participants.items() if found.get(target) != digest]:
        raise TrainError(
            f"The samples with {', '.join(changed)} are not those of the sweep's plan: the study has changed since.",
            "Plan the sweep anew, under another --name: models of different samples cannot be compared.",
        )
