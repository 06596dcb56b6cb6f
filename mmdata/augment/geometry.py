"""Apply drawn geometry: everything that moves voxels is one B-spline lattice, evaluated once, then one interpolation.

Uniform cubic B-splines reproduce linear functions exactly, so rotation, shear, scale, crop and translation are added to
the coefficients of the elastic displacement and cost nothing of their own.

Volumes are float32 tensors of axes R, A, S. Positions are relative to the grid's centre, in half extents: -1 to 1 spans
the cube, edge to edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from mmdata.augment.changes import index_of
from mmdata.augment.recipe import CONTROL_POINTS, Geometry

_CUBIC = 3
_INFLATION_REACH = 0.7
"""Standard deviation of the inflation's Gaussian, in half extents: 67 mm of a cube of 192 mm."""
_MARGIN = 0.51
"""Voxels from the edge of a voxel to where it counts no more in an interpolation, and a little for rounding."""
Box: TypeAlias = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Moves:
    """The geometry of those samples of a batch that move."""

    index: torch.Tensor | None
    """Which these are; None: all of them."""
    control_NIJK3: torch.Tensor
    """From `control_points`."""


def plan_moves(geometries: Sequence[Geometry], extent_mm: float) -> Moves | None:
    """Return the geometry of a batch as tensors; None where nothing moves.

    Parameters
    ----------
    geometries
        One for each sample.
    extent_mm
        Edge length of the cube.
    """
    moving = [index for index, geometry in enumerate(geometries) if not geometry.is_identity]
    if not moving:
        return None
    control = control_points([geometries[index] for index in moving], extent_mm)
    return Moves(index_of(moving, len(geometries)), control)


def move(volumes_BCXYZ: torch.Tensor, moves: Moves) -> torch.Tensor:
    """Return volumes in their new geometry; those that do not move are not interpolated."""
    grids = sampling_grids(moves.control_NIJK3, volumes_BCXYZ.shape[-1])
    if moves.index is None:
        return resample(volumes_BCXYZ, grids)
    return volumes_BCXYZ.index_copy(0, moves.index, resample(volumes_BCXYZ.index_select(0, moves.index), grids))


def control_points(geometries: Sequence[Geometry], extent_mm: float) -> torch.Tensor:
    """Return the B-spline coefficients of all of each geometry, in half extents.

    Returns
    -------
    control_NIJK3
        Float32; the last axis is ordered S, A, R: `torch.nn.functional.grid_sample` counts axes from the last.
    """
    pieces = CONTROL_POINTS - _CUBIC
    ticks = (np.arange(CONTROL_POINTS) - 1) / pieces * 2 - 1
    positions = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"))
    inflations = np.array([geometry.inflation for geometry in geometries])
    shrunk = inflations[:, None, None, None] * _inflation_coefficients((positions**2).sum(axis=0), 2 / pieces)
    linear = np.stack([geometry.linear_33 for geometry in geometries])
    lattices = np.einsum("ncd,ndijk->ncijk", linear, positions * (1 - shrunk)[:, None])
    offsets_mm = np.zeros_like(lattices)
    offsets_mm += np.stack([geometry.shift_mm for geometry in geometries])[..., None, None, None]
    for number, geometry in enumerate(geometries):
        if geometry.displacement_mm.size:
            offsets_mm[number] += geometry.displacement_mm
    lattices += offsets_mm / (extent_mm / 2)
    return torch.from_numpy(lattices[:, ::-1].transpose(0, 2, 3, 4, 1).astype(np.float32))


def sampling_grids(control_NIJK3: torch.Tensor, side: int) -> torch.Tensor:
    """Return where each voxel of the copies is sampled, for `resample`.

    Parameters
    ----------
    control_NIJK3
        From `control_points`, on any device; the positions serve all modalities of a sample.

    Returns
    -------
    positions_NXYZ3
        Float32, ordered as the control points.
    """
    basis = _spline_basis(side, CONTROL_POINTS, control_NIJK3.device)
    positions = torch.einsum("bijkc,xi->bxjkc", control_NIJK3, basis)
    positions = torch.einsum("bxjkc,yj->bxykc", positions, basis)
    return torch.einsum("bxykc,zk->bxyzc", positions, basis)


def resample(volumes_BCXYZ: torch.Tensor, positions_BXYZ3: torch.Tensor) -> torch.Tensor:
    """Interpolate all modalities of each sample linearly at its positions; 0 outside.

    On a processor the part around the brain alone is interpolated. Where that is on a GPU would have to be waited for.
    """
    if volumes_BCXYZ.device.type != "cpu":
        return _interpolate(volumes_BCXYZ, positions_BXYZ3)
    copies_BCXYZ = volumes_BCXYZ.new_zeros((*volumes_BCXYZ.shape[:2], *positions_BXYZ3.shape[1:4]))
    box = _box_of_copies(volumes_BCXYZ, positions_BXYZ3)
    if box is not None:
        copies_BCXYZ[:, :, *box] = _interpolate(volumes_BCXYZ, positions_BXYZ3[:, *box])
    return copies_BCXYZ


def _interpolate(volumes_BCXYZ: torch.Tensor, positions_BXYZ3: torch.Tensor) -> torch.Tensor:
    return functional.grid_sample(
        volumes_BCXYZ, positions_BXYZ3, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def _box_of_copies(volumes_BCXYZ: torch.Tensor, positions_BXYZ3: torch.Tensor) -> Box | None:
    """Return the part of the copies whose positions lie next to any voxel that is not 0; None where no such is."""
    filled = _box_of_positive(volumes_BCXYZ.abs().amax((0, 1)))
    if filled is None:
        return None
    inside_BXYZ = None  # 1 in the middle of what is filled, 0 at its edges, negative outside
    for axis, (part, side) in enumerate(zip(filled, volumes_BCXYZ.shape[2:], strict=True)):
        middle, reach = part.start + part.stop - side, part.stop - part.start + 2 * _MARGIN
        along = positions_BXYZ3[..., 2 - axis].sub(middle / side).abs_().mul_(-side / reach).add_(1)
        inside_BXYZ = along if inside_BXYZ is None else torch.minimum(inside_BXYZ, along, out=along)
    return None if inside_BXYZ is None else _box_of_positive(inside_BXYZ.amax(0))


def _box_of_positive(values_XYZ: torch.Tensor) -> Box | None:
    """Return the smallest part that holds all values above 0; None where there are none."""
    values_XY = values_XYZ.amax(2)
    box = []
    for along in (values_XY.amax(1), values_XY.amax(0), values_XYZ.amax((0, 1))):
        positive = along.gt(0).nonzero().flatten().tolist()
        if not positive:
            return None
        box.append(slice(positive[0], positive[-1] + 1))
    return box[0], box[1], box[2]


def _inflation_coefficients(squared: NDArray[np.float64], spacing: float) -> NDArray[np.float64]:
    """Return B-spline coefficients, over positions, of positions times a Gaussian of their squared length.

    A cubic B-spline smooths its coefficients: to the second order it adds a sixth of the squared spacing times their
    Laplacian, which is taken off beforehand.
    """
    variance = _INFLATION_REACH**2
    laplacian = (squared / variance - 5) / variance
    return np.asarray(np.exp(squared / (-2 * variance)) * (1 - spacing**2 / 6 * laplacian))


@cache
def _spline_basis(side: int, num_control: int, device: torch.device) -> torch.Tensor:
    """Return uniform cubic B-splines at the voxel centres, shape (side, num_control).

    Source: Rueckert et al., IEEE Trans Med Imaging 1999, free-form deformations.
    """
    from scipy.interpolate import BSpline

    pieces = num_control - _CUBIC
    knots = np.arange(-_CUBIC, pieces + _CUBIC + 1)
    ticks = (np.arange(side) + 0.5) / side * pieces
    return torch.from_numpy(BSpline.design_matrix(ticks, knots, _CUBIC).toarray()).float().to(device)
