"""Apply drawn parameters to volumes: all geometry in one interpolation, then intensity; background stays exactly 0.

Volumes are float32 tensors of shape (side, side, side), axes R, A, S, with intensities 0 to 1.
Positions are relative to the grid's centre, in half extents (-1 to 1 spans the cube, edge to edge).
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from torch.nn import functional

from mmdata.augment.parameters import Geometry, Intensity

_CUBIC = 3


def sampling_grid(geometry: Geometry, side: int, extent_mm: float) -> torch.Tensor:
    """Return where each voxel of the copy is sampled, shape (side, side, side, 3), for `resample`.

    The last axis is ordered S, A, R: `torch.nn.functional.grid_sample` counts axes from the last.
    """
    half_extent_mm = extent_mm / 2
    theta_34 = np.column_stack([geometry.linear_33, geometry.shift_mm / half_extent_mm])
    reversed_34 = np.column_stack([theta_34[::-1, 2::-1], theta_34[::-1, 3]])
    theta = torch.from_numpy(reversed_34.copy()).float()[None]
    positions = functional.affine_grid(theta, [1, 1, side, side, side], align_corners=False)[0]
    if geometry.displacement_mm.size:
        control = torch.from_numpy(geometry.displacement_mm / half_extent_mm).float()
        basis = _spline_basis(side, control.shape[-1])
        displacement = torch.einsum("cijk,zk->cijz", control, basis)
        displacement = torch.einsum("cijz,yj->ciyz", displacement, basis)
        displacement = torch.einsum("ciyz,xi->cxyz", displacement, basis)
        positions = positions + displacement.flip(0).permute(1, 2, 3, 0)
    return positions


def resample(volume_XYZ: torch.Tensor, positions_XYZ3: torch.Tensor) -> torch.Tensor:
    """Interpolate a volume linearly at the positions; 0 outside."""
    sampled = functional.grid_sample(
        volume_XYZ[None, None], positions_XYZ3[None], mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return sampled[0, 0]


def change_intensity(volume_XYZ: torch.Tensor, intensity: Intensity) -> torch.Tensor:
    """Apply bias field, intensity curve and noise inside the brain; the result stays within 0 to 1."""
    brain = volume_XYZ > 0
    changed = volume_XYZ
    if intensity.bias_coefficients.size:
        changed = changed * _bias_field(intensity.bias_coefficients, volume_XYZ.shape[0])
    if not np.array_equal(intensity.curve_from, intensity.curve_to):
        changed = _follow_curve(changed.clamp(0, 1), intensity.curve_to)
    if intensity.noise_std:
        generator = torch.Generator().manual_seed(intensity.noise_seed)
        changed = changed + intensity.noise_std * torch.randn(volume_XYZ.shape, generator=generator)
    return changed.clamp(0, 1) * brain


def _bias_field(coefficients_IJK: NDArray[np.float64], side: int) -> torch.Tensor:
    ticks = (np.arange(side) + 0.5) / side * 2 - 1
    basis = torch.from_numpy(np.polynomial.legendre.legvander(ticks, coefficients_IJK.shape[0] - 1)).float()
    exponent = torch.einsum("ijk,zk->ijz", torch.from_numpy(coefficients_IJK).float(), basis)
    exponent = torch.einsum("ijz,yj->iyz", exponent, basis)
    return torch.einsum("iyz,xi->xyz", exponent, basis).exp()


def _follow_curve(values: torch.Tensor, curve_to: NDArray[np.float64]) -> torch.Tensor:
    """Map 0 to 1 through the straight pieces between evenly spaced control points."""
    heights = torch.from_numpy(curve_to).float()
    scaled = values * (len(heights) - 1)
    piece = scaled.floor().clamp(max=len(heights) - 2)
    low, high = heights[:-1][piece.long()], heights[1:][piece.long()]
    return low + (scaled - piece) * (high - low)


@cache
def _spline_basis(side: int, num_control: int) -> torch.Tensor:
    """Return uniform cubic B-splines at the voxel centres, shape (side, num_control).

    Source: Rueckert et al., IEEE Trans Med Imaging 1999, free-form deformations.
    """
    pieces = num_control - _CUBIC
    knots = np.arange(-_CUBIC, pieces + _CUBIC + 1)
    ticks = (np.arange(side) + 0.5) / side * pieces
    return torch.from_numpy(BSpline.design_matrix(ticks, knots, _CUBIC).toarray()).float()
