"""How far a sweep is: what is done, what runs, what has failed, how fast it goes and how long it will take."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmbase.json_text import Count, DamagedTextError, parse_json_line
from mmbase.lock import LockHeldError, hold_lock
from mmdata.store.schema import StudyLayout
from mmstudy.sweep.cost import expected_costs
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.plan import SweepPlan
from mmstudy.sweep.state import JobState, read_states
from mmtrain.run import RunDirectory

_RATED_SECONDS = 3600.0
"""Of the past that the rate is taken from, where there is so much."""
_SECONDS_IN_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class _Epoch:
    """What is read of a run's last epoch."""

    epoch: Count


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningJob:
    """A job that a process works on."""

    name: str
    run_id: str
    epoch: int
    """Finished ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedJob:
    """A job that has failed."""

    name: str
    error: str
    remedy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepStatus:
    """How far a sweep is."""

    num_jobs: int
    num_finished: int
    running: tuple[RunningJob, ...]
    interrupted: int
    """Begun, and nobody works on them."""
    failed: tuple[FailedJob, ...]
    per_hour: float | None
    """Models that were finished in an hour of the last hour; None: none yet."""
    seconds_left: float | None
    """At the rate of the expected work that was done; None: nothing is known yet, or nothing runs."""

    @property
    def num_waiting(self) -> int:
        """Return how many jobs nobody has begun."""
        return self.num_jobs - self.num_finished - len(self.running) - self.interrupted - len(self.failed)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "jobs": self.num_jobs,
            "finished": self.num_finished,
            "running": [{"job": of.name, "run_id": of.run_id, "epoch": of.epoch} for of in self.running],
            "interrupted": self.interrupted,
            "waiting": self.num_waiting,
            "failed": [{"job": of.name, "error": of.error, "remedy": of.remedy} for of in self.failed],
            "per_hour": self.per_hour,
            "seconds_left": self.seconds_left,
        }


def sweep_status(layout: StudyLayout, sweep: SweepDirectory, plan: SweepPlan) -> SweepStatus:
    """Return how far a sweep is, from its files and the locks of its jobs."""
    jobs = {job.name: job for job in plan.jobs}
    states = read_states(sweep, jobs)
    begun = {name: state for name, state in states.items() if state.outcome == "begun"}
    held = [name for name in begun if _is_held(sweep, name)]
    return SweepStatus(
        num_jobs=len(jobs),
        num_finished=sum(state.outcome == "finished" for state in states.values()),
        running=tuple(_running(layout, name, begun[name]) for name in held),
        interrupted=len(begun) - len(held),
        failed=tuple(
            FailedJob(name=name, error=state.error, remedy=state.remedy)
            for name, state in states.items()
            if state.outcome == "failed"
        ),
        per_hour=_per_hour(list(states.values())),
        seconds_left=_seconds_left(expected_costs(plan), states, len(held)),
    )


def num_ended(sweep: SweepDirectory, plan: SweepPlan) -> int:
    """Return how many jobs are finished or have failed."""
    states = read_states(sweep, {job.name: job for job in plan.jobs})
    return sum(state.outcome != "begun" for state in states.values())


def _is_held(sweep: SweepDirectory, job: str) -> bool:
    try:
        with hold_lock(sweep.locks / job, shared=True):
            return False
    except LockHeldError:
        return True


def _running(layout: StudyLayout, name: str, state: JobState) -> RunningJob:
    return RunningJob(name=name, run_id=state.run_id, epoch=_last_epoch(layout, state.run_id))


def _last_epoch(layout: StudyLayout, run_id: str) -> int:
    """Return how many epochs of a run are finished."""
    try:
        lines = RunDirectory(layout.runs / run_id).epochs.read_bytes().splitlines() if run_id else []
        return parse_json_line(lines[-1], _Epoch).epoch if lines else 0
    except (OSError, DamagedTextError):
        return 0


def _per_hour(states: Sequence[JobState]) -> float | None:
    ended = sorted(state.ended for state in states if state.outcome == "finished")
    recent = [moment for moment in ended if moment > time.time() - _RATED_SECONDS]
    if len(recent) < 2 or recent[-1] == recent[0]:
        return None
    return round((len(recent) - 1) / (recent[-1] - recent[0]) * _SECONDS_IN_HOUR, 1)


def _seconds_left(costs: Mapping[str, float], states: Mapping[str, JobState], num_running: int) -> float | None:
    """Return how long the jobs that are left take so many processes, at the cost per second of the finished ones."""
    done = [name for name, state in states.items() if state.outcome == "finished" and state.seconds]
    seconds = sum(states[name].seconds for name in done)
    if not seconds or not num_running:
        return None
    left = sum(cost for name, cost in costs.items() if name not in states or states[name].outcome == "begun")
    return round(left / sum(costs[name] for name in done) * seconds / num_running, 1)
