"""Continuous targets: scaled to [-1, 1], learnt by squared error, judged in their own unit."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from mmbase.json_text import Finite, parse_content
from mmtrain.config.data import Regression
from mmtrain.drawing.figures import Picture
from mmtrain.drawing.values import draw_values
from mmtrain.errors import TrainError
from mmtrain.metrics.metric import Metric
from mmtrain.metrics.predicted import Predicted
from mmtrain.metrics.regression import OF_VALUES
from mmtrain.targets.protocol import Labels

CLAMP_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True, slots=True)
class Kind:
    """A continuous target to [-1, 1] and back.

    The reference clamps to percentiles, z-scores, then scales to [-1, 1]; the z-score between the other two changes
    nothing, so the bounds say it all.
    """

    name: ClassVar[str] = "regression"
    dictionary_kind: ClassVar[str] = "continuous"
    regression: ClassVar[Regression | None] = "value"
    num_outputs: ClassVar[int] = 1
    metrics: ClassVar[tuple[Metric, ...]] = OF_VALUES

    low: Finite
    """0.5th percentile of the training labels, in their unit; becomes -1."""
    high: Finite
    """99.5th percentile; becomes 1."""

    @classmethod
    def fit(cls, training_labels: Labels, *, weighted: bool) -> Self:
        """Fit the bounds.

        Raises
        ------
        TrainError
            All training samples have the same value.
        """
        low, high = (float(bound) for bound in np.percentile(training_labels, CLAMP_PERCENTILES))
        if not high > low:
            raise TrainError(f"The target is {low:g} for all training samples; there is nothing to learn.")
        return cls(low, high)

    @classmethod
    def from_json(cls, scaling: Mapping[str, Any] | None) -> Self:
        """Return what `to_json` gave.

        Raises
        ------
        ValueError
            It has another shape.
        """
        return parse_content(scaling, cls)

    def to_json(self) -> dict[str, float]:
        """Return the bounds."""
        return asdict(self)

    @staticmethod
    def classes(labels: Labels) -> NDArray[np.int64] | None:
        """Return None: values are no classes."""
        return None

    def sample_weights(self, labels: Labels) -> Labels:
        """Return 1 for each: all values count the same."""
        return np.ones_like(labels)

    def clamp(self, labels: Labels) -> Labels:
        """Clamp to the percentiles of the training labels."""
        return np.clip(labels, self.low, self.high)

    def scale(self, labels: Labels) -> Labels:
        """Clamp and scale to [-1, 1]."""
        return (self.clamp(labels) - self.low) / (self.high - self.low) * 2 - 1

    def losses(self, outputs_BK: torch.Tensor, labels: Labels) -> torch.Tensor:
        """Return the squared error of the scaled target."""
        return (outputs_BK[:, 0] - torch.from_numpy(self.scale(labels)).to(outputs_BK)).square()

    def predictions(self, outputs_NK: Labels) -> Labels:
        """Return to the target's own unit."""
        values: Labels = self._in_unit(outputs_NK[:, 0])
        return values

    def _in_unit(self, scaled: Any) -> Any:
        return (scaled + 1) / 2 * (self.high - self.low) + self.low

    def explained(self, outputs_BK: torch.Tensor) -> torch.Tensor:
        """Return the values in the target's own unit."""
        values: torch.Tensor = self._in_unit(outputs_BK[:, 0])
        return values

    @staticmethod
    def explained_unit(unit: str) -> str:
        """Return the target's own unit."""
        return unit or "units of the target"

    @staticmethod
    def draw(
        predicted: Predicted, title: str, *, threshold: float | None = None, exact: bool = False
    ) -> dict[str, Picture]:
        """Draw predicted against true values: how many people lie where, the identity, and the fitted line."""
        return {"test": draw_values(predicted, title, exact=exact)}
