"""Make augmented copies from drawn recipes, batched, on any device: what `mm precompute-augs` and a trainer share."""

from collections.abc import Sequence

import torch

from mmdata.augment.geometry import resample, sampling_grids
from mmdata.augment.intensity import change_intensity
from mmdata.augment.recipe import Geometry, Intensity


def augment_batch(
    volumes_BCXYZ: torch.Tensor,
    geometries: Sequence[Geometry],
    intensities: Sequence[Sequence[Intensity]],
    extent_mm: float,
) -> torch.Tensor:
    """Return one augmented copy of every volume of a batch.

    Parameters
    ----------
    volumes_BCXYZ
        Float32 from 0 to 1 on any device, background 0; a channel for each modality, all 0 where it is absent.
    geometries
        One for each sample: its modalities stay aligned.
    intensities
        One for each sample and modality.
    extent_mm
        Edge length of the cube.

    Returns
    -------
    copies_BCXYZ
        As the volumes; background exactly 0. Each is, but for rounding, what it would be in a batch of its own.
    """
    moved = move_batch(volumes_BCXYZ, geometries, extent_mm)
    recipes = [recipe for of_sample in intensities for recipe in of_sample]
    return change_intensity(moved.flatten(0, 1), recipes, extent_mm).view(moved.shape)


def move_batch(volumes_BCXYZ: torch.Tensor, geometries: Sequence[Geometry], extent_mm: float) -> torch.Tensor:
    """Return the volumes in their drawn geometry; those that do not move are not interpolated."""
    moving = [index for index, geometry in enumerate(geometries) if not geometry.is_identity]
    if not moving:
        return volumes_BCXYZ
    side, device = volumes_BCXYZ.shape[-1], volumes_BCXYZ.device
    grids = sampling_grids([geometries[index] for index in moving], side, extent_mm, device)
    if len(moving) == len(geometries):
        return resample(volumes_BCXYZ, grids)
    index = torch.tensor(moving, device=device)
    return volumes_BCXYZ.index_copy(0, index, resample(volumes_BCXYZ[index], grids))
