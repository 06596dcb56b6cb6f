"""What of a run cannot be passed on because a count of 1 to 9 people would follow from it.

The card of a model has the exact mean and standard deviation of each feature that the model sees: predictions depend on
them, so they can be neither rounded nor left out. With the number of people they are three equations.

- Of a feature with three values or fewer, e.g. a diagnosis, they give the number of people with each value, and so of
  those without one.
- Of any other feature they are nearly those of the people who differ from the most common value, where these are few.
- They say nothing that may not be told of others: no equation is left for single people.

A network that learns a class from fewer than ten people is refused likewise: the simplest says nothing but its share.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mmtrain.aggregates.people import may_be_told, people_in_bins
from mmtrain.data.cohort import Cohort
from mmtrain.models.card import ModelCard

_NUM_EQUATIONS = 3


def find_small_counts(cohort: Cohort, card: ModelCard) -> tuple[str, ...]:
    """Return the shown features and the targets with classes of which a count of 1 to 9 training people would follow.

    Parameters
    ----------
    cohort
        Of the run whose model the card describes.
    """
    members = cohort.members("train")
    people_N = cohort.participants[members]
    return tuple(
        name for name, values in _columns(cohort, card) if not may_be_told(count_values(values[members], people_N))
    )


def count_values(values_N: NDArray[np.float64], people_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of people to be known of from a mean and a standard deviation; 1 to 9 may not be told.

    Examples
    --------
    >>> count_values(np.array([0.0, 0.0, 1.0]), np.array([1, 2, 3])).tolist()
    [2, 1]
    >>> count_values(np.array([0.0, 0.0, 1.0, np.nan]), np.array([1, 2, 3, 4])).tolist()
    [2, 1, 1]
    >>> count_values(np.array([5.0, 6.0, 7.0, 8.0, 8.0]), np.arange(5)).tolist()
    [5, 3]
    """
    known = np.isfinite(values_N)
    found, codes = np.unique(values_N[known], return_inverse=True)
    counts = people_in_bins(codes, people_N[known], len(found))
    if len(found) <= _NUM_EQUATIONS:
        num_without = len(np.unique(people_N[~known]))
        return np.append(counts, num_without) if num_without else counts
    others = known & (values_N != found[counts.argmax()])
    return np.array([len(np.unique(people_N[chosen])) for chosen in (known, others)])


def _columns(cohort: Cohort, card: ModelCard) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield the name and the values of each shown feature, then of each target with classes."""
    names = card.features.shown_names
    yield from zip(names, cohort.stack_features(names).T, strict=True)
    for index, (target, kind) in enumerate(zip(card.targets, card.fitted.kinds, strict=True)):
        if kind.classes(np.empty(0)) is not None:
            yield target.name, cohort.labels_NT[:, index]
