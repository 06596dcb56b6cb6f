"""The inputs of some samples as a network takes them, and the baseline that they are compared with.

Terms
-----
baseline  what stands for "nothing there": volumes that are background throughout, edges of 0 or of the training mean,
          tabular features at their training mean, none of them missing.

Legend of shapes: B batch, C channels, X Y Z voxels, E edges, F columns that tabular features are scaled to.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mmtrain.models.card import ModelCard

BACKGROUND = -1.0
"""Of a volume as a network takes it."""
Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Tensors as a network takes them; None where something is not an input."""

    volumes_BCXYZ: torch.Tensor | None = None
    edges_BE: torch.Tensor | None = None
    features_BF: torch.Tensor | None = None

    @property
    def given(self) -> Tensors:
        """Return what is an input, in the order of a network's arguments."""
        return tuple(part for part in (self.volumes_BCXYZ, self.edges_BE, self.features_BF) if part is not None)

    def __len__(self) -> int:
        return len(self.given[0])

    def with_parts(self, parts: Tensors) -> "Inputs":
        """Return inputs of the same kinds with other tensors, in the order of `given`."""
        left = iter(parts)
        volumes, edges, features = (
            None if old is None else next(left) for old in (self.volumes_BCXYZ, self.edges_BE, self.features_BF)
        )
        return Inputs(volumes_BCXYZ=volumes, edges_BE=edges, features_BF=features)

    def each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Inputs":
        """Return every tensor changed alike."""
        return self.with_parts(tuple(map(change, self.given)))


def baseline_inputs(card: ModelCard, device: torch.device, edges_E: NDArray[np.float32] | None = None) -> Inputs:
    """Return the baseline of a model, a batch of one.

    Parameters
    ----------
    edges_E
        Connectivity of the baseline; None: 0 throughout.
    """
    shape = card.shape
    volumes = torch.full((1, len(shape.volumes), *(shape.side,) * 3), BACKGROUND) if shape.volumes else None
    edges = None
    if shape.num_edges:
        edges = torch.zeros(1, shape.num_edges) if edges_E is None else torch.from_numpy(edges_E)[None].float()
    features = None
    if shape.num_features:
        features = torch.from_numpy(card.features.scale(np.asarray([card.features.means])))
    return Inputs(volumes_BCXYZ=volumes, edges_BE=edges, features_BF=features).each(lambda part: part.to(device))
