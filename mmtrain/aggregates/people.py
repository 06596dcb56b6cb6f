"""Counts of people as they may be published: nobody, or ten at least."""

import numpy as np
from numpy.typing import NDArray

from mmbase.disclosure import SMALLEST_COUNT


def shown_count(number: int) -> str:
    """Return a number of people or samples as it may be published.

    >>> shown_count(0), shown_count(9), shown_count(1234)
    ('0', '<10', '1,234')
    """
    return f"<{SMALLEST_COUNT}" if 0 < number < SMALLEST_COUNT else f"{number:,}"


def people_in_bins(bins: NDArray[np.int64], participants: NDArray[np.int64], num_bins: int) -> NDArray[np.int64]:
    """Return how many different people have a sample in each bin, shape (num_bins,).

    >>> people_in_bins(np.array([0, 0, 2]), np.array([7, 7, 7]), 3)
    array([1, 0, 1])
    """
    pairs = np.unique(np.stack([bins, participants]), axis=1)
    return np.bincount(pairs[0], minlength=num_bins)


def may_be_told(people: NDArray[np.int64]) -> bool:
    """Return whether a table of people may be published: each cell counts nobody, or ten at least."""
    return bool(((people == 0) | (people >= SMALLEST_COUNT)).all())
