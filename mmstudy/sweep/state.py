"""What became of each job of a sweep: a small file for each, written whole or not at all."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from mmbase.files import write_json
from mmbase.json_text import Count, DamagedTextError, read_json
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.jobs import Job
from mmtrain.run import RunDirectory

Outcome = Literal["begun", "finished", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class JobState:
    """What became of a job."""

    outcome: Outcome
    run_id: str = ""
    """Its run; empty where it failed before it had one."""
    error: str = ""
    """Why it failed."""
    remedy: str = ""
    """What to do about it."""
    attempts: Count = 1
    """Times that it was begun by workers of one command; a process that dies takes one."""
    command: str = ""
    """Which command's workers have begun it: attempts are counted anew for the next."""
    ended: float = 0.0
    """When it ended, in seconds since 1970; 0 while it has not."""
    seconds: float = 0.0
    """How long it took in all, over all attempts that ended of themselves."""


def read_state(sweep: SweepDirectory, job: str) -> JobState | None:
    """Return what became of a job; None where it was not begun, or its file is damaged: then it is done again."""
    try:
        return read_json(sweep.jobs / f"{job}.json", JobState)
    except (FileNotFoundError, DamagedTextError):
        return None


def write_state(sweep: SweepDirectory, job: str, state: JobState) -> None:
    """Keep what became of a job."""
    write_json(sweep.jobs / f"{job}.json", asdict(state))


def read_states(sweep: SweepDirectory, jobs: Mapping[str, Job]) -> dict[str, JobState]:
    """Return what became of every job that was begun."""
    there = {path.stem for path in sweep.jobs.glob("*.json")}
    found = {name: read_state(sweep, name) for name in jobs if name in there}
    return {name: state for name, state in found.items() if state is not None}


def try_again(sweep: SweepDirectory, jobs: Mapping[str, Job], runs: Path) -> None:
    """Let jobs be done again that have failed, from where their runs are; and those whose finished run is gone.

    Parameters
    ----------
    runs
        The study's folder of runs.
    """
    for name, state in read_states(sweep, jobs).items():
        if state.outcome == "failed":
            write_state(sweep, name, replace(state, outcome="begun", attempts=0, command="", error="", remedy=""))
        elif state.outcome == "finished" and not RunDirectory(runs / state.run_id).metrics.exists():
            (sweep.jobs / f"{name}.json").unlink(missing_ok=True)
