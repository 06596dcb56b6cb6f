"""Means of attributions and of volumes over groups of people, taken a batch at a time.

Memory does not grow with the number of people: a group holds two sums, of the attributions and of their sizes.

Legend of shapes: B batch, C channels, X Y Z voxels.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmtrain.explain.groups import Group

Volumes = NDArray[np.float32]


class GroupMeans:
    """Sums over groups that batches are added to.

    Parameters
    ----------
    groups
        The first is all people.
    shape
        Channels and voxels: (C, X, Y, Z).
    """

    def __init__(self, groups: Sequence[Group], shape: tuple[int, ...]) -> None:
        self._groups = groups
        self._sums = np.zeros((len(groups), *shape), np.float32)
        self._sizes = np.zeros((len(groups), *shape), np.float32)
        self._volumes = np.zeros(shape, np.float32)

    def add(self, start: int, attribution_BCXYZ: Volumes, volumes_BCXYZ: Volumes) -> None:
        """Add a batch.

        Parameters
        ----------
        start
            Position of its first sample among all.
        volumes_BCXYZ
            As the network takes them, from -1, the background, to 1.
        """
        self._volumes += ((volumes_BCXYZ + 1.0) / 2.0).sum(axis=0)
        for index, group in enumerate(self._groups):
            chosen = attribution_BCXYZ[group.members[start : start + len(attribution_BCXYZ)]]
            self._sums[index] += chosen.sum(axis=0)
            self._sizes[index] += np.abs(chosen).sum(axis=0)

    def mean(self, group: int) -> Volumes:
        """Return the mean attribution of a group, by its index: shape (C, X, Y, Z)."""
        return np.asarray(self._sums[group] / self._num(group), np.float32)

    def mean_size(self, group: int) -> Volumes:
        """Return the mean of the attributions' absolute values, shape (C, X, Y, Z)."""
        return np.asarray(self._sizes[group] / self._num(group), np.float32)

    def mean_volumes(self) -> Volumes:
        """Return the mean volumes of all people, from 0, the background, to 1: shape (C, X, Y, Z)."""
        return np.asarray(self._volumes / self._num(0), np.float32)

    def _num(self, group: int) -> int:
        return int(self._groups[group].members.sum())
