"""Who is told how a run is going: the terminal, TensorBoard, a server of experiments.

Training prints nothing. It calls its observers, on the rank that writes, in the order of the methods below. No call
waits for a GPU: what is told of a step are counts, and a GPU may be some steps behind them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmtrain.config.run import RunConfig
from mmtrain.run import RunDirectory
from mmtrain.state import EpochEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStart:
    """A run before the first step that this process takes."""

    directory: RunDirectory
    config: RunConfig
    max_epochs: int
    """After which it ends at the latest; fewer than in `config` for a network that needs no steps."""
    resumed: bool
    history: tuple[EpochEntry, ...]
    """Of the epochs that are finished already."""
    notes: tuple[str, ...] = ()
    """What is to be known before it begins: which memory it takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochPosition:
    """How far an epoch has come, over all ranks."""

    epoch: int
    """Counted from 1."""
    steps: int
    num_steps: int
    samples: int
    num_samples: int


class TrainingObserver:
    """Hears of a run. Each method does nothing until it is overridden; an error that one raises ends the training."""

    def on_begin(self, start: RunStart) -> None:
        """Hear of the run, once."""

    def on_step(self, position: EpochPosition) -> None:
        """Hear where an epoch begins or is resumed, and then of each step that has been asked for."""

    def on_validation(self, epoch: int) -> None:
        """Hear that the steps of an epoch are done, and its validation begins."""

    def on_epoch(self, entry: EpochEntry) -> None:
        """Hear of an epoch whose entry, weights and checkpoint are on the disk."""

    def on_test(self, epoch: int) -> None:
        """Hear that training has ended, and that its best epoch is tested."""

    def on_end(self, metrics: Mapping[str, Any]) -> None:
        """Hear what metrics.json holds, which is on the disk, with predictions and pictures."""


@dataclass(frozen=True, slots=True)
class Observers(TrainingObserver):
    """Several observers as one; none on the ranks that do not write."""

    members: Sequence[TrainingObserver] = ()

    def on_begin(self, start: RunStart) -> None:
        """Tell all."""
        for member in self.members:
            member.on_begin(start)

    def on_step(self, position: EpochPosition) -> None:
        """Tell all."""
        for member in self.members:
            member.on_step(position)

    def on_validation(self, epoch: int) -> None:
        """Tell all."""
        for member in self.members:
            member.on_validation(epoch)

    def on_epoch(self, entry: EpochEntry) -> None:
        """Tell all."""
        for member in self.members:
            member.on_epoch(entry)

    def on_test(self, epoch: int) -> None:
        """Tell all."""
        for member in self.members:
            member.on_test(epoch)

    def on_end(self, metrics: Mapping[str, Any]) -> None:
        """Tell all."""
        for member in self.members:
            member.on_end(metrics)
