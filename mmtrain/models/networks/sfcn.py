"""SFCN over the volumes: a simple fully convolutional network, which learns a continuous target in bins.

Its parameters have the names of the published weights, which `mmtrain.sfcn_weights` reads. Those expect volumes that
are divided by their mean; a run's are scaled as for every network.

Source: Peng et al., Accurate brain age prediction with lightweight deep neural networks, Medical Image Analysis 68,
101871, 2021.
"""

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import nn

from mmtrain.models.protocol import NetworkShape
from mmtrain.models.volumes import architecture_of_volumes

POOLED_WIDTHS = (32, 64, 128, 256, 256)
"""Channels of the blocks that halve their volumes."""
LAST_WIDTH = 64
DROPOUT = 0.5


class Sfcn(nn.Module):
    """The network of the paper on any number of volumes and any grid that can be halved five times.

    On the paper's own grid its average over what is left of space is the paper's pooling of 5 × 6 × 5 voxels.
    """

    def __init__(self, num_volumes: int, num_outputs: int) -> None:
        super().__init__()
        blocks = [_pooled_block(*pair) for pair in pairwise((num_volumes, *POOLED_WIDTHS))]
        blocks.append(_last_block(POOLED_WIDTHS[-1], LAST_WIDTH))
        self.feature_extractor = nn.Sequential(OrderedDict((f"conv_{i}", block) for i, block in enumerate(blocks)))
        self.classifier = nn.Sequential(
            OrderedDict(
                average_pool=nn.AdaptiveAvgPool3d(1),
                dropout=nn.Dropout(DROPOUT),
                conv_6=nn.Conv3d(LAST_WIDTH, num_outputs, 1),
            )
        )

    def forward(self, volumes_BCXYZ: torch.Tensor) -> torch.Tensor:
        """Return outputs (B, K), before the softmax."""
        outputs: torch.Tensor = self.classifier(self.feature_extractor(volumes_BCXYZ))
        return outputs.flatten(1)


def build(shape: NetworkShape) -> nn.Module:
    """Return the untrained network."""
    return Sfcn(len(shape.volumes), shape.num_outputs)


def _pooled_block(num_in: int, num_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(num_in, num_out, 3, padding=1), nn.BatchNorm3d(num_out), nn.MaxPool3d(2), nn.ReLU())


def _last_block(num_in: int, num_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(num_in, num_out, 1), nn.BatchNorm3d(num_out), nn.ReLU())


ARCHITECTURE = architecture_of_volumes("sfcn", build, halvings=len(POOLED_WIDTHS), regression="bins")
