"""What stored numbers mean to a network."""

import torch


def unit_scale(dtype: torch.dtype) -> float:
    """Return what turns stored numbers into fractions from 0 to 1: integers take the whole range of their type.

    >>> unit_scale(torch.uint8) * 255, unit_scale(torch.float32)
    (1.0, 1.0)
    """
    return 1.0 if dtype.is_floating_point else 1.0 / torch.iinfo(dtype).max
