"""From what is stored of a scan to planes that can be drawn.

A plane is a 2D array as a picture is: its first row is the top, its first column the left. Volumes are shown in
neurological convention: the left of a picture is the left of the brain, the front of a sagittal picture is its right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.volume.geometry import Matrix44

Plane = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaneView:
    """One of the three directions a volume is looked at from."""

    name: str
    normal: int
    """Axis of the volume that leads through the plane: 0 is R, 1 is A, 2 is S."""
    left: str
    right: str


VIEWS = (
    PlaneView(name="axial", normal=2, left="L", right="R"),
    PlaneView(name="coronal", normal=1, left="L", right="R"),
    PlaneView(name="sagittal", normal=0, left="P", right="A"),
)


def centre_planes(volume_XYZ: NDArray[Any]) -> tuple[Plane, ...]:
    """Return the axial, coronal and sagittal plane through the voxel at the grid's centre.

    >>> volume_XYZ = np.zeros((2, 4, 6)); volume_XYZ[1, 3, 3] = 1.0
    >>> axial, coronal, sagittal = centre_planes(volume_XYZ)
    >>> axial.shape, axial[0, 1]
    ((4, 2), np.float32(1.0))
    """
    return planes_through(volume_XYZ, [size // 2 for size in volume_XYZ.shape])


def planes_through(volume_XYZ: NDArray[Any], voxel: Sequence[int]) -> tuple[Plane, ...]:
    """Return the axial, coronal and sagittal plane through a voxel (i, j, k)."""
    planes = (volume_XYZ.take(voxel[view.normal], axis=view.normal) for view in VIEWS)
    return tuple(plane.T[::-1].astype(np.float32) for plane in planes)


def centre_position_mm(affine_44: Matrix44, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return where in the world the planes of `centre_planes` meet, shape (3,), RAS+ mm."""
    centre = [size // 2 for size in shape]
    position: NDArray[np.float64] = affine_44[:3, :3] @ centre + affine_44[:3, 3]
    return position


def matrix_of_edges(edges_E: NDArray[Any]) -> Plane:
    """Return the symmetric matrix whose upper triangle, row by row, is the edges; its diagonal is NaN.

    >>> matrix_of_edges(np.array([1.0, 2.0, 3.0])).tolist()
    [[nan, 1.0, 2.0], [1.0, nan, 3.0], [2.0, 3.0, nan]]
    """
    num_regions = (1 + int(np.sqrt(1 + 8 * len(edges_E)))) // 2
    matrix = np.full((num_regions, num_regions), np.nan, np.float32)
    matrix[np.triu_indices(num_regions, 1)] = edges_E
    matrix.T[np.triu_indices(num_regions, 1)] = edges_E
    return matrix


def shrink_plane(plane: Plane, max_side: int) -> Plane:
    """Average blocks of a square plane until no side is longer than `max_side`; NaN counts for nothing."""
    factor = -(-len(plane) // max_side)
    if factor == 1:
        return plane
    padding = -len(plane) % factor
    padded = np.pad(plane, (0, padding), constant_values=np.nan)
    blocks = padded.reshape(len(padded) // factor, factor, -1, factor)
    counts = np.isfinite(blocks).sum(axis=(1, 3))
    sums = np.nansum(blocks, axis=(1, 3))
    shrunk: Plane = np.divide(sums, counts, out=np.full(sums.shape, np.nan, np.float32), where=counts > 0)
    return shrunk
