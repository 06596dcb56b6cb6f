"""Truth and prediction of the samples of one split, and who they are of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbase.disclosure import SMALLEST_COUNT

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """N samples that have the label of one target."""

    truth: Values
    """Shape (N,): in the target's own unit, or classes 0 and 1."""
    prediction: Values
    """Shape (N,): in the same unit, or the probability of class 1."""
    participants: NDArray[np.int64]
    """Shape (N,): equal numbers are visits of one person."""

    @property
    def num_participants(self) -> int:
        """Return how many people there are."""
        return len(np.unique(self.participants))

    def select(self, chosen: NDArray[np.bool_]) -> "Scored":
        """Return some of the samples."""
        return Scored(
            truth=self.truth[chosen], prediction=self.prediction[chosen], participants=self.participants[chosen]
        )


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
