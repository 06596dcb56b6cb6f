"""Apply drawn intensity changes: contrast, then what the acquisition does, then noise; background stays exactly 0.

Volumes are float32 tensors of shape (B, side, side, side) with intensities 0 to 1, on any device. A volume pays only
for the kinds of change that its recipe has, and gets the same numbers whatever else is in the batch.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from mmdata.augment.kspace import change_spectrum, needs_spectrum
from mmdata.augment.recipe import Intensity

_POOL_SEED = 20240615
_SMALLEST_POOL = 1 << 22
_ALONG_AXIS = ("ai,iyz->ayz", "ai,xiz->xaz", "ai,xyi->xya")
"""A matrix times every line along an axis of a volume."""
Change = Callable[[torch.Tensor, Sequence[Intensity]], torch.Tensor]


def change_intensity(volumes_BXYZ: torch.Tensor, recipes: Sequence[Intensity], extent_mm: float) -> torch.Tensor:
    """Apply one recipe to each volume; the result stays within 0 to 1, and 0 where the volume is.

    Parameters
    ----------
    extent_mm
        Edge length of the cube.
    """
    changes: list[tuple[Callable[[Intensity], bool], Change]] = [
        (lambda recipe: recipe.bias_coefficients.size > 0, _apply_bias),
        (lambda recipe: recipe.curve.size > 0, _follow_curve),
        (lambda recipe: recipe.gamma != 1, _apply_gamma),
        (lambda recipe: recipe.slice_mm > extent_mm / volumes_BXYZ.shape[-1], lambda v, r: _thicken(v, r, extent_mm)),
        (needs_spectrum, lambda v, r: change_spectrum(v, r, extent_mm)),
        (lambda recipe: recipe.noise_std > 0, _add_noise),
    ]
    changed = volumes_BXYZ
    for has, change in changes:
        chosen = [index for index, recipe in enumerate(recipes) if has(recipe)]
        if len(chosen) == len(recipes):
            changed = change(changed, recipes)
        elif chosen:
            index = torch.tensor(chosen, device=changed.device)
            part = change(changed[index], [recipes[i] for i in chosen])
            changed = changed.index_copy(0, index, part)
    return volumes_BXYZ if changed is volumes_BXYZ else changed.clamp(0, 1).mul_(volumes_BXYZ > 0)


def thickening_matrix(side: int, thickness_voxels: float) -> NDArray[np.float64]:
    """Return the matrix that averages a line into slices and interpolates linearly between their centres.

    The slices lie side by side around the middle of the line; the outermost extend beyond their centres.
    """
    edges = np.arange(side + 1.0) - side / 2
    num_slices = int(np.ceil(side / thickness_voxels))
    starts = (np.arange(num_slices) - num_slices / 2) * thickness_voxels
    overlap = np.minimum(starts[:, None] + thickness_voxels, edges[1:]) - np.maximum(starts[:, None], edges[:-1])
    overlap = overlap.clip(0)
    averages = overlap / overlap.sum(axis=1, keepdims=True)
    positions = ((edges[:-1] + 0.5 - starts[0]) / thickness_voxels - 0.5).clip(0, num_slices - 1)
    interpolation = (1 - np.abs(positions[:, None] - np.arange(num_slices))).clip(0)
    return np.asarray(interpolation @ averages)


def _apply_bias(volumes: torch.Tensor, recipes: Sequence[Intensity]) -> torch.Tensor:
    coefficients = _on(volumes, [recipe.bias_coefficients for recipe in recipes])
    basis = _legendre_basis(volumes.shape[-1], coefficients.shape[-1], volumes.device)
    exponent = torch.einsum("bijk,xi->bxjk", coefficients, basis)
    exponent = torch.einsum("bxjk,yj->bxyk", exponent, basis)
    return torch.einsum("bxyk,zk->bxyz", exponent, basis).exp_().mul_(volumes)


def _follow_curve(volumes: torch.Tensor, recipes: Sequence[Intensity]) -> torch.Tensor:
    """Map 0 to 1 through straight pieces: the first piece's slope, and what it changes by at each further point."""
    values = volumes.clamp(0, 1)
    most = max(len(recipe.curve) for recipe in recipes) - 1
    points, slopes = np.ones((len(recipes), most)), np.zeros((len(recipes), most))
    for index, recipe in enumerate(recipes):
        pieces = len(recipe.curve) - 1
        points[index, :pieces] = np.arange(pieces) / pieces
        slopes[index, :pieces] = np.diff(np.diff(recipe.curve) * pieces, prepend=0.0)
    points_PB, slopes_PB = _on(volumes, list(points.T)), _on(volumes, list(slopes.T))
    heights = _on(volumes, [recipe.curve[0] for recipe in recipes])
    mapped = _for_each(heights) + values * _for_each(slopes_PB[0])
    for point, slope in zip(points_PB[1:], slopes_PB[1:], strict=True):
        mapped += (values - _for_each(point)).clamp_(min=0).mul_(_for_each(slope))
    return mapped


def _apply_gamma(volumes: torch.Tensor, recipes: Sequence[Intensity]) -> torch.Tensor:
    return volumes.clamp(0, 1).pow_(_for_each(_on(volumes, [recipe.gamma for recipe in recipes])))


def _thicken(volumes: torch.Tensor, recipes: Sequence[Intensity], extent_mm: float) -> torch.Tensor:
    side = volumes.shape[-1]
    thickened = torch.empty_like(volumes)
    for index, recipe in enumerate(recipes):
        matrix = _on(volumes, [thickening_matrix(side, recipe.slice_mm * side / extent_mm)])[0]
        thickened[index] = torch.einsum(_ALONG_AXIS[recipe.slice_axis], matrix, volumes[index])
    return thickened


def _add_noise(volumes: torch.Tensor, recipes: Sequence[Intensity]) -> torch.Tensor:
    """Return the magnitude of signals with independent Gaussian noise in both channels.

    Source: Gudbjartsson and Patz, Magn Reson Med 1995, the Rician distribution of noisy MRI data.
    """
    num_voxels = volumes[0].numel()
    pool = _noise_pool(max(_SMALLEST_POOL, 2 * num_voxels), volumes.device)
    noisy = torch.empty_like(volumes)
    for index, recipe in enumerate(recipes):
        starts = [int(start * (len(pool) - num_voxels)) for start in recipe.noise_starts]
        real, imaginary = (pool[start : start + num_voxels].view(volumes[0].shape) for start in starts)
        signal = torch.add(volumes[index], real, alpha=recipe.noise_std)
        torch.hypot(signal, imaginary * recipe.noise_std, out=noisy[index])
    return noisy


@cache
def _noise_pool(size: int, device: torch.device) -> torch.Tensor:
    """Return standard normal numbers, the same on every device; a copy takes a stretch of them from a drawn start.

    Drawing them again would take longer than the rest of a copy's contrast, and differ between processors and GPUs.
    """
    return torch.randn(size, generator=torch.Generator().manual_seed(_POOL_SEED)).to(device)


@cache
def _legendre_basis(side: int, num_orders: int, device: torch.device) -> torch.Tensor:
    ticks = (np.arange(side) + 0.5) / side * 2 - 1
    return torch.from_numpy(np.polynomial.legendre.legvander(ticks, num_orders - 1)).float().to(device)


def _on(volumes: torch.Tensor, values: Sequence[object]) -> torch.Tensor:
    """Return values as float32 on the volumes' device."""
    return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(volumes.device)


def _for_each(values_B: torch.Tensor) -> torch.Tensor:
    return values_B[:, None, None, None]
