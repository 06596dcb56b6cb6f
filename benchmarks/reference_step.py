"""The reference study's training step, plainly written: contiguous float32, three channels, Adam as PyTorch has it.

Names of layers are those of the published checkpoints, so that our weights can be loaded. Blocks that are not asked for
give zeros and are left out. Source: Ruffle et al., NeuroImage 2024, doi 10.1016/j.neuroimage.2024.120600.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

NUM_CHANNELS = 3
LEARNING_RATE = 1e-4
PENALTY = 1e-4
OTHER_WIDTHS = 128 + 32
"""Of the blocks for connectivity and metadata."""
HEAD_WIDTHS = (256, 256)


class ReferenceCnn(nn.Module):
    """Residual stages, then one dense layer."""

    def __init__(self, side: int, channels: Sequence[int], width: int, dropout: float) -> None:
        super().__init__()
        steps = list(pairwise([NUM_CHANNELS, *channels]))
        self.skip_conv_layers = nn.ModuleList(nn.Conv3d(a, b, 1) for a, b in steps)
        self.conv_layers = nn.ModuleList()
        for a, b in steps:
            self.conv_layers.append(nn.Conv3d(a, b, 3, padding=1))
            self.conv_layers.append(nn.Conv3d(b, b, 3, padding=1))
        self.bn_layers = nn.ModuleList(nn.BatchNorm3d(b) for b in channels)
        self.max_pool, self.dropout, self.gelu = nn.MaxPool3d(2), nn.Dropout(dropout), nn.GELU()
        self.dense_layer = nn.Linear(channels[-1] * (side // 2 ** len(channels)) ** 3, width)
        self.final_batch_norm = nn.BatchNorm1d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return embeddings of volumes (B, 3, side, side, side)."""
        for k, (skip, norm) in enumerate(zip(self.skip_conv_layers, self.bn_layers, strict=True)):
            skipped = skip(x)
            x = self.gelu(self.conv_layers[2 * k](x))
            x = self.conv_layers[2 * k + 1](x)
            x = self.gelu(norm(x + skipped))
            x = self.dropout(self.max_pool(x))
        embedding: torch.Tensor = self.gelu(self.final_batch_norm(self.dense_layer(x.flatten(1))))
        return embedding


class ReferenceHead(nn.Module):
    """Two hidden layers and one output."""

    def __init__(self, num_inputs: int, dropout: float) -> None:
        super().__init__()
        sizes = [num_inputs, *HEAD_WIDTHS]
        self.dense_layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([*sizes, 1]))
        self.bn_layers = nn.ModuleList(nn.BatchNorm1d(b) for b in HEAD_WIDTHS)
        self.dropout, self.gelu = nn.Dropout(dropout), nn.GELU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return one output for each sample, (B, 1)."""
        for dense, norm in zip(self.dense_layers, self.bn_layers, strict=False):
            x = self.dropout(self.gelu(norm(dense(x))))
        output: torch.Tensor = self.dense_layers[-1](x)
        return output


class ReferenceNet(nn.Module):
    """Volumes to one continuous target."""

    def __init__(self, side: int, channels: Sequence[int], width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.cnn = ReferenceCnn(side, channels, width, dropout)
        self.mlp_logits = ReferenceHead(OTHER_WIDTHS + width, dropout)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Return outputs (B, 1)."""
        others = volumes.new_zeros(len(volumes), OTHER_WIDTHS)
        outputs: torch.Tensor = self.mlp_logits(torch.cat([others, self.cnn(volumes)], dim=1))
        return outputs


def reference_optimizer(net: nn.Module) -> torch.optim.Optimizer:
    """Return Adam with PyTorch's defaults."""
    return torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)


def reference_step(
    net: nn.Module, optimizer: torch.optim.Optimizer, volumes: torch.Tensor, targets: torch.Tensor
) -> float:
    """Take one step; return the loss with its penalty, on the host."""
    optimizer.zero_grad()
    loss = functional.mse_loss(net(volumes)[:, 0], targets)
    for parameter in net.parameters():
        if parameter.dim() > 1:
            loss = loss + PENALTY * parameter.square().mean()
    loss.backward()
    optimizer.step()
    return loss.item()
