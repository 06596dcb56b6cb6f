"""What stored numbers mean to a network."""

import torch

from mmtrain.config.data import VolumeScaling


def scale_volumes(stored_BXYZ: torch.Tensor, out_BXYZ: torch.Tensor, scaling: VolumeScaling) -> torch.Tensor:
    """Write volumes as a network takes them, from -1, the background, to 1.

    Parameters
    ----------
    stored_BXYZ
        Integers over the whole range of their type, or floats from 0 to 1.
    out_BXYZ
        Floats, on the device that computes; overwritten and returned.
    scaling
        ``stored``: 1 is the largest number that can be stored, which is the scan's upper clamp. ``min-max``: each
        volume's own smallest value becomes -1 and its largest 1; one that has a single value is background throughout.
    """
    out_BXYZ.copy_(stored_BXYZ)
    if scaling == "stored":
        return out_BXYZ.mul_(2.0 * unit_scale(stored_BXYZ.dtype)).sub_(1.0)
    lowest, highest = (bound(out_BXYZ, dim=(1, 2, 3), keepdim=True) for bound in (torch.amin, torch.amax))
    span = torch.where(highest > lowest, highest - lowest, 1.0)
    return out_BXYZ.sub_(lowest).mul_(2.0 / span).sub_(1.0)


def unit_scale(dtype: torch.dtype) -> float:
    """Return what turns stored numbers into fractions from 0 to 1: integers take the whole range of their type.

    >>> unit_scale(torch.uint8) * 255, unit_scale(torch.float32)
    (1.0, 1.0)
    """
    return 1.0 if dtype.is_floating_point else 1.0 / torch.iinfo(dtype).max
