"""All samples of a split as a network that is fitted at once gets them, part by part.

A part of the inputs is what `mmtrain.models.reduction` makes of one volume modality, connectivity or all tabular
features. Its projection, and the components of its samples, are kept for whoever asks again: another network, another
set of inputs with this part in it.

Legend of shapes: N samples, D numbers of a part, K components, T targets.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from mmtrain.kept_values import KeptValues
from mmtrain.models.projection import Projection, fit_projection, project


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The numbers of one part of the inputs."""

    rows_RD: NDArray[np.float32]
    """Of the samples and perhaps of others; not to be changed."""
    positions: NDArray[np.int64] | None = None
    """Which of `rows_RD` the samples are, in their order; None: all of them."""
    key: Hashable = None
    """Everything that the samples' numbers depend on, to find what is kept of them; None: nothing is kept."""
    kept: KeptValues = field(default_factory=lambda: KeptValues(0))

    def numbers(self) -> NDArray[np.float32]:
        """Return the numbers of the samples, shape (N, D), not to be changed."""
        if self.positions is None:
            return self.rows_RD
        first = int(self.positions[0]) if len(self.positions) else 0
        if np.array_equal(self.positions, np.arange(first, first + len(self.positions))):
            return self.rows_RD[first : first + len(self.positions)]
        return self.rows_RD[self.positions]

    def fit_projection(self, seed: int) -> Projection:
        """Return the projection onto the principal components of these samples; see `fit_projection`."""
        if self.key is None:
            return fit_projection(self.numbers(), seed)
        return self.kept.once(("projection", self.key, seed), lambda: fit_projection(self.numbers(), seed), _num_bytes)

    def components(self, projection: Projection) -> NDArray[np.float32]:
        """Return the components of the samples, shape (N, K)."""
        if self.key is None:
            return project(projection, self.numbers())
        key = "components", self.key
        kept: _Projected | None = self.kept.find(key)
        if kept is None or not _begins_with(kept.projection, projection):
            kept = _Projected(projection.copied(), project(projection, self.numbers()))
            self.kept.keep(key, kept, _num_bytes(kept.projection) + kept.components_NK.nbytes)
        return kept.components_NK[:, : len(projection.components)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """All samples of a split, as a network that is fitted at once gets them."""

    parts: tuple[Part, ...]
    """Of the inputs: those that are projected, then the tabular features."""
    labels_NT: NDArray[np.float64]
    """One column for each target, in its own unit; NaN where missing."""

    def __len__(self) -> int:
        return len(self.labels_NT)


@dataclass(frozen=True, slots=True)
class _Projected:
    """Components of some samples, and what they were projected by."""

    projection: Projection
    components_NK: NDArray[np.float32]


def _begins_with(projection: Projection, other: Projection) -> bool:
    """Return whether the other projection, in whatever type and on whatever device, has the same first components."""
    mean, components = (tensor.to(projection.mean) for tensor in (other.mean, other.components))
    num_components = len(components)
    return torch.equal(projection.mean, mean) and torch.equal(projection.components[:num_components], components)


def _num_bytes(projection: Projection) -> int:
    return sum(tensor.nbytes for tensor in (projection.mean, projection.components))
