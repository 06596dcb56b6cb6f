"""Dropout that is the same on any number of ranks: every rank draws the mask of the whole batch and takes its part."""

from dataclasses import dataclass

import torch
from torch import nn

from mmtrain.errors import TrainError

_BY_CHANNEL = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_DEPENDENT = (nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RReLU)
"""Layers that draw for the samples which they see, and of which there is no version here that does not."""


@dataclass(slots=True)
class BatchPart:
    """Which part of a batch this rank computes; set before each forward pass, shared by all layers of a network."""

    start: int = 0
    """First of its samples within the batch."""
    whole: int = 0
    """Samples of the batch over all ranks."""


class PartDropout(nn.Module):
    """Set values to zero at random, one by one, and scale the others up; nothing in evaluation mode.

    `torch.nn.Dropout` draws for the samples that it sees, so that the same batch on two ranks would get other masks
    than on one.

    Parameters
    ----------
    by_channel
        Drop whole channels, as `torch.nn.Dropout3d` does, instead of single values.
    """

    def __init__(self, probability: float, part: BatchPart, *, by_channel: bool = False) -> None:
        super().__init__()
        self.probability = probability
        self.part = part
        self.by_channel = by_channel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a tensor of the shape of `x`, whose first axis is this rank's samples."""
        if not self.training:
            return x
        sizes = [*x.shape[1:2], *[1] * (x.dim() - 2)] if self.by_channel else x.shape[1:]
        whole = [max(self.part.whole, len(x)), *sizes]
        if x.dim() == 5:  # drawn with channels last, as the network's volumes lie
            batch, channels, *sides = whole
            kept = _draw_mask([batch, *sides, channels], self.probability, x.device).permute(0, 4, 1, 2, 3)
        else:
            kept = _draw_mask(whole, self.probability, x.device)
        return x * kept[self.part.start : self.part.start + len(x)] / (1 - self.probability)


def share_dropout(network: nn.Module) -> BatchPart:
    """Replace the dropout of a network by one whose masks do not depend on the number of ranks.

    Returns
    -------
    BatchPart
        What all its layers look at.
    """
    part = BatchPart()
    _replace(network, part)
    return part


def require_independence(network: nn.Module) -> None:
    """Refuse to divide a network among ranks whose result would depend on their number.

    Raises
    ------
    TrainError
        Names the layers.
    """
    dependent = {
        type(module).__name__
        for module in network.modules()
        if isinstance(module, _DEPENDENT)
        or (isinstance(module, (nn.MultiheadAttention, nn.RNNBase)) and module.dropout > 0)
    }
    if dependent:
        raise TrainError(
            f"The network has layers that draw at random on each GPU for itself ({', '.join(sorted(dependent))}), so "
            "that several would train another model than one.",
            "Train it without --gpus.",
        )


def _replace(network: nn.Module, part: BatchPart) -> None:
    for name, child in network.named_children():
        if isinstance(child, (nn.Dropout, *_BY_CHANNEL)):
            setattr(network, name, PartDropout(child.p, part, by_channel=isinstance(child, _BY_CHANNEL)))
        else:
            _replace(child, part)


def _draw_mask(shape: list[int], probability: float, device: torch.device) -> torch.Tensor:
    """Return which values are kept. Compiled, `bernoulli_` on a mask keeps all or nothing (torch 2.13)."""
    return torch.rand(shape, device=device) >= probability
