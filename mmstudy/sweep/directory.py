"""Where the parts of one sweep lie. Nothing in it names a person."""

import re
from dataclasses import dataclass
from pathlib import Path

from mmbase.files import make_directory
from mmdata.store.schema import StudyLayout
from mmtrain.errors import TrainError

DEFAULT_NAME = "sweep"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SweepDirectory:
    """Where the parts of one sweep lie."""

    path: Path

    @property
    def name(self) -> str:
        """Return the name of the sweep."""
        return self.path.name

    @property
    def plan(self) -> Path:
        """Settings, cells and jobs."""
        return self.path / "plan.json"

    @property
    def is_begun(self) -> bool:
        """Return whether there is such a sweep."""
        return self.plan.exists()

    @property
    def jobs(self) -> Path:
        """What became of each job that was begun: a file for each."""
        return self.path / "jobs"

    @property
    def locks(self) -> Path:
        """A file for each job that is or was worked on, locked by who works on it."""
        return self.path / "locks"

    @property
    def logs(self) -> Path:
        """What workers had to say."""
        return self.path / "logs"

    @property
    def stop(self) -> Path:
        """It is there while workers are asked to stop."""
        return self.path / "stop"

    @property
    def results(self) -> Path:
        """Scores and tests, as `mm compare` wrote them last."""
        return self.path / "results"

    def make(self) -> None:
        """Make the directory and those in it."""
        for path in (self.path, self.jobs, self.locks, self.logs):
            make_directory(path)


def sweep_directory(layout: StudyLayout, name: str) -> SweepDirectory:
    """Return where a sweep lies or would lie.

    Raises
    ------
    TrainError
        That is no name for a sweep.
    """
    if not _NAME.fullmatch(name):
        raise TrainError(f"Expected a name of letters, digits, '.', '-' and '_' for the sweep, got {name[:80]!r}.")
    return SweepDirectory(layout.sweeps / name)


def list_sweeps(layout: StudyLayout) -> list[SweepDirectory]:
    """Return the sweeps of a study, by name."""
    return [SweepDirectory(path.parent) for path in sorted(layout.sweeps.glob("*/plan.json"))]


def find_sweep(layout: StudyLayout, name: str | None) -> SweepDirectory:
    """Return a sweep that there is; without a name, the only one.

    Raises
    ------
    TrainError
        There is none of that name, or several and no name.
    """
    sweeps = {sweep.name: sweep for sweep in list_sweeps(layout)}
    if not sweeps:
        raise TrainError("This study has no sweep yet.", "Plan and train one with: mm sweep")
    if name is None and len(sweeps) > 1:
        raise TrainError(f"This study has several sweeps: {', '.join(sweeps)}.", "Give --name and one of them.")
    if name is not None and name not in sweeps:
        raise TrainError(f"There is no sweep {name[:80]!r}.", f"There are {', '.join(sweeps)}.")
    return sweeps[next(iter(sweeps)) if name is None else name]


def sweep_to_resume(layout: StudyLayout, name: str | None) -> SweepDirectory | None:
    """Return the sweep that is resumed where nothing is asked for but perhaps its name; None: there is none.

    Raises
    ------
    TrainError
        There are several and no name, or it is no name for a sweep.
    """
    if name is not None:
        named = sweep_directory(layout, name)
        return named if named.is_begun else None
    return find_sweep(layout, None) if list_sweeps(layout) else None
