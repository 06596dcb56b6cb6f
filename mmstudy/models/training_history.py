"""How the training of a model went: of a run from its epochs, of an imported model from its card."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmbase.json_text import Count, DamagedTextError, Finite, parse_content, parse_json_line
from mmstudy.models.find import FoundModel
from mmtrain.errors import TrainError
from mmtrain.run import RunDirectory


@dataclass(frozen=True, slots=True)
class TrainingHistory:
    """The epoch that the weights are of, and what came of each epoch."""

    epoch: Count | None = None
    """None: not known."""
    curves: Mapping[str, Sequence[Finite | None]] = field(default_factory=dict)
    """One of `mmtrain.published.checkpoint.CURVES` to a number for each epoch, None where it is not finite."""

    @property
    def last_losses(self) -> dict[str, float | None]:
        """Return the loss of the last epoch, of training and of validation."""
        last = {split: self.curves.get(f"{split}_losses") for split in ("training", "validation")}
        return {split: _finite(losses[-1]) for split, losses in last.items() if losses}


@dataclass(frozen=True, slots=True)
class _Epoch:
    """What metrics.jsonl says of one epoch."""

    epoch: Count
    train_loss: Finite
    val_loss: Finite


def history_of(model: FoundModel) -> TrainingHistory:
    """Return how the training of a model went, as far as it is on record.

    Raises
    ------
    TrainError
        What is on record is damaged.
    """
    try:
        if not model.is_run:
            return parse_content(dict(model.card.trained_on), TrainingHistory)
        path = RunDirectory(model.path).epochs
        lines = path.read_bytes().splitlines() if path.exists() else []  # a baseline has no epochs
        epochs = [parse_json_line(line, _Epoch) for line in lines]
    except (OSError, DamagedTextError) as error:
        raise TrainError(
            f"What is on record of the training of {model.name} is damaged.", "Put it back from a backup."
        ) from error
    best = min(epochs, key=lambda entry: entry.val_loss, default=None)
    curves = {
        "training_losses": [entry.train_loss for entry in epochs],
        "validation_losses": [entry.val_loss for entry in epochs],
    }
    return TrainingHistory(None if best is None else best.epoch, curves)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
