"""Apply drawn geometry: everything that moves voxels is one B-spline lattice, evaluated once, then one interpolation.

Uniform cubic B-splines reproduce linear functions exactly, so rotation, shear, scale, crop and translation are added to
the coefficients of the elastic displacement and cost nothing of their own.

Volumes are float32 tensors of axes R, A, S. Positions are relative to the grid's centre, in half extents: -1 to 1 spans
the cube, edge to edge.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from mmdata.augment.recipe import CONTROL_POINTS, Geometry

_CUBIC = 3
_INFLATION_REACH = 0.7
"""Standard deviation of the inflation's Gaussian, in half extents: 67 mm of a cube of 192 mm."""


def sampling_grids(
    geometries: Sequence[Geometry], side: int, extent_mm: float, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Return where each voxel of the copies is sampled, for `resample`.

    Parameters
    ----------
    geometries
        One for each sample; the positions serve all its modalities.
    extent_mm
        Edge length of the cube.

    Returns
    -------
    positions_BXYZ3
        Float32; the last axis is ordered S, A, R: `torch.nn.functional.grid_sample` counts axes from the last.
    """
    lattices = np.stack([_lattice(geometry, extent_mm) for geometry in geometries])
    control = torch.from_numpy(lattices[:, ::-1].transpose(0, 2, 3, 4, 1).astype(np.float32)).to(device)
    basis = _spline_basis(side, CONTROL_POINTS, device)
    positions = torch.einsum("bijkc,xi->bxjkc", control, basis)
    positions = torch.einsum("bxjkc,yj->bxykc", positions, basis)
    return torch.einsum("bxykc,zk->bxyzc", positions, basis)


def resample(volumes_BCXYZ: torch.Tensor, positions_BXYZ3: torch.Tensor) -> torch.Tensor:
    """Interpolate all modalities of each sample linearly at its positions; 0 outside."""
    return functional.grid_sample(
        volumes_BCXYZ, positions_BXYZ3, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def _lattice(geometry: Geometry, extent_mm: float) -> NDArray[np.float64]:
    """Return the B-spline coefficients of all of a geometry, shape (3, n, n, n), in half extents."""
    pieces = CONTROL_POINTS - _CUBIC
    ticks = (np.arange(CONTROL_POINTS) - 1) / pieces * 2 - 1
    positions = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"))
    lattice = positions
    if geometry.inflation:
        lattice = positions * (1 - geometry.inflation * _inflation_coefficients((positions**2).sum(axis=0), 2 / pieces))
    lattice = np.einsum("cd,dijk->cijk", geometry.linear_33, lattice)
    offset_mm = geometry.shift_mm[:, None, None, None]
    if geometry.displacement_mm.size:
        offset_mm = offset_mm + geometry.displacement_mm
    return np.asarray(lattice + offset_mm / (extent_mm / 2))


def _inflation_coefficients(squared: NDArray[np.float64], spacing: float) -> NDArray[np.float64]:
    """Return B-spline coefficients, over positions, of positions times a Gaussian of their squared length.

    A cubic B-spline smooths its coefficients: to the second order it adds a sixth of the squared spacing times their
    Laplacian, which is taken off beforehand.
    """
    variance = _INFLATION_REACH**2
    laplacian = (squared / variance - 5) / variance
    return np.asarray(np.exp(squared / (-2 * variance)) * (1 - spacing**2 / 6 * laplacian))


@cache
def _spline_basis(side: int, num_control: int, device: torch.device | str) -> torch.Tensor:
    """Return uniform cubic B-splines at the voxel centres, shape (side, num_control).

    Source: Rueckert et al., IEEE Trans Med Imaging 1999, free-form deformations.
    """
    from scipy.interpolate import BSpline

    pieces = num_control - _CUBIC
    knots = np.arange(-_CUBIC, pieces + _CUBIC + 1)
    ticks = (np.arange(side) + 0.5) / side * pieces
    return torch.from_numpy(BSpline.design_matrix(ticks, knots, _CUBIC).toarray()).float().to(device)
