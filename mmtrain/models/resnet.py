"""MONAI's residual networks in three dimensions, with the strides of their paper.

The first convolution has a stride of 2 and is followed by a max-pool of stride 2. MONAI's own default is a stride of 1
there, which takes eight times the memory.

Source: He et al., Deep Residual Learning for Image Recognition, CVPR 2016, arXiv 1512.03385, table 1.
"""

from torch import nn

from mmtrain.models.protocol import Architecture, NetworkShape
from mmtrain.models.volumes import architecture_of_volumes

HALVINGS = 5
"""First convolution, max-pool, and one for each stage but the first."""


def resnet(depth: int) -> Architecture:
    """Return a residual network of so many layers that have weights: one that MONAI has."""

    def build(shape: NetworkShape) -> nn.Module:
        from monai.networks import nets

        network: nn.Module = getattr(nets, f"resnet{depth}")(
            spatial_dims=3,
            n_input_channels=len(shape.volumes),
            num_classes=shape.num_outputs,
            conv1_t_stride=2,
            bias_downsample=False,  # a batch norm follows
        )
        return network

    return architecture_of_volumes(f"resnet{depth}", build, halvings=HALVINGS)
