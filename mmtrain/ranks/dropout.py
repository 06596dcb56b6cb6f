"""Dropout that is the same on any number of ranks: every rank draws the mask of the whole batch and takes its part."""

from dataclasses import dataclass

import torch
from torch import nn


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
    """

    def __init__(self, probability: float, part: BatchPart) -> None:
        super().__init__()
        self.probability = probability
        self.part = part

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a tensor of the shape of `x`, whose first axis is this rank's samples."""
        if not self.training:
            return x
        whole = [max(self.part.whole, len(x)), *x.shape[1:]]
        if x.dim() == 5:  # drawn with channels last, as the network's volumes lie
            batch, channels, *sides = whole
            kept = _draw_mask([batch, *sides, channels], self.probability, x.device).permute(0, 4, 1, 2, 3)
        else:
            kept = _draw_mask(whole, self.probability, x.device)
        return x * kept[self.part.start : self.part.start + len(x)] / (1 - self.probability)


def _draw_mask(shape: list[int], probability: float, device: torch.device) -> torch.Tensor:
    """Return which values are kept. Compiled, `bernoulli_` on a mask keeps all or nothing (torch 2.13)."""
    return torch.rand(shape, device=device) >= probability
