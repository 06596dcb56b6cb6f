"""Percentiles of the millions of voxels of a brain, exactly, in a fraction of the time of sorting them.

The values are counted by their leading bits, which says in which bins the wanted order statistics lie; only what is in
these bins is sorted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DROPPED_BITS = 11
"""Of float32's 32: leaves 4096 bins for each power of two, and counts that fit the processor's cache."""
_SIGN_BIT = 31


def percentiles(values: NDArray[Any], percents: Sequence[float]) -> list[float]:
    """Return what ``np.percentile`` does with its linear interpolation.

    Parameters
    ----------
    values
        Shape (n,), integers or float32, finite, at least one.
    percents
        0 to 100.

    >>> percentiles(np.array([30, 10, 20], np.int16), [0, 50, 75])
    [10.0, 20.0, 25.0]
    """
    positions = np.asarray(percents, np.float64) / 100 * (values.size - 1)
    below = np.floor(positions).astype(np.intp)
    ranks = np.unique([below, np.minimum(below + 1, values.size - 1)])
    interpolated: list[float] = np.interp(positions, ranks, _order_statistics(values, ranks)).tolist()
    return interpolated


def _order_statistics(values: NDArray[Any], ranks: NDArray[np.intp]) -> NDArray[Any]:
    """Return the values that sorting would put at `ranks`."""
    keys = _ordered_keys(values)
    keys -= keys.min()
    counts = np.bincount(keys)
    bins = np.searchsorted(np.cumsum(counts), ranks, side="right")
    is_wanted = np.zeros(len(counts), np.bool_)
    is_wanted[bins] = True
    wanted = np.sort(values[is_wanted.take(keys)])
    num_unwanted_below = np.cumsum(np.where(is_wanted, 0, counts))[bins]
    statistics: NDArray[Any] = wanted[ranks - num_unwanted_below]
    return statistics


def _ordered_keys(values: NDArray[Any]) -> NDArray[np.intp]:
    """Return integers, at most 2**21 apart, that fall nowhere where the values rise.

    Bits of floats are ordered as the floats are, but for the negative ones, whose magnitude they hold.
    """
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        return values.astype(np.intp)
    bits = values.astype(np.float32, copy=False).view(np.int32)
    keys = bits >> _DROPPED_BITS
    if keys.min() < 0:
        keys ^= (bits >> _SIGN_BIT) & (np.iinfo(np.int32).max >> _DROPPED_BITS)
    return keys.astype(np.intp)
