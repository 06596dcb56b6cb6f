"""Continuous targets in bins: a probability for each, learnt from soft labels and read out as their expectation.

The bins span the percentiles that `regression` clamps to, and two bins more on either side: for labels from 44 to 80
they are the paper's forty bins of a year from 42 to 82. The soft label of a value is the probability of each bin under
a Gaussian around it, whose standard deviation is the width of a bin. It is scaled to sum to 1; the paper's is not.

Source: Peng et al., Accurate brain age prediction with lightweight deep neural networks, Medical Image Analysis 68,
101871, 2021.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from torch.nn import functional

from mmtrain.config.data import Regression
from mmtrain.targets.kinds import regression
from mmtrain.targets.protocol import Labels

NUM_BINS = 40
NUM_MARGIN_BINS = 2
"""On either side of the clamped labels, so that little of a soft label lies beyond the bins."""


@dataclass(frozen=True, slots=True)
class Kind(regression.Kind):
    """A continuous target in bins: all but the loss and the outputs is as of one value."""

    name: ClassVar[str] = "binned"
    regression: ClassVar[Regression | None] = "bins"
    num_outputs: ClassVar[int] = NUM_BINS

    @property
    def width(self) -> float:
        """Return the width of a bin, and of the Gaussian of a soft label, in the target's unit."""
        return (self.high - self.low) / (NUM_BINS - 2 * NUM_MARGIN_BINS)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Return where bins begin and end, shape (K + 1,), in the target's unit.

        >>> Kind(44.0, 80.0).edges[[0, 1, -1]].tolist()
        [42.0, 43.0, 82.0]
        """
        margin = NUM_MARGIN_BINS * self.width
        return np.linspace(self.low - margin, self.high + margin, NUM_BINS + 1)

    def soft_labels(self, labels: Labels) -> NDArray[np.float64]:
        """Return the probability of each bin, shape (N, K), of clamped labels."""
        below = ndtr((self.edges - self.clamp(labels)[:, None]) / self.width)
        shares = np.diff(below, axis=1)
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def losses(self, outputs_BK: torch.Tensor, labels: Labels) -> torch.Tensor:
        """Return the Kullback-Leibler divergence of the predicted probabilities from the soft label."""
        soft_BK = torch.from_numpy(self.soft_labels(labels)).to(outputs_BK)
        return functional.kl_div(functional.log_softmax(outputs_BK, 1), soft_BK, reduction="none").sum(1)

    def predictions(self, outputs_NK: Labels) -> Labels:
        """Return the mean of the bins' centres, each as probable as its bin."""
        return np.asarray(self.explained(torch.from_numpy(outputs_NK)).numpy())

    def explained(self, outputs_BK: torch.Tensor) -> torch.Tensor:
        """Return the same as a tensor with a gradient, shape (B,)."""
        centres_K = (self.edges[:-1] + self.edges[1:]) / 2
        return functional.softmax(outputs_BK, 1) @ torch.from_numpy(centres_K).to(outputs_BK)
