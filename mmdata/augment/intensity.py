"""Apply drawn intensity changes: contrast, then what the acquisition does, then noise; background stays exactly 0.

Volumes are float32 tensors of shape (B, side, side, side) with intensities 0 to 1, on any device. A volume pays only
for the kinds of change that its recipe has, and gets the same numbers whatever else is in the batch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from mmdata.augment.changes import Change, as_floats, index_of
from mmdata.augment.kspace import plan_spectra
from mmdata.augment.recipe import Intensity

_POOL_SEED = 20240615
_SMALLEST_POOL = 1 << 22
_ALONG_AXIS = ("nai,niyz->nayz", "nai,nxiz->nxaz", "nai,nxyi->nxya")
"""A matrix for each volume, times every line of it along an axis."""


def plan_intensity(recipes: Sequence[Intensity], side: int, extent_mm: float) -> tuple[Change, ...]:
    """Return the intensity changes of a batch as tensors, in the order in which they are applied.

    Parameters
    ----------
    recipes
        One for each volume.
    extent_mm
        Edge length of the cube.
    """
    changes = (
        _plan_bias(recipes),
        _plan_curves(recipes),
        _plan_gammas(recipes),
        *_plan_slices(recipes, side, extent_mm),
        plan_spectra(recipes, side, extent_mm),
        _plan_noise(recipes, side),
    )
    return tuple(change for change in changes if change is not None)


def change_volumes(volumes_BXYZ: torch.Tensor, changes: Sequence[Change]) -> torch.Tensor:
    """Apply the intensity changes of a batch; the result stays within 0 to 1, and 0 where the volume is."""
    changed = volumes_BXYZ
    for change in changes:
        if change.index is None:
            changed = change.apply(changed)
        else:
            changed = changed.clone() if changed is volumes_BXYZ else changed
            changed.index_copy_(0, change.index, change.apply(changed.index_select(0, change.index)))
    return volumes_BXYZ if changed is volumes_BXYZ else changed.clamp_(0, 1).mul_(volumes_BXYZ > 0)


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


@dataclass(frozen=True, slots=True)
class _Bias:
    index: torch.Tensor | None
    coefficients_NIJK: torch.Tensor

    def apply(self, volumes_NXYZ: torch.Tensor) -> torch.Tensor:
        basis = _legendre_basis(volumes_NXYZ.shape[-1], self.coefficients_NIJK.shape[-1], volumes_NXYZ.device)
        exponent = torch.einsum("bijk,xi->bxjk", self.coefficients_NIJK, basis)
        exponent = torch.einsum("bxjk,yj->bxyk", exponent, basis)
        return torch.einsum("bxyk,zk->bxyz", exponent, basis).exp_().mul_(volumes_NXYZ)


@dataclass(frozen=True, slots=True)
class _Curves:
    """0 to 1 through straight pieces: the first piece's slope, and what it changes by at each further point."""

    index: torch.Tensor | None
    heights_N: torch.Tensor
    points_PN: torch.Tensor
    slopes_PN: torch.Tensor

    def apply(self, volumes_NXYZ: torch.Tensor) -> torch.Tensor:
        values = volumes_NXYZ.clamp(0, 1)
        mapped = _for_each(self.heights_N) + values * _for_each(self.slopes_PN[0])
        for point, slope in zip(self.points_PN[1:], self.slopes_PN[1:], strict=True):
            mapped += (values - _for_each(point)).clamp_(min=0).mul_(_for_each(slope))
        return mapped


@dataclass(frozen=True, slots=True)
class _Gammas:
    index: torch.Tensor | None
    exponents_N: torch.Tensor

    def apply(self, volumes_NXYZ: torch.Tensor) -> torch.Tensor:
        return volumes_NXYZ.clamp(0, 1).pow_(_for_each(self.exponents_N))


@dataclass(frozen=True, slots=True)
class _Slices:
    """Thick slices along one axis."""

    index: torch.Tensor | None
    axis: int
    matrices_NSS: torch.Tensor

    def apply(self, volumes_NXYZ: torch.Tensor) -> torch.Tensor:
        return torch.einsum(_ALONG_AXIS[self.axis], self.matrices_NSS, volumes_NXYZ).contiguous()


@dataclass(frozen=True, slots=True)
class _Noise:
    """The magnitude of signals with independent Gaussian noise in both channels.

    Source: Gudbjartsson and Patz, Magn Reson Med 1995, the Rician distribution of noisy MRI data.
    """

    index: torch.Tensor | None
    stds_N: torch.Tensor
    starts_2N: torch.Tensor
    """Where in the pool the noise of both channels begins."""

    def apply(self, volumes_NXYZ: torch.Tensor) -> torch.Tensor:
        num_voxels = volumes_NXYZ[0].numel()
        stretches = _noise_pool(_pool_size(num_voxels), volumes_NXYZ.device).unfold(0, num_voxels, 1)
        real, imaginary = (stretches.index_select(0, starts).view_as(volumes_NXYZ) for starts in self.starts_2N)
        signal = torch.addcmul(volumes_NXYZ, real, _for_each(self.stds_N))
        return signal.hypot_(imaginary.mul_(_for_each(self.stds_N)))


def _choose(recipes: Sequence[Intensity], has: Callable[[Intensity], bool]) -> tuple[list[int], list[Intensity]]:
    chosen = [index for index, recipe in enumerate(recipes) if has(recipe)]
    return chosen, [recipes[index] for index in chosen]


def _plan_bias(recipes: Sequence[Intensity]) -> Change | None:
    chosen, changed = _choose(recipes, lambda recipe: recipe.bias_coefficients.size > 0)
    if not chosen:
        return None
    return _Bias(index_of(chosen, len(recipes)), as_floats([recipe.bias_coefficients for recipe in changed]))


def _plan_curves(recipes: Sequence[Intensity]) -> Change | None:
    chosen, changed = _choose(recipes, lambda recipe: recipe.curve.size > 0)
    if not chosen:
        return None
    most = max(len(recipe.curve) for recipe in changed) - 1
    points_NP, slopes_NP = np.ones((len(changed), most)), np.zeros((len(changed), most))
    for pieces in {len(recipe.curve) - 1 for recipe in changed}:
        alike = [index for index, recipe in enumerate(changed) if len(recipe.curve) == pieces + 1]
        rises = np.diff(np.stack([changed[index].curve for index in alike])) * pieces
        points_NP[alike, :pieces] = np.arange(pieces) / pieces
        slopes_NP[alike, :pieces] = np.diff(rises, prepend=0.0)
    heights_N = as_floats([recipe.curve[0] for recipe in changed])
    return _Curves(index_of(chosen, len(recipes)), heights_N, as_floats(points_NP.T), as_floats(slopes_NP.T))


def _plan_gammas(recipes: Sequence[Intensity]) -> Change | None:
    chosen, changed = _choose(recipes, lambda recipe: recipe.gamma != 1)
    if not chosen:
        return None
    return _Gammas(index_of(chosen, len(recipes)), as_floats([recipe.gamma for recipe in changed]))


def _plan_slices(recipes: Sequence[Intensity], side: int, extent_mm: float) -> Iterator[Change]:
    """Yield thick slices along each axis that has any; slices thinner than a voxel change nothing."""
    for axis in range(3):
        chosen = [
            index
            for index, recipe in enumerate(recipes)
            if recipe.slice_mm > extent_mm / side and recipe.slice_axis == axis
        ]
        if chosen:
            matrices = [thickening_matrix(side, recipes[index].slice_mm * side / extent_mm) for index in chosen]
            yield _Slices(index_of(chosen, len(recipes)), axis, as_floats(matrices))


def _plan_noise(recipes: Sequence[Intensity], side: int) -> Change | None:
    chosen, changed = _choose(recipes, lambda recipe: recipe.noise_std > 0)
    if not chosen:
        return None
    last_start = _pool_size(side**3) - side**3
    starts_N2 = (np.array([recipe.noise_starts for recipe in changed]) * last_start).astype(np.int64)
    stds_N = as_floats([recipe.noise_std for recipe in changed])
    return _Noise(index_of(chosen, len(recipes)), stds_N, torch.from_numpy(np.ascontiguousarray(starts_N2.T)))


def _pool_size(num_voxels: int) -> int:
    return max(_SMALLEST_POOL, 2 * num_voxels)


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


def _for_each(values_B: torch.Tensor) -> torch.Tensor:
    return values_B[:, None, None, None]
