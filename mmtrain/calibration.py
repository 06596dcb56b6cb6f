"""Batch-norm statistics for evaluation, measured on the weights they will be used with.

The running averages that training leaves behind lag behind the weights and were taken with dropout on. With few steps
in an epoch that makes the validation loss jump from epoch to epoch, and a lucky jump is then taken for the best model.

Source: Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021, arXiv 2105.07576, section 3.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import nn

from mmtrain.ranks.norm import AnyBatchNorm

Batch = TypeVar("Batch")


@torch.inference_mode()
def recalibrate_batch_norm(
    model: nn.Module, batches: Iterable[Batch], forward: Callable[[Batch], torch.Tensor]
) -> None:
    """Replace the running statistics of every batch norm by the plain average over some batches, dropout off.

    Leaves the model in evaluation mode.
    """
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, AnyBatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
        norm.train()
    for batch in batches:
        forward(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
