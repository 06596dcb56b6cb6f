"""Apply what goes wrong while k-space is acquired: one forward and one inverse FFT of a volume for all of it.

Motion replaces some lines by those of other poses; ghosting, blur and Gibbs ringing weight lines along each axis, so
their weights are multiplied first; a spike is one wrong point. The copy is the real part of what comes back, so a
weight counts as the mean of itself and of its mirror image: half of k-space is enough.

Frequencies are whole cycles of the cube's edge.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mmdata.augment.geometry import resample, sampling_grids
from mmdata.augment.recipe import Intensity

_SPATIAL = (1, 2, 3)


def needs_spectrum(recipe: Intensity) -> bool:
    """Tell whether a recipe changes anything in k-space."""
    return bool(recipe.motion or recipe.ghosting or recipe.blur_mm or any(recipe.gibbs) or recipe.spike)


def change_spectrum(volumes_BXYZ: torch.Tensor, recipes: Sequence[Intensity], extent_mm: float) -> torch.Tensor:
    """Return the volumes with motion, ghosting, blur, Gibbs ringing and spikes; the background is no longer 0."""
    side = volumes_BXYZ.shape[-1]
    spectra = torch.fft.rfftn(volumes_BXYZ, dim=_SPATIAL)
    _move(spectra, volumes_BXYZ, recipes, extent_mm)
    weights = np.stack([line_weights(recipe, side, extent_mm) for recipe in recipes]).astype(np.float32)
    for axis in range(3):
        if (weights[:, axis] != 1).any():
            spectra *= _along(weights[:, axis], axis, spectra)
    for index, recipe in enumerate(recipes):
        if recipe.spike:
            _add_spike(spectra[index], recipe, side)
    changed: torch.Tensor = torch.fft.irfftn(spectra, s=volumes_BXYZ.shape[1:], dim=_SPATIAL)
    return changed


def line_weights(recipe: Intensity, side: int, extent_mm: float) -> NDArray[np.float64]:
    """Return the weight of every line of k-space along each axis, shape (3, side), in the order of the FFT."""
    cycles = np.fft.fftfreq(side) * side
    weights = np.tile(np.exp(-2 * (np.pi * recipe.blur_mm * cycles / extent_mm) ** 2), (3, 1))
    for axis, cut in enumerate(recipe.gibbs):
        weights[axis][np.abs(cycles) > (1 - cut) * side / 2] = 0.0
    weak = (cycles % recipe.ghosting_interval == 0) & (cycles != 0)
    weights[recipe.ghosting_axis][weak] *= 1 - recipe.ghosting
    return weights


def pose_shares(times: tuple[float, float], side: int) -> NDArray[np.float64]:
    """Return which share of each line along the axis of motion the poses before and after have, shape (2, side)."""
    acquired = np.fft.ifftshift((np.arange(side) + 0.5) / side)  # from the most negative frequency to the most positive
    shares = np.stack([acquired < times[0], acquired >= times[1]]).astype(np.float64)
    return np.asarray((shares + np.roll(shares[:, ::-1], 1, axis=1)) / 2)


def _move(spectra: torch.Tensor, volumes: torch.Tensor, recipes: Sequence[Intensity], extent_mm: float) -> None:
    """Replace, in place, the lines that were acquired while the head was in another pose."""
    side = volumes.shape[-1]
    for index, recipe in enumerate(recipes):
        if recipe.motion is None:
            continue
        grids = sampling_grids(recipe.motion.poses, side, extent_mm, volumes.device)
        still = spectra[index].clone()
        for grid, share in zip(grids, pose_shares(recipe.motion.times, side), strict=True):
            moved = resample(volumes[index][None, None], grid[None])[0]
            difference = torch.fft.rfftn(moved, dim=_SPATIAL) - still
            spectra[index] += (difference * _along(share.astype(np.float32)[None], recipe.motion.axis, spectra))[0]


def _add_spike(spectrum_XYZ: torch.Tensor, recipe: Intensity, side: int) -> None:
    """Add, in place, what makes stripes of ``amplitude * cos(2 pi cycles . position / edge + phase)``."""
    x, y, z = (cycles % side for cycles in recipe.spike_cycles)
    point = recipe.spike * side**3 / 2 * complex(np.cos(recipe.spike_phase), np.sin(recipe.spike_phase))
    mirrored = (-x % side, -y % side, -z % side)
    for index, value in (((x, y, z), point), (mirrored, point.conjugate())):
        if index[2] < spectrum_XYZ.shape[2]:
            spectrum_XYZ[index] += value


def _along(values_BN: NDArray[np.float32], axis: int, spectra: torch.Tensor) -> torch.Tensor:
    """Return values for each line along an axis of half spectra, to be multiplied with them."""
    shape = [len(values_BN), 1, 1, 1]
    shape[axis + 1] = spectra.shape[axis + 1]
    return torch.from_numpy(values_BN[:, : shape[axis + 1]].reshape(shape)).to(spectra.device)
