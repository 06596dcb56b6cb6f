"""The plan of a sweep: its cells, who each is trained on, why some cannot be, and the runs to be made."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from catalog.splits.schemes import Fold, SplitScheme, StudySplit
from mmstudy.sweep.cells import Cell
from mmstudy.sweep.jobs import Job
from mmstudy.sweep.settings import SweepSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Population:
    """Who the models of some targets use."""

    n: Mapping[str, int] = field(default_factory=dict)
    """Samples by split; empty where no model can be trained."""
    participants: Mapping[str, str] = field(default_factory=dict)
    """Target to the hash of who is in which split."""
    reason: str = ""
    """Why no model can be trained; empty where one can."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedCell:
    """One cell, and who its models are trained on."""

    cell: Cell
    domain: str
    """The group of features that the target belongs to."""
    kind: str
    """continuous or binary."""
    population: Population
    """Of the study's own split, or of the first fold."""

    @property
    def can_be_trained(self) -> bool:
        """Return whether there is no reason against it."""
        return not self.population.reason

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as `mm sweep --dry-run --json` lists them under models."""
        return {
            "cell": self.cell.name,
            "target": self.cell.target,
            "domain": self.domain,
            "kind": self.kind,
            "inputs": list(self.cell.inputs),
            "blocks": list(self.cell.blocks),
            "n": dict(self.population.n),
            "participants": self.population.participants.get(self.cell.target),
            "reason": self.population.reason or None,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepPlan:
    """A sweep that can begin."""

    settings: SweepSettings
    """With the study's own settings of runs, as far as all cells share them."""
    cells: tuple[PlannedCell, ...]
    jobs: tuple[Job, ...]
    required_inputs: tuple[str, ...] = ()
    """What every sample has stored, whatever its models are given; none: each cell has its own samples."""
    notes: tuple[str, ...] = field(default=())
    """What is to be known of it before it begins."""

    @property
    def trainable(self) -> tuple[PlannedCell, ...]:
        """Return the cells that can be trained."""
        return tuple(planned for planned in self.cells if planned.can_be_trained)


def scheme_of(settings: SweepSettings, fold: int) -> SplitScheme:
    """Return who trains, validates and tests in a job of a fold; 0: the study's own split."""
    return Fold(fold, settings.folds) if fold else StudySplit()


def plain_plan(plan: SweepPlan) -> dict[str, Any]:
    """Return what `mm sweep --dry-run --json` prints."""
    networks = [job for job in plan.jobs if job.network not in plan.settings.baselines]
    return {
        "models": [planned.to_json() for planned in plan.cells],
        "trainable": len(plan.trainable),
        "networks": len(networks),
        "baselines": len(plan.jobs) - len(networks),
        "required_inputs": list(plan.required_inputs),
        "settings": plan.settings.to_json(),
        "notes": list(plan.notes),
        "jobs": [asdict(job) for job in plan.jobs],
    }
