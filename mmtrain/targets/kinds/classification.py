"""Binary targets: two outputs against a one-hot pair, as the reference; judged by the probability of class 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from mmtrain.config.data import Regression
from mmtrain.drawing.figures import Picture
from mmtrain.drawing.scores import draw_scores
from mmtrain.errors import TrainError
from mmtrain.metrics.classification import OF_PROBABILITIES
from mmtrain.metrics.metric import Metric
from mmtrain.metrics.predicted import Predicted
from mmtrain.targets.protocol import Labels


@dataclass(frozen=True, slots=True)
class Kind:
    """A binary target, class 0 or 1."""

    name: ClassVar[str] = "classification"
    dictionary_kind: ClassVar[str] = "binary"
    regression: ClassVar[Regression | None] = None
    num_outputs: ClassVar[int] = 2
    metrics: ClassVar[tuple[Metric, ...]] = OF_PROBABILITIES

    class_weights: tuple[float, float] = (1.0, 1.0)
    """Of the losses of samples of class 0 and 1; of use in training alone."""

    @classmethod
    def fit(cls, training_labels: Labels, *, weighted: bool) -> Self:
        """Fit the weights of the classes.

        Raises
        ------
        TrainError
            The training split has one class only.
        """
        return cls(weigh_classes(training_labels)) if weighted else cls()

    @classmethod
    def from_json(cls, scaling: Mapping[str, Any] | None) -> Self:
        """Return a target whose classes count the same."""
        return cls()

    def to_json(self) -> None:
        """Return None: outputs need no scaling."""
        return

    @staticmethod
    def classes(labels: Labels) -> NDArray[np.int64] | None:
        """Return the labels as whole numbers."""
        return labels.astype(np.int64)

    def sample_weights(self, labels: Labels) -> Labels:
        """Return the weight of each label's class."""
        return np.asarray(self.class_weights)[labels.astype(np.int64)]

    def clamp(self, labels: Labels) -> Labels:
        """Return the classes as they are."""
        return labels

    def scale(self, labels: Labels) -> Labels:
        """Return the classes as they are."""
        return labels

    def losses(self, outputs_BK: torch.Tensor, labels: Labels) -> torch.Tensor:
        """Return the mean cross-entropy of the one-hot pair, times the weight of the class."""
        pairs = functional.one_hot(torch.from_numpy(labels.astype(np.int64)), 2).to(outputs_BK)
        losses = functional.binary_cross_entropy_with_logits(outputs_BK, pairs, reduction="none").mean(1)
        return losses * (pairs @ pairs.new_tensor(self.class_weights))

    def predictions(self, outputs_NK: Labels) -> Labels:
        """Return the probabilities of class 1."""
        likely = 1 / (1 + np.exp(-outputs_NK))
        return np.asarray(likely[:, 1] / likely.sum(axis=1))

    def explained(self, outputs_BK: torch.Tensor) -> torch.Tensor:
        """Return the log-odds of class 1 that belong to the probabilities of `predictions`."""
        likely = functional.logsigmoid(outputs_BK)
        return likely[:, 1] - likely[:, 0]

    @staticmethod
    def explained_unit(unit: str) -> str:
        """Return what is divided: probabilities cannot be added up, their log-odds can."""
        return "log-odds"

    @staticmethod
    def draw(
        predicted: Predicted, title: str, *, threshold: float | None = None, exact: bool = False
    ) -> dict[str, Picture]:
        """Draw what the ranking is worth (ROC, precision and recall), decisions at 0.5, and the calibration."""
        return draw_scores(predicted, title, threshold=threshold, exact=exact)


def weigh_classes(training_labels: Labels) -> tuple[float, float]:
    """Return weights of the losses of class 0 and 1 with which both count the same; they are 1 in the mean.

    >>> weigh_classes(np.array([0.0, 0.0, 0.0, 1.0]))
    (0.6666666666666666, 2.0)

    Raises
    ------
    TrainError
        The training split has one class only.
    """
    share = float(np.mean(training_labels))
    if not 0 < share < 1:
        raise TrainError(f"The target is {share:g} for all training samples; there is nothing to learn.")
    return 0.5 / (1 - share), 0.5 / share
