"""MONAI's DenseNet-121 over the volumes.

Source: Huang et al., Densely Connected Convolutional Networks, CVPR 2017, arXiv 1608.06993.
"""

import torch
from torch import nn

from mmbase.names import VOLUME_MODALITIES
from mmtrain.errors import TrainError
from mmtrain.models.protocol import Architecture, NetworkShape

HALVINGS = 5
"""How often it halves the volumes before it takes their mean."""


class VolumesAlone(nn.Module):
    """A network of volumes, called as every network here is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, volumes_BCXYZ: torch.Tensor, *_: None) -> torch.Tensor:
        """Return outputs (B, K)."""
        outputs: torch.Tensor = self.network(volumes_BCXYZ)
        return outputs


def complete(shape: NetworkShape) -> NetworkShape:
    """Return the shape as it is.

    Raises
    ------
    TrainError
        There are no volumes, or they cannot be halved so often.
    """
    if not shape.volumes:
        raise TrainError(f"The network densenet121 needs at least one of {', '.join(VOLUME_MODALITIES)} as an input.")
    if shape.side % 2**HALVINGS:
        raise TrainError(f"The network densenet121 needs a side that {2**HALVINGS} divides, got {shape.side}.")
    return shape


def build(shape: NetworkShape) -> VolumesAlone:
    """Return the untrained network."""
    from monai.networks.nets import DenseNet121  # noqa: PLC0415 - takes seconds to import

    return VolumesAlone(DenseNet121(spatial_dims=3, in_channels=len(shape.volumes), out_channels=shape.num_outputs))


ARCHITECTURE = Architecture(build=build, inputs=VOLUME_MODALITIES, complete=complete)
