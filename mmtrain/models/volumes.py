"""What the networks that take volumes alone have in common."""

from collections.abc import Callable

import torch
from torch import nn

from mmbase.names import VOLUME_MODALITIES
from mmtrain.config.data import Regression
from mmtrain.errors import TrainError
from mmtrain.models.protocol import Architecture, NetworkShape


class VolumesAlone(nn.Module):
    """A network of volumes, called as every network here is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, volumes_BCXYZ: torch.Tensor, *_: None) -> torch.Tensor:
        """Return outputs (B, K)."""
        outputs: torch.Tensor = self.network(volumes_BCXYZ)
        return outputs


def architecture_of_volumes(
    name: str, build: Callable[[NetworkShape], nn.Module], *, halvings: int, regression: Regression = "value"
) -> Architecture:
    """Return a network that takes volumes alone.

    Parameters
    ----------
    name
        As in messages.
    build
        Returns the module with random weights, which is called with volumes (B, C, X, Y, Z) and returns (B, K).
    halvings
        How often it halves the volumes before it takes their mean.
    regression
        How it learns continuous targets where a run does not say.
    """

    def complete(shape: NetworkShape) -> NetworkShape:
        if not shape.volumes:
            raise TrainError(f"The network {name} needs at least one of {', '.join(VOLUME_MODALITIES)} as an input.")
        if shape.side % 2**halvings:
            raise TrainError(
                f"The network {name} needs a side that {2**halvings} divides, got {shape.side}.",
                f"Give --side {2**halvings} or a multiple of it that the study has stored.",
            )
        return shape

    return Architecture(
        build=lambda shape: VolumesAlone(build(shape)),
        inputs=VOLUME_MODALITIES,
        complete=complete,
        regression=regression,
    )
