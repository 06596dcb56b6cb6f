"""The grid of the reference study's volumes, whose files say nothing of it: their affine is the identity.

MNI152_T1_1mm (182 x 218 x 182 voxels, x from right to left) was resized to voxels of 1/0.7 mm and cropped to 128 of
them along each axis, 12 voxels from the back. So the cube spans 182.857 mm around (-0.929, -17.929, 18.929), and its
first voxel lies to the right, behind and below. A resize to another side keeps the cube.

Source: the published import of the study; that volumes on this grid are like its own is told in `docs/folders.md`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.volume.geometry import Grid, Matrix44

REFERENCE_EXTENT_MM = 128 / 0.7
REFERENCE_CENTRE_MM = (90.5 - 64 / 0.7, -126.5 + (12 + 64) / 0.7, -72.5 + 64 / 0.7)
REFERENCE_SIDES = (128, 64)
"""Of the volumes as they were stored, and as the published training resized them."""


def reference_affine(side: int) -> Matrix44:
    """Return the affine of the reference study's volumes with a side: voxel to MNI152, RAS+ mm.

    >>> reference_affine(128)[:3, 3].round(3).tolist()
    [89.786, -108.643, -71.786]
    """
    affine_44 = reference_grid(side).affine_44
    affine_44[0] *= -1
    affine_44[0, 3] += 2 * REFERENCE_CENTRE_MM[0]
    return affine_44


def reference_grid(side: int) -> Grid:
    """Return the same cube as a grid of the study's kind, whose x axis runs from left to right."""
    return Grid(side=side, spacing_mm=REFERENCE_EXTENT_MM / side, centre_mm=REFERENCE_CENTRE_MM)


def says_nothing(data_XYZ: NDArray[Any], affine_44: Matrix44) -> bool:
    """Return whether an image can be one of the reference study's: its affine is the identity, its shape a known cube.

    >>> says_nothing(np.zeros((64, 64, 64)), np.eye(4)), says_nothing(np.zeros((64, 64, 32)), np.eye(4))
    (True, False)
    """
    return np.array_equal(affine_44, np.eye(4)) and data_XYZ.shape in {(side,) * 3 for side in REFERENCE_SIDES}
