"""Make augmented copies from drawn recipes, batched, on any device: what `mm precompute-augs` and a trainer share."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mmdata.augment.changes import Change, full_precision, map_tensors
from mmdata.augment.geometry import Moves, move, plan_moves
from mmdata.augment.intensity import change_volumes, plan_intensity
from mmdata.augment.recipe import Geometry, Intensity


@dataclass(frozen=True, slots=True)
class BatchChanges:
    """All that happens to one batch, as tensors."""

    moves: Moves | None
    intensity: tuple[Change, ...]
    """To all modalities of the first sample, then of the second, and so on."""

    def pinned(self) -> "BatchChanges":
        """Return the same in page-locked memory, from which it is brought to a GPU without waiting for it."""
        return map_tensors(self, lambda tensor: tensor.pin_memory())


def plan_changes(
    geometries: Sequence[Geometry], intensities: Sequence[Sequence[Intensity]], side: int, extent_mm: float
) -> BatchChanges:
    """Turn the recipes of a batch into what is applied to it.

    Parameters
    ----------
    geometries
        One for each sample: its modalities stay aligned.
    intensities
        One for each sample and modality.
    side
        Of the volumes.
    extent_mm
        Edge length of the cube.
    """
    recipes = [recipe for of_sample in intensities for recipe in of_sample]
    return BatchChanges(plan_moves(geometries, extent_mm), plan_intensity(recipes, side, extent_mm))


def apply_changes(volumes_BCXYZ: torch.Tensor, changes: BatchChanges) -> torch.Tensor:
    """Return one augmented copy of every volume of a batch.

    Parameters
    ----------
    volumes_BCXYZ
        Float32 from 0 to 1 on any device, background 0; a channel for each modality, all 0 where it is absent.
    changes
        On any device. From page-locked memory they are brought to a GPU without waiting for it.

    Returns
    -------
    copies_BCXYZ
        As the volumes; background exactly 0. Each is, but for rounding, what it would be in a batch of its own.
    """
    there = map_tensors(changes, lambda tensor: tensor.to(volumes_BCXYZ.device, non_blocking=True))
    with full_precision():
        moved = volumes_BCXYZ if there.moves is None else move(volumes_BCXYZ, there.moves)
        return change_volumes(moved.flatten(0, 1), there.intensity).view(moved.shape)


def augment_batch(
    volumes_BCXYZ: torch.Tensor,
    geometries: Sequence[Geometry],
    intensities: Sequence[Sequence[Intensity]],
    extent_mm: float,
) -> torch.Tensor:
    """Return one augmented copy of every volume of a batch from its recipes; see `plan_changes`, `apply_changes`."""
    return apply_changes(volumes_BCXYZ, plan_changes(geometries, intensities, volumes_BCXYZ.shape[-1], extent_mm))


def move_batch(volumes_BCXYZ: torch.Tensor, geometries: Sequence[Geometry], extent_mm: float) -> torch.Tensor:
    """Return the volumes of a batch in their drawn geometry, with the intensities that they have."""
    return apply_changes(volumes_BCXYZ, BatchChanges(plan_moves(geometries, extent_mm), ()))


def change_intensity(volumes_BXYZ: torch.Tensor, recipes: Sequence[Intensity], extent_mm: float) -> torch.Tensor:
    """Return volumes with changed intensities, where they are."""
    changes = plan_intensity(recipes, volumes_BXYZ.shape[-1], extent_mm)
    return apply_changes(volumes_BXYZ[:, None], BatchChanges(None, changes))[:, 0]
