"""What a kind of target must be able to do: the only place where kinds differ.

Legend of shapes: B batch, N samples, K outputs of the network for one target.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mmtrain.config.data import Regression
from mmtrain.drawing.figures import Picture
from mmtrain.metrics.metric import Metric
from mmtrain.metrics.predicted import Predicted

if TYPE_CHECKING:
    import torch

Labels = NDArray[np.float64]
"""Values of a target, shape (N,), in its own unit; classes are numbers from 0."""


class TargetKind(Protocol):
    """One target of a run, fitted on the training labels; a frozen value that goes into the model card."""

    name: ClassVar[str]
    """As in config.json and metrics.json; the name of its file."""
    dictionary_kind: ClassVar[str]
    """What the field dictionary calls targets of this kind."""
    regression: ClassVar[Regression | None]
    """How it learns values, where a definition has several kinds; None: it learns no values."""
    num_outputs: ClassVar[int]
    """K."""
    metrics: ClassVar[tuple[Metric, ...]]
    """How predictions of this kind are judged."""

    @classmethod
    def fit(cls, training_labels: Labels, *, weighted: bool) -> Self:
        """Return the scaling that the training labels ask for.

        Parameters
        ----------
        weighted
            Let rare labels count more in the loss, where the kind knows how.

        Raises
        ------
        TrainError
            There is nothing to learn from these labels.
        """
        ...

    @classmethod
    def from_json(cls, scaling: Mapping[str, Any] | None) -> Self:
        """Return what `to_json` gave."""
        ...

    def to_json(self) -> dict[str, float] | None:
        """Return the scaling as plain values; None where there is none."""
        ...

    @staticmethod
    def classes(labels: Labels) -> NDArray[np.int64] | None:
        """Return the class of each label, of which an epoch may draw equally many; None where there are no classes."""
        ...

    def sample_weights(self, labels: Labels) -> Labels:
        """Return how much each sample counts in the loss, shape (N,)."""
        ...

    def clamp(self, labels: Labels) -> Labels:
        """Return each label, or the nearest that the scaling spans, shape (N,); NaN stays NaN."""
        ...

    def scale(self, labels: Labels) -> Labels:
        """Return what the outputs are compared with, shape (N,)."""
        ...

    def losses(self, outputs_BK: "torch.Tensor", labels: Labels) -> "torch.Tensor":
        """Return the loss of each sample, shape (B,)."""
        ...

    def predictions(self, outputs_NK: Labels) -> Labels:
        """Turn the network's outputs into what is told to people, shape (N,)."""
        ...

    def explained(self, outputs_BK: "torch.Tensor") -> "torch.Tensor":
        """Return what an explanation divides among the inputs, shape (B,): a value, or the log-odds of class 1."""
        ...

    @staticmethod
    def explained_unit(unit: str) -> str:
        """Return the unit of `explained`, for axes and tables.

        Parameters
        ----------
        unit
            Of the target.
        """
        ...

    @staticmethod
    def draw(
        predicted: Predicted, title: str, *, threshold: float | None = None, exact: bool = False
    ) -> dict[str, Picture]:
        """Draw the predictions of the test split; the first picture is called ``test``.

        Nothing in them may tell of single people, unless that is asked for: see `mmtrain.aggregates`.

        Parameters
        ----------
        title
            Name and unit of the target.
        threshold
            Of decisions, chosen on validation.
        exact
            Show every person and every count, for pages that stay where the data are.
        """
        ...
