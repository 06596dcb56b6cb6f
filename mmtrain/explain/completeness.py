"""How nearly integrated gradients add up to what they explain."""

from dataclasses import dataclass

import numpy as np

from mmtrain.explain.attribution import Attribution, Floats

TOLERANCE = 0.05
"""Error up to which attributions are taken as converged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completeness:
    """Over some samples: sums of attributions, and the differences that they should be, each of shape (N,)."""

    sums: Floats
    differences: Floats
    """Output of the model less its output for the baseline."""

    @property
    def error(self) -> float:
        """Return the absolute errors' sum over the absolute differences' sum; 0 where nothing differs.

        >>> Completeness(sums=np.array([1.0, -2.1]), differences=np.array([1.0, -2.0])).error
        0.033...
        """
        error, whole = np.abs(self.sums - self.differences).sum(), np.abs(self.differences).sum()
        return float(error / whole) if whole > 0 else float(error)

    @property
    def has_converged(self) -> bool:
        """Return whether the error is within `TOLERANCE`."""
        return self.error <= TOLERANCE


def check_completeness(attributions: list[Attribution]) -> Completeness | None:
    """Return how nearly attributions add up; None of occlusion, which need not."""
    of_inputs = [attribution.inputs_BI for attribution in attributions]
    sums = [part.sum(axis=1) for part in of_inputs if part is not None]
    if not sums:
        return None
    differences = [attribution.output_B - attribution.baseline for attribution in attributions]
    return Completeness(sums=np.concatenate(sums), differences=np.concatenate(differences))
