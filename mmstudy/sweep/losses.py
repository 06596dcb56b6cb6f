"""Whether a sweep comes further while it loses workers: while it does, each is started again, however often it dies."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmdata.study import Study
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.jobs import Job
from mmstudy.sweep.state import JobState, read_states
from mmstudy.sweep.worker_process import BROKEN
from mmtrain.run import RunDirectory

MAX_LOSSES = 3
"""Of one worker while the sweep comes no further: something is wrong beside the jobs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """How far a sweep has come."""

    num_ended: int
    """Jobs that are finished or have failed."""
    num_epochs: int
    """Finished ones, of runs of jobs that have not ended."""


def reached(study: Study, sweep: SweepDirectory, jobs: Mapping[str, Job]) -> Reached:
    """Return how far a sweep has come, by its files."""
    states = read_states(sweep, jobs).values()
    begun = [state for state in states if state.outcome == "begun"]
    return Reached(
        num_ended=len(states) - len(begun),
        num_epochs=sum(_num_epochs(study, state) for state in begun),
    )


@dataclass(slots=True)
class SweepProgress:
    """How far a sweep had come when it was last looked at."""

    study: Study
    sweep: SweepDirectory
    jobs: Mapping[str, Job]
    before: Reached = field(init=False)

    def __post_init__(self) -> None:
        self.before = reached(self.study, self.sweep, self.jobs)

    def came_further(self) -> bool:
        """Return whether jobs have ended or epochs were finished since this was asked last."""
        before, now = self.before, reached(self.study, self.sweep, self.jobs)
        self.before = now
        return (now.num_ended, now.num_epochs) > (before.num_ended, before.num_epochs)


@dataclass(slots=True)
class Losses:
    """How often one worker has died in a row while the sweep came no further, and how often it was broken at all."""

    progress: SweepProgress
    num_in_a_row: int = 0
    num_broken: int = 0
    """What other workers finish meanwhile says nothing of this one, which makes jobs fail."""

    @property
    def number(self) -> int:
        """Return how many deaths count."""
        return max(self.num_in_a_row, self.num_broken)

    def is_hopeless(self, code: int) -> bool:
        """Count a death; return whether to start the worker no more.

        Parameters
        ----------
        code
            It ended with: the negative number of a signal, or `BROKEN`.
        """
        if code == BROKEN:
            self.num_broken += 1
        else:
            self.num_in_a_row = 1 if self.progress.came_further() else self.num_in_a_row + 1
        return self.number > MAX_LOSSES


def _num_epochs(study: Study, state: JobState) -> int:
    """Return how many epochs of a job's run are finished: a line of its file is one."""
    if not state.run_id:
        return 0
    try:
        return RunDirectory(study.layout.runs / state.run_id).epochs.read_bytes().count(b"\n")
    except OSError:
        return 0
