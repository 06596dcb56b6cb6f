"""Grids and affines.

Terms
-----
world      RAS+ millimetres of MNI152 space unless said otherwise.
affine     4x4 matrix from voxel indices (i, j, k) to world millimetres.
grid       a cube of `side` voxels with a spacing and a centre in the world; axes run along R, A, S.
zooms      voxel edge lengths in mm: the norms of the affine's columns.

A transform is named `target_from_source`, so that in a product neighbours cancel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix44 = NDArray[np.float64]

MNI152_BRAIN_CENTRE_MM = (0.0, -16.5, 6.5)
"""Centre of the bounding box of the MNI152 brain mask, which spans 144 x 181 x 151 mm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """A cubic, axis-aligned RAS+ sampling grid in world space."""

    side: int
    """Voxels along each edge."""
    spacing_mm: float
    """Edge length of a voxel."""
    centre_mm: tuple[float, float, float]
    """World position of the cube's centre."""

    @property
    def affine_44(self) -> Matrix44:
        """Voxel to world, RAS+ mm.

        >>> Grid(side=2, spacing_mm=3.0, centre_mm=(0.0, 0.0, 0.0)).affine_44[:3, 3].tolist()
        [-1.5, -1.5, -1.5]
        """
        affine_44 = np.diag([self.spacing_mm] * 3 + [1.0])
        affine_44[:3, 3] = np.asarray(self.centre_mm) - self.spacing_mm * (self.side - 1) / 2
        return affine_44


def largest_divisor(side: int, at_most: int) -> int:
    """Return the largest side to which volumes of a side can be averaged, or by which they can be repeated to it.

    >>> largest_divisor(128, 32), largest_divisor(160, 32), largest_divisor(20, 32)
    (32, 32, 20)
    """
    return next(coarse for coarse in range(min(side, at_most), 0, -1) if side % coarse == 0)


def zooms_mm(affine_44: Matrix44) -> NDArray[np.float64]:
    """Return the three voxel edge lengths of an affine, in mm.

    >>> zooms_mm(np.diag([-1.0, 2.0, 3.0, 1.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    zooms: NDArray[np.float64] = np.sqrt((affine_44[:3, :3] ** 2).sum(axis=0))
    return zooms


def opposite_axes(one_44: Matrix44, other_44: Matrix44) -> tuple[int, ...]:
    """Return the axes along which two affines without rotation run in opposite directions.

    >>> opposite_axes(np.diag([-1.0, 1.0, 1.0, 1.0]), np.eye(4))
    (0,)
    """
    differs = np.sign(np.diag(one_44)[:3]) != np.sign(np.diag(other_44)[:3])
    return tuple(np.flatnonzero(differs).tolist())


def flipped_affine(affine_44: Matrix44, shape: Sequence[int], axes: Sequence[int]) -> Matrix44:
    """Return the affine of an image whose axes were flipped, so that each voxel stays where it was in the world.

    >>> flipped_affine(np.eye(4), (5, 5, 5), (0,))[0].tolist()
    [-1.0, 0.0, 0.0, 4.0]
    """
    flip_44 = np.eye(4)
    for axis in axes:
        flip_44[axis, axis], flip_44[axis, 3] = -1.0, shape[axis] - 1
    return affine_44 @ flip_44


def apply_affine(affine_44: Matrix44, points_N3: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map points, shape (N, 3), through an affine."""
    return points_N3 @ affine_44[:3, :3].T + affine_44[:3, 3]
