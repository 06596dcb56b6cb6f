"""MONAI's DenseNet-121 over the volumes.

Source: Huang et al., Densely Connected Convolutional Networks, CVPR 2017, arXiv 1608.06993.
"""

from torch import nn

from mmtrain.models.protocol import NetworkShape
from mmtrain.models.volumes import architecture_of_volumes


def build(shape: NetworkShape) -> nn.Module:
    """Return the untrained network."""
    from monai.networks.nets import DenseNet121

    network: nn.Module = DenseNet121(spatial_dims=3, in_channels=len(shape.volumes), out_channels=shape.num_outputs)
    return network


ARCHITECTURE = architecture_of_volumes("densenet121", build, halvings=5)
