"""How long a run will take, from when its steps and epochs came: counts and clock times in, estimates out.

Nothing of it is measured on the device. A device that works through a queue is some steps behind the counts, always by
about as much, so that rates are right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from mmtrain.observer import EpochPosition, RunStart
from mmtrain.state import EpochEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """When a run ends."""

    limit_epoch: int
    """The last at the latest."""
    limit_seconds: float | None
    """Until then; None: not known yet."""
    patience_epoch: int
    """The last if the validation loss never falls below the best any more."""
    patience_seconds: float | None


def best_of(history: Sequence[EpochEntry]) -> EpochEntry | None:
    """Return the epoch of the smallest validation loss, by which a run is chosen; None: there is none yet."""
    finite = [entry for entry in history if math.isfinite(entry["val_loss"])]
    return min(finite, key=lambda entry: entry["val_loss"], default=None)


@dataclass(slots=True)
class TrainingTimes:
    """What has been heard of a run so far, each with the time in seconds by a clock that never goes back."""

    start: RunStart
    history: list[EpochEntry] = field(init=False)
    """Of all finished epochs, those before this process began among them."""
    position: EpochPosition | None = None
    """Of the epoch that is trained or validated; None between epochs."""
    _begun: tuple[float, EpochPosition] | None = None
    """When this process began the epoch, and where."""
    _counted_from: tuple[float, int] | None = None
    """Time and samples after the first step: it compiles and fills queues, and tells nothing of the others."""
    _last_step: float = 0.0
    _validated_from: float | None = None
    _validation_seconds: float = 0.0
    """Of the last epoch, with what was written after it."""
    _epoch_seconds: float | None = None
    """Of the last whole epoch."""

    def __post_init__(self) -> None:
        self.history = list(self.start.history)

    def note_step(self, position: EpochPosition, now: float) -> None:
        """Hear of a step, or of the beginning of an epoch."""
        if self._begun is None:
            self._begun = (now, position)
        elif self._counted_from is None:
            self._counted_from = (now, position.samples)
        self.position, self._last_step = position, now

    def note_validation(self, now: float) -> None:
        """Hear that the steps of the epoch are done."""
        self._validated_from = now

    def note_epoch(self, entry: EpochEntry, now: float) -> None:
        """Hear that the epoch is done."""
        if self._begun is not None and self._begun[1].steps == 0:
            self._epoch_seconds = now - self._begun[0]
        if self._validated_from is not None:
            self._validation_seconds = now - self._validated_from
        self.history.append(entry)
        self.position = self._begun = self._counted_from = self._validated_from = None

    @property
    def samples_per_second(self) -> float | None:
        """Return the rate of this epoch; None before its second step."""
        if self.position is None or self._counted_from is None or self._last_step <= self._counted_from[0]:
            return None
        since, samples = self._counted_from
        return (self.position.samples - samples) / (self._last_step - since)

    def training_seconds_left(self, now: float) -> float | None:
        """Return the time until the steps of this epoch are done; None: not known yet."""
        rate = self.samples_per_second
        if self.position is None or not rate:
            return None
        left = (self.position.num_samples - self.position.samples) / rate
        return max(0.0, left - (now - self._last_step))

    def outlook(self, now: float) -> Outlook:
        """Return when the run ends, at the latest and if nothing improves."""
        best = best_of(self.history)
        patience_epoch = (best["epoch"] if best else 0) + self.start.config.optimisation.patience
        limit = self.start.max_epochs
        patience_epoch = min(limit, patience_epoch)
        return Outlook(
            limit_epoch=limit,
            limit_seconds=self._seconds_until(limit, now),
            patience_epoch=patience_epoch,
            patience_seconds=self._seconds_until(patience_epoch, now),
        )

    def _seconds_until(self, epoch: int, now: float) -> float | None:
        """Return the time until the end of an epoch, this one or a later one."""
        whole, left = self._whole_epoch_seconds(), self._epoch_seconds_left(now)
        if whole is None or left is None:
            return None
        current = self.position.epoch if self.position else len(self.history)
        return left + max(0, epoch - current) * whole

    def _whole_epoch_seconds(self) -> float | None:
        if self._epoch_seconds is not None:
            return self._epoch_seconds
        rate = self.samples_per_second
        return self.position.num_samples / rate + self._validation_seconds if self.position and rate else None

    def _epoch_seconds_left(self, now: float) -> float | None:
        """Return the time left of this epoch with its validation; 0 between epochs."""
        if self.position is None:
            return 0.0
        if self._validated_from is not None:
            return max(0.0, self._validation_seconds - (now - self._validated_from))
        training = self.training_seconds_left(now)
        if training is not None:
            return training + self._validation_seconds
        if self._epoch_seconds is not None and self._begun is not None:
            return max(0.0, self._epoch_seconds - (now - self._begun[0]))
        return None
