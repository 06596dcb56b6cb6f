"""What an explanation of some samples is: how much of the model's output each part of their inputs accounts for.

Legend of shapes: B batch, C channels, X Y Z voxels, R regions, F tabular features that the model sees.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribution:
    """Of B samples, in the target's unit or in log-odds; None where something is not an input."""

    output_B: Floats
    """Of the model."""
    baseline: float
    """Output of the model for the baseline."""
    volumes_BCXYZ: NDArray[np.float32] | None = None
    """Integrated gradients: what each voxel adds. Occlusion: how the output changes by the cube that a voxel is in."""
    regions_BR: Floats | None = None
    """What the edges of each region add, half of every edge; or how the output changes by all edges of a region."""
    region_sizes_BR: Floats | None = None
    """The same with every edge counted by its size, without its sign."""
    features_BF: Floats | None = None
    inputs_BI: Floats | None = None
    """What each input adds as a whole; None for occlusion, whose changes do not add up."""

    @property
    def is_zero(self) -> bool:
        """Return whether nothing of the inputs accounts for anything."""
        parts = (self.inputs_BI, self.volumes_BCXYZ, self.region_sizes_BR, self.features_BF)
        return not any(part.any() for part in parts if part is not None)

    def without_maps(self) -> "Attribution":
        """Return the same without what is large."""
        return replace(self, volumes_BCXYZ=None)
