"""The head around a brain: what a scanner records before anything is extracted.

From the brain outwards: fluid and skull, dark; scalp, as bright as the brain; air, whose noise is nowhere 0.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmdata.synth.anatomy import Map
from mmdata.volume.geometry import Matrix44, zooms_mm

SCALP_FROM_MM, SCALP_TO_MM = 5.0, 12.0
"""Distance from the brain."""
_SKULL_SHARE, _SCALP_SHARE, _AIR_SHARE = 0.12, 1.1, 0.02
"""Intensities as shares of the brain's 90th percentile."""
_NOISE_SHARE = 0.01


def with_head(image: Map, is_brain: NDArray[np.bool_], affine_44: Matrix44, rng: np.random.Generator) -> Map:
    """Return a whole-head image: the brain as it is, everything around it above 0.

    Parameters
    ----------
    image
        Brain-extracted, shape (X, Y, Z).
    """
    level = float(np.percentile(image[is_brain], 90))
    distance_mm = ndimage.distance_transform_edt(~is_brain, sampling=zooms_mm(affine_44))
    is_skull, is_scalp = distance_mm < SCALP_FROM_MM, distance_mm < SCALP_TO_MM
    shares = np.select([is_skull, is_scalp], [_SKULL_SHARE, _SCALP_SHARE], default=_AIR_SHARE)
    around = (shares + np.abs(rng.normal(0.0, _NOISE_SHARE, image.shape))) * level
    head: Map = np.where(is_brain, image, around).astype(np.float32)
    return head
