"""Dropout that is the same on any number of ranks: every rank draws the mask of the whole batch and takes its part."""

from dataclasses import dataclass

import torch
from torch import nn

from mmtrain.errors import TrainError
from mmtrain.ranks.replacement import replace_layers

_BY_CHANNEL = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


@dataclass(slots=True)
class BatchPart:
    """Which part of a batch this rank computes; set before each forward pass, shared by all layers of a network."""

    start: int = 0
    """First of its samples within the batch."""
    whole: int = 0
    """Samples of the batch over all ranks."""
    size: int = 0
    """Samples of this rank; 0: as many as come."""


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
        """Return a tensor of the shape of `x`, whose first axis is this rank's samples, or as many pieces of each."""
        if not self.training:
            return x
        start, num_rows = rows_of_part(self.part, len(x))
        sizes = [*x.shape[1:2], *[1] * (x.dim() - 2)] if self.by_channel else x.shape[1:]
        whole = [num_rows, *sizes]
        if x.dim() == 5:  # drawn with channels last, as the network's volumes lie
            batch, channels, *sides = whole
            kept = _draw_mask([batch, *sides, channels], self.probability, x.device).permute(0, 4, 1, 2, 3)
        else:
            kept = _draw_mask(whole, self.probability, x.device)
        return x * kept[start : start + len(x)] / (1 - self.probability)


def share_dropout(network: nn.Module) -> BatchPart:
    """Replace the dropout of a network by one whose masks do not depend on the number of ranks.

    Returns
    -------
    BatchPart
        What all its layers look at.
    """
    part = BatchPart()

    def make(layer: nn.Module) -> PartDropout | None:
        if not isinstance(layer, (nn.Dropout, *_BY_CHANNEL)):
            return None
        return PartDropout(layer.p, part, by_channel=isinstance(layer, _BY_CHANNEL))

    replace_layers(network, make)
    return part


def rows_of_part(part: BatchPart, num_rows: int) -> tuple[int, int]:
    """Return where a rank's rows begin among those of the whole batch, and how many all are.

    >>> rows_of_part(BatchPart(start=2, whole=5, size=3), 3)
    (2, 5)
    >>> rows_of_part(BatchPart(start=2, whole=5, size=3), 12)
    (8, 20)

    Raises
    ------
    TrainError
        The batch is divided, and the samples do not have equally many rows.
    """
    size = part.size or num_rows
    if size >= part.whole:
        return 0, num_rows
    pieces, left = divmod(num_rows, size)
    if left:
        raise TrainError(
            f"A dropout layer of the network gets {num_rows} rows for {size} samples, so that it is not known which of "
            "them are of which sample.",
            "Train the network without --gpus.",
        )
    return part.start * pieces, part.whole * pieces


def _draw_mask(shape: list[int], probability: float, device: torch.device) -> torch.Tensor:
    """Return which values are kept. Compiled, `bernoulli_` on a mask keeps all or nothing (torch 2.13)."""
    return torch.rand(shape, device=device) >= probability
