"""What was predicted of the samples of one split, and whose they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmtrain.metrics.metric import NOTHING_FIXED, Classes, Fixed, Scored, Values


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicted:
    """N samples of a split that have a label of the target; every array is of shape (N,)."""

    truth: Values
    """In the target's own unit, or classes 0 and 1."""
    prediction: Values
    """In the same unit, or the probability of class 1."""
    participants: NDArray[np.int64]
    """Equal numbers are visits of one person."""
    groups: Mapping[str, Values] = field(default_factory=dict)
    """See `mmtrain.metrics.subgroups.find_subgroups`."""

    @property
    def num_participants(self) -> int:
        """Return how many people there are."""
        return len(np.unique(self.participants))

    def select(self, chosen: Classes) -> "Predicted":
        """Return some of the samples."""
        return Predicted(
            truth=self.truth[chosen],
            prediction=self.prediction[chosen],
            participants=self.participants[chosen],
            groups={name: values[chosen] for name, values in self.groups.items()},
        )

    def scored(self, fixed: Fixed = NOTHING_FIXED) -> Scored:
        """Return what metrics look at: it does not matter to them whose the samples are."""
        return Scored(self.truth, self.prediction, fixed)
