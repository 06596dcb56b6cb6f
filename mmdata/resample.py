"""Sample a volume on a grid: one linear interpolation, with a box mean before it where the grid is the coarser.

The mean is over the source voxels that fall into one step of the grid, along each axis of the source; without it a
1 mm image sampled every 1.5 mm aliases.
"""

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from mmdata.geometry import Grid, Matrix44

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
        float32, shape (side, side, side).
    """
    steps = np.sqrt((source_from_grid_44[:3, :3] ** 2).sum(axis=1))
    widths = [max(1, int(np.ceil(step - _BOX_TOLERANCE))) for step in steps]
    filtered_from_grid_44 = source_from_grid_44.copy()
    filtered_from_grid_44[:3, 3] += [(width - 1) / 2 for width in widths]
    image = sitk.GetImageFromArray(_box_mean(data_XYZ, widths).T)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(filtered_from_grid_44[:3, :3].ravel().tolist())
    transform.SetTranslation(filtered_from_grid_44[:3, 3].tolist())
    identity = np.eye(3).ravel().tolist()
    size, origin, spacing = [grid.side] * 3, [0.0] * 3, [1.0] * 3
    sampled = sitk.Resample(image, size, transform, sitk.sitkLinear, origin, spacing, identity, 0.0, sitk.sitkFloat32)
    resampled: NDArray[np.float32] = sitk.GetArrayFromImage(sampled).T
    return resampled


def _box_mean(data_XYZ: NDArray[np.float32], widths: list[int]) -> NDArray[np.float32]:
    """Convolve with a box along each axis; zeros outside, so axes grow by width - 1."""
    for axis, width in enumerate(widths):
        if width == 1:
            continue
        length = data_XYZ.shape[axis]
        grown = np.zeros(
            tuple(n + (width - 1) * (i == axis) for i, n in enumerate(data_XYZ.shape)), np.float32, order="F"
        )
        for offset in range(width):
            grown[tuple(slice(offset, offset + length) if i == axis else slice(None) for i in range(3))] += data_XYZ
        grown /= width
        data_XYZ = grown
    return data_XYZ
