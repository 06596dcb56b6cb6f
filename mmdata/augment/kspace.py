"""Apply what goes wrong while k-space is acquired: one forward and one inverse FFT of a volume for all of it.

Motion replaces some lines by those of other poses; ghosting, blur and Gibbs ringing weight lines along each axis, so
their weights are multiplied first; a spike is one wrong point. The copy is the real part of what comes back, so a
weight counts as the mean of itself and of its mirror image: half of k-space is enough.

Frequencies are whole cycles of the cube's edge.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mmdata.augment.changes import as_floats, index_of
from mmdata.augment.geometry import control_points, resample, sampling_grids
from mmdata.augment.recipe import Intensity

_SPATIAL = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Spectra:
    """What happens in k-space to some volumes of a batch, N of them."""

    index: torch.Tensor | None
    motions: tuple["HeadMotions", ...]
    """One for each axis along which a moving head is acquired."""
    weights: tuple[torch.Tensor, ...]
    """Of the lines along each axis that has any, to be multiplied with half spectra."""
    spike_points_4P: torch.Tensor
    """Volume and position of each wrong point."""
    spike_values: torch.Tensor
    """What is added to each of these points."""

    def apply(self, volumes_NXYZ: torch.Tensor) -> torch.Tensor:
        """Return the volumes with motion, ghosting, blur, Gibbs ringing and spikes; the background is no longer 0."""
        spectra = torch.fft.rfftn(volumes_NXYZ, dim=_SPATIAL)
        for motions in self.motions:
            spectra = motions.acquire(spectra, volumes_NXYZ)
        for weights in self.weights:
            spectra *= weights
        if len(self.spike_values):
            spectra.index_put_(tuple(self.spike_points_4P), self.spike_values, accumulate=True)
        changed: torch.Tensor = torch.fft.irfftn(spectra, s=volumes_NXYZ.shape[1:], dim=_SPATIAL)
        return changed


@dataclass(frozen=True, slots=True)
class HeadMotions:
    """Heads that lie elsewhere while some lines along one axis are acquired, N of them."""

    index: torch.Tensor | None
    """Which of the volumes in k-space these are."""
    poses: tuple[torch.Tensor, torch.Tensor]
    """Control points of all poses before, and of all after."""
    shares: tuple[torch.Tensor, torch.Tensor]
    """Of the lines that both poses have, to be multiplied with half spectra."""

    def acquire(self, spectra: torch.Tensor, volumes: torch.Tensor) -> torch.Tensor:
        """Return all half spectra with the lines replaced that were acquired while a head was in another pose."""
        still = spectra if self.index is None else spectra.index_select(0, self.index)
        chosen = volumes if self.index is None else volumes.index_select(0, self.index)
        acquired = still.clone()
        for control, share in zip(self.poses, self.shares, strict=True):
            moved = resample(chosen[:, None], sampling_grids(control, volumes.shape[-1]))[:, 0]
            acquired += torch.fft.rfftn(moved, dim=_SPATIAL).sub_(still).mul_(share)
        return acquired if self.index is None else spectra.index_copy_(0, self.index, acquired)


def plan_spectra(recipes: Sequence[Intensity], side: int, extent_mm: float) -> Spectra | None:
    """Return what happens in k-space to a batch as tensors; None where nothing does."""
    chosen = [index for index, recipe in enumerate(recipes) if _has_spectrum(recipe)]
    if not chosen:
        return None
    changed = [recipes[index] for index in chosen]
    weights = line_weights(changed, side, extent_mm)
    spikes = [point for number, recipe in enumerate(changed) for point in _spike_points(number, recipe, side)]
    return Spectra(
        index=index_of(chosen, len(recipes)),
        motions=tuple(_plan_motions(changed, side, extent_mm)),
        weights=tuple(_along(weights[:, axis], axis) for axis in range(3) if (weights[:, axis] != 1).any()),
        spike_points_4P=torch.tensor([point for point, _ in spikes], dtype=torch.int64).reshape(-1, 4).T.contiguous(),
        spike_values=torch.tensor([value for _, value in spikes], dtype=torch.complex64),
    )


def line_weights(recipes: Sequence[Intensity], side: int, extent_mm: float) -> NDArray[np.float64]:
    """Return the weight of every line of k-space along each axis, shape (N, 3, side), in the order of the FFT."""
    cycles = np.fft.fftfreq(side) * side
    blurs = np.pi * np.array([recipe.blur_mm for recipe in recipes])
    weights = np.repeat(np.exp(-2 * (blurs[:, None, None] * cycles / extent_mm) ** 2), 3, axis=1)
    kept = 1 - np.array([recipe.gibbs for recipe in recipes])
    weights[np.abs(cycles) > kept[..., None] * side / 2] = 0.0
    intervals = np.array([recipe.ghosting_interval for recipe in recipes])
    weak = (cycles % intervals[:, None] == 0) & (cycles != 0)
    weaker = 1 - np.array([recipe.ghosting for recipe in recipes])
    numbers, axes = np.arange(len(recipes)), np.array([recipe.ghosting_axis for recipe in recipes])
    weights[numbers, axes] *= np.where(weak, weaker[:, None], 1.0)
    return np.asarray(weights)


def pose_shares(times: Sequence[tuple[float, float]], side: int) -> NDArray[np.float64]:
    """Return which share of each line along the axis of motion the poses have, shape (2, N, side).

    Parameters
    ----------
    times
        When the first pose of each of N heads ends, and when the second begins.
    """
    acquired = np.fft.ifftshift((np.arange(side) + 0.5) / side)  # from the most negative frequency to the most positive
    ends, begins = np.array(times).T[..., None]
    shares = np.stack([acquired < ends, acquired >= begins]).astype(np.float64)
    return np.asarray((shares + np.roll(shares[..., ::-1], 1, axis=-1)) / 2)


def _has_spectrum(recipe: Intensity) -> bool:
    return bool(recipe.motion or recipe.ghosting or recipe.blur_mm or any(recipe.gibbs) or recipe.spike)


def _plan_motions(recipes: Sequence[Intensity], side: int, extent_mm: float) -> Iterator[HeadMotions]:
    moving = [(index, recipe.motion) for index, recipe in enumerate(recipes) if recipe.motion is not None]
    for axis in range(3):
        along = [(index, motion) for index, motion in moving if motion.axis == axis]
        if along:
            before, after = zip(*(motion.poses for _, motion in along), strict=True)
            shares = pose_shares([motion.times for _, motion in along], side)
            yield HeadMotions(
                index=index_of([index for index, _ in along], len(recipes)),
                poses=(control_points(before, extent_mm), control_points(after, extent_mm)),
                shares=(_along(shares[0], axis), _along(shares[1], axis)),
            )


def _spike_points(number: int, recipe: Intensity, side: int) -> Iterator[tuple[tuple[int, int, int, int], complex]]:
    """Yield position and value of what makes stripes of ``amplitude * cos(2 pi cycles . position / edge + phase)``.

    Parameters
    ----------
    number
        Of the volume: the first part of a position.
    """
    if not recipe.spike:
        return
    x, y, z = (cycles % side for cycles in recipe.spike_cycles)
    value = recipe.spike * side**3 / 2 * complex(np.cos(recipe.spike_phase), np.sin(recipe.spike_phase))
    if z <= side // 2:
        yield (number, x, y, z), value
    if -z % side <= side // 2:
        yield (number, -x % side, -y % side, -z % side), value.conjugate()


def _along(values_NS: NDArray[np.float64], axis: int) -> torch.Tensor:
    """Return values for each line along an axis of N half spectra, to be multiplied with them."""
    num, side = values_NS.shape
    shape = [num, 1, 1, 1]
    shape[axis + 1] = side // 2 + 1 if axis == 2 else side
    return as_floats(values_NS[:, : shape[axis + 1]]).reshape(shape)
