"""Augment batches on the device that trains, with recipes drawn again for every sample in every epoch.

A recipe is a pure function of (run seed, epoch, sample): neither its batch nor its rank matters.
"""

from collections.abc import Sequence

import torch

from mmdata.augment.apply import augment_batch
from mmdata.augment.recipe import Geometry, draw_geometry, draw_intensity
from mmtrain.config.run import RunConfig
from mmtrain.data.order import derive_seed


def augment_channels(
    channels_BCXYZ: torch.Tensor, config: RunConfig, sample_ids: Sequence[str], epoch: int
) -> torch.Tensor:
    """Return network input that differs from epoch to epoch.

    Parameters
    ----------
    channels_BCXYZ
        From -1, the background, to 1; a channel for each of `config.data.volume_inputs`.
    sample_ids
        Of the B samples.
    epoch
        Counted from 1.
    """
    settings = config.augmentation.augmentation
    seed = derive_seed(config.optimisation.seed, "on-device")
    moves = config.augmentation.augment == "on-device"  # a precomputed copy has been moved already
    geometries = [draw_geometry(settings, seed, name, epoch) if moves else Geometry() for name in sample_ids]
    intensities = [
        [draw_intensity(settings, seed, name, epoch, modality) for modality in config.data.volume_inputs]
        for name in sample_ids
    ]
    fractions = channels_BCXYZ.add(1.0).mul_(0.5)
    return augment_batch(fractions, geometries, intensities, config.augmentation.extent_mm).mul(2.0).sub_(1.0)
