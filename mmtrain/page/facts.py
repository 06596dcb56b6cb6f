"""What is known of a run, as one frozen value: of runs of any version and in any state, so much may be missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mmtrain.config.run import RunConfig
from mmtrain.metrics.predicted import Predicted
from mmtrain.privacy.finding import RunPrivacy, TargetPrivacy

State = Literal["training", "finished", "stopped"]
HELD_OUT = ("val", "test")
CLASSIFICATION = "classification"
"""Kind of a target that is predicted as a probability."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends of a 95 % interval."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """Return how far apart both ends are."""
        return self.high - self.low


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitCount:
    """How many samples a split has, or a class of it, and of how many people."""

    samples: int
    participants: int
    classes: tuple["SplitCount", "SplitCount"] | None = None
    """Those of class 0 and of class 1, of a binary target."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupFacts:
    """How well one group of the test split is predicted."""

    by: str
    group: str
    n: int
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetFacts:
    """One target of a run."""

    name: str
    kind: str
    unit: str
    counts: Mapping[str, SplitCount] = field(default_factory=dict)
    """Of each split, those that have the label."""
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Split to metrics by name; none while the run is trained."""
    intervals: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    """The same with both ends of a 95 % interval."""
    predicted: Mapping[str, Predicted] = field(default_factory=dict)
    """Split to truth and prediction."""
    threshold: float | None = None
    """Of decisions, chosen on validation."""
    training_median: float | None = None
    age_bias: Mapping[str, float] = field(default_factory=dict)
    is_balanced: bool = False
    """Training let both classes count the same, however frequent they are."""
    groups: tuple[GroupFacts, ...] = ()

    @property
    def is_binary(self) -> bool:
        """Return whether it is predicted as a probability."""
        return "auc" in self.metrics.get("test", {}) or self.kind == CLASSIFICATION

    @property
    def main_metric(self) -> str:
        """Return the metric by which the run is believed."""
        return "auc" if self.is_binary else "r2"

    @property
    def title(self) -> str:
        """Return name and unit, for axes and headings."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def metric(self, name: str, split: str = "test") -> float | None:
        """Return a metric; None where the run has not got it, or it is not a number."""
        value = self.metrics.get(split, {}).get(name)
        return None if value is None or not np.isfinite(value) else float(value)

    def interval(self, name: str, split: str = "test") -> Interval | None:
        """Return the interval of a metric, if there is one."""
        return self.intervals.get(split, {}).get(name)


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a network."""

    title: str
    num_parameters: int


@dataclass(frozen=True, slots=True)
class Branch:
    """An input and the block that it goes to; None where all inputs go to the same."""

    input_title: str
    size: str
    block: Block | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkFacts:
    """What goes in, through what, and what comes out."""

    name: str
    branches: tuple[Branch, ...]
    head: Block
    """What joins the branches, or the whole network where it is one block."""
    outputs: tuple[str, ...]
    num_parameters: int
    is_fitted_at_once: bool = False
    """It does not learn in epochs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """One run."""

    run_id: str
    state: State
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of config.json, flat."""
    config: RunConfig | None = None
    """The same as this mm reads them; None where it cannot."""
    audit: Sequence[Mapping[str, Any]] = ()
    changes: Sequence[Mapping[str, Any]] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, SplitCount] = field(default_factory=dict)
    epochs: Sequence[Mapping[str, Any]] = ()
    """Lines of metrics.jsonl."""
    targets: Sequence[TargetFacts] = ()
    privacy: RunPrivacy | None = None
    """What attacks came to; None before `mm privacy`."""
    withdrawn: int = 0
    """Samples of the cohort that have withdrawn since."""
    minutes: float | None = None
    parameters: int | None = None
    network: NetworkFacts | None = None
    problems: Sequence[str] = ()

    @property
    def best_epoch(self) -> int | None:
        """Return the epoch with the lowest validation loss; None before there is one."""
        found = [(entry["val_loss"], entry["epoch"]) for entry in self.epochs if np.isfinite(entry["val_loss"])]
        return int(min(found)[1]) if found else None

    @property
    def is_fitted_at_once(self) -> bool:
        """Return whether its network is fitted to all training samples at once, in one epoch."""
        return self.network is not None and self.network.is_fitted_at_once

    def privacy_of(self, target: str) -> TargetPrivacy | None:
        """Return what attacks on one target came to."""
        found = () if self.privacy is None else self.privacy.targets
        return next((of for of in found if of.target == target), None)

    @property
    def inputs(self) -> Sequence[str]:
        """Return the names of the inputs."""
        return tuple(self.settings.get("inputs", ()))
