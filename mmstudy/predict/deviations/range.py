"""Values that no network can use: NaN, infinite, outside 0 to 1, or the same everywhere."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.volume.preprocess import as_fractions
from mmstudy.models.signs import BRAIN_ABOVE
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.deviations.names import deviation

_LEAST_SPREAD = 1e-3
"""Standard deviation inside the brain, as a fraction of the upper clamp."""


def find_range_deviations(modality: str, volume_XYZ: NDArray[Any]) -> list[Deviation]:
    """Return whether a volume's values are ones that a model can take."""
    fractions = as_fractions(volume_XYZ)
    low, high = float(fractions.min()), float(fractions.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        return [_out_of_range(modality, "values that are NaN or infinite")]
    if low < 0 or high > 1:
        return [_out_of_range(modality, f"values from {low:.3g} to {high:.3g}")]
    inside = fractions[fractions > BRAIN_ABOVE]
    if not len(inside) or float(inside.std()) < _LEAST_SPREAD:
        return [
            deviation(
                "no-contrast",
                modality,
                expected="a brain whose tissues differ in intensity",
                got="one value throughout" if len(inside) else "nothing but background",
                remedy="Look at the image: it may be a mask, or its values were lost when it was converted.",
            )
        ]
    return []


def _out_of_range(modality: str, got: str) -> Deviation:
    return deviation(
        "out-of-range",
        modality,
        expected="finite values from 0 to 1",
        got=got,
        remedy="Give the image itself and let mm bring its values into the model's range.",
    )
