"""A mask of one image, moved to another image of the same head by what is known of where both lie."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmdata.volume.geometry import Matrix44

_INSIDE = 0.5
"""Share of a voxel's neighbours, by distance, from which it is in the mask."""


def move_mask(
    mask_XYZ: NDArray[np.bool_], source_from_target_44: Matrix44, target_shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Return a mask on another image's grid; nothing is in it that lies outside its own.

    Parameters
    ----------
    source_from_target_44
        Voxel indices of the other image to voxel indices of the mask.

    >>> row = np.array([False, True, True, False]).reshape(4, 1, 1)
    >>> one_further = np.eye(4) + np.eye(4, k=3)
    >>> move_mask(row, one_further, (4, 1, 1)).ravel().tolist()
    [True, True, False, False]
    """
    weights = ndimage.affine_transform(
        mask_XYZ.astype(np.float32),
        source_from_target_44[:3, :3],
        source_from_target_44[:3, 3],
        output_shape=target_shape,
        order=1,
    )
    moved: NDArray[np.bool_] = weights >= _INSIDE
    return moved
