"""A target as scikit-learn takes it, for the networks that are fitted at once.

Such a network finds one raw number for each sample: the scaled value of a continuous target, or the log odds of class 1
of a binary one. Its outputs are that number, or the pair of minus and plus that number.

Legend of shapes: N samples of a split, n of them that have a label, K outputs of one target.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mmtrain.errors import TrainError
from mmtrain.models.samples import Samples
from mmtrain.targets.protocol import Labels, TargetKind
from mmtrain.targets.several import Targets


@dataclass(frozen=True, slots=True)
class Labelled:
    """The samples of a split that have a label of one target."""

    rows: NDArray[np.bool_]
    """Which of the split's samples, shape (N,)."""
    answers: NDArray[np.float64]
    """Scaled values, or classes 0 and 1; shape (n,)."""
    weights: NDArray[np.float64]
    """How much each counts in the loss, shape (n,)."""
    labels: Labels
    """In the target's own unit, shape (n,)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One target with its training and its validation samples."""

    kind: TargetKind
    training: Labelled
    validation: Labelled

    @property
    def is_binary(self) -> bool:
        """Return whether answers are classes."""
        return self.kind.num_outputs == 2

    @property
    def signs(self) -> NDArray[np.float64]:
        """Return what the raw number is multiplied by to give the outputs, shape (K,)."""
        return np.array([-1.0, 1.0]) if self.is_binary else np.array([1.0])

    def validation_loss(self, raw: NDArray[np.float64]) -> float:
        """Return the run's mean loss of raw numbers for the validation samples, shape (n,)."""
        outputs_NK = torch.from_numpy(np.multiply.outer(raw, self.signs))
        return float(self.kind.losses(outputs_NK, self.validation.labels).mean())


def pose_problems(model: str, targets: Targets, training: Samples, validation: Samples) -> list[Problem]:
    """Return the problem of each target.

    Parameters
    ----------
    model
        Name of the network, for messages.

    Raises
    ------
    TrainError
        A kind of target is not known, no validation sample has a label, or all training samples are of one class.
    """
    problems = []
    columns = zip(targets.names, targets.kinds, training.labels_NT.T, validation.labels_NT.T, strict=True)
    for name, kind, training_labels, validation_labels in columns:
        _require_known_kind(model, kind, training_labels)
        problem = Problem(kind, _labelled(kind, training_labels), _labelled(kind, validation_labels))
        if not problem.validation.rows.any():
            raise TrainError(f"The model {model} needs validation samples with a label of {name}, got none.")
        if problem.is_binary and len(np.unique(problem.training.answers)) < 2:
            raise TrainError(f"The model {model} needs training samples of both classes of {name}, got one class.")
        problems.append(problem)
    return problems


def _require_known_kind(model: str, kind: TargetKind, labels: Labels) -> None:
    has_classes = kind.classes(labels[~np.isnan(labels)]) is not None
    if (has_classes, kind.num_outputs) not in {(False, 1), (True, 2)}:
        raise TrainError(f"The model {model} knows no targets of the kind {kind.name}.", "Choose another --model.")


def _labelled(kind: TargetKind, labels_N: Labels) -> Labelled:
    rows = ~np.isnan(labels_N)
    labels = labels_N[rows]
    classes = kind.classes(labels)
    answers = kind.scale(labels) if classes is None else classes.astype(np.float64)
    return Labelled(rows, answers, kind.sample_weights(labels), labels)
