"""What became of each job of a sweep: a small file for each, written whole or not at all."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from mmbase.files import PRIVATE_MODE, write_json
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
    """Times that it was begun by workers of one command without coming further; a process that dies takes one."""
    reached: tuple[Count, Count] = (0, 0)
    """Epochs finished, and steps of the next, at the checkpoint that the last attempt has begun from."""
    command: str = ""
    """Which command's workers have begun it: attempts are counted anew for the next."""
    ended: float = 0.0
    """When it ended, in seconds since 1970; 0 while it has not."""
    seconds: float = 0.0
    """How long it took in all, over all attempts that ended of themselves."""


def read_state(sweep: SweepDirectory, job: str) -> JobState | None:
    """Return what became of a job; None where it was not begun, or its file is damaged: then it is done again."""
    try:
        return read_json(_path(sweep, job), JobState)
    except (FileNotFoundError, DamagedTextError):
        return None


def read_latest_state(sweep: SweepDirectory, job: str) -> JobState | None:
    """Return what became of a job whose lock is held, also where another machine has said so a moment ago.

    For up to a minute a client of NFS takes a file for missing that was missing when it last looked, locks or not (its
    cache of names). To make a file it has to ask the server, which answers with the one that is there. So the file is
    made first; an empty one says nothing. What is in it is that of the server: NFS asks for it at every opening.

    Source: nfs(5), "Directory entry caching" and "Close-to-open cache consistency".
    """
    os.close(os.open(_path(sweep, job), os.O_RDONLY | os.O_CREAT, PRIVATE_MODE))
    return read_state(sweep, job)


def write_state(sweep: SweepDirectory, job: str, state: JobState) -> None:
    """Keep what became of a job."""
    write_json(_path(sweep, job), asdict(state))


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
            _path(sweep, name).unlink(missing_ok=True)


def _path(sweep: SweepDirectory, job: str) -> Path:
    return sweep.jobs / f"{job}.json"
