"""Sample a volume on a grid: one linear interpolation, with a box mean before it where the grid is the coarser.

The mean is over the source voxels that fall into one step of the grid, along each axis of the source; without it a
1 mm image sampled every 1.5 mm aliases.

Volumes are in the memory order of NIfTI files (Fortran's, x fastest), which SimpleITK takes and gives without a
transposition.
"""

import math
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from mmdata.volume.geometry import Grid, Matrix44

_BOX_TOLERANCE = 0.25
"""Steps up to this much longer than a source voxel are sampled as they are."""


def limit_threads(num_threads: int) -> None:
    """Let SimpleITK use this many threads in this process."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(num_threads)


def resample_to_grid(data_XYZ: NDArray[np.float32], source_from_grid_44: Matrix44, grid: Grid) -> NDArray[np.float32]:
    """Sample a volume on a grid by linear interpolation; 0 outside.

    Parameters
    ----------
    data_XYZ
        Source volume.
    source_from_grid_44
        Voxel indices of the grid to voxel indices of the source.

    Returns
    -------
    numpy.ndarray
        float32, shape (side, side, side), Fortran order.
    """
    steps = np.sqrt((source_from_grid_44[:3, :3] ** 2).sum(axis=1))
    widths = [max(1, int(np.ceil(step - _BOX_TOLERANCE))) for step in steps]
    summed_from_grid_44 = source_from_grid_44.copy()
    summed_from_grid_44[:3, 3] += [(width - 1) / 2 for width in widths]
    summed_XYZ = data_XYZ
    for axis, width in enumerate(widths):
        summed_XYZ = _box_sum(summed_XYZ, axis, width)
    resampled = _sample(summed_XYZ, summed_from_grid_44, grid, sitk.sitkLinear)
    resampled /= math.prod(widths)
    return resampled


def sample_mask(mask_XYZ: NDArray[np.bool_], source_from_grid_44: Matrix44, grid: Grid) -> NDArray[np.bool_]:
    """Look up the nearest voxel of a mask at every voxel of a grid; False outside.

    Returns
    -------
    numpy.ndarray
        bool, shape (side, side, side), Fortran order.
    """
    return _sample(mask_XYZ.view(np.uint8), source_from_grid_44, grid, sitk.sitkNearestNeighbor).view(np.bool_)


def _sample(data_XYZ: NDArray[Any], source_from_grid_44: Matrix44, grid: Grid, interpolator: int) -> NDArray[Any]:
    image = sitk.GetImageFromArray(data_XYZ.T)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(source_from_grid_44[:3, :3].ravel().tolist())
    transform.SetTranslation(source_from_grid_44[:3, 3].tolist())
    identity = np.eye(3).ravel().tolist()
    size, origin, spacing = [grid.side] * 3, [0.0] * 3, [1.0] * 3
    sampled = sitk.Resample(image, size, transform, interpolator, origin, spacing, identity, 0.0)
    resampled: NDArray[Any] = sitk.GetArrayFromImage(sampled).T
    return resampled


def _box_sum(data_XYZ: NDArray[np.float32], axis: int, width: int) -> NDArray[np.float32]:
    """Add up `width` neighbours along an axis; zeros outside, so the axis grows by width - 1."""
    if width == 1:
        return data_XYZ
    length = data_XYZ.shape[axis]
    shape = [size + (width - 1) * (i == axis) for i, size in enumerate(data_XYZ.shape)]
    sums_XYZ = np.empty(shape, np.float32, order="F")
    terms, sums = np.moveaxis(data_XYZ, axis, 0), np.moveaxis(sums_XYZ, axis, 0)
    sums[0] = terms[0]
    np.add(terms[1:], terms[:-1], out=sums[1:length])
    sums[length] = terms[-1]
    sums[length + 1 :] = 0
    for offset in range(2, width):
        sums[offset : offset + length] += terms
    return sums_XYZ
