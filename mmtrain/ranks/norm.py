"""Batch norm over all ranks, so that what a batch does to a network does not depend on how many compute it."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as AnyBatchNorm

from mmtrain.ranks.replacement import replace_layers

__all__ = ["AnyBatchNorm", "CpuSyncBatchNorm", "synchronise"]


def synchronise(network: nn.Module, device: torch.device) -> None:
    """Let every batch norm of a network take its moments over all ranks; parameters and their names stay."""
    replace_layers(network, lambda layer: _synchronised(layer, device) if isinstance(layer, AnyBatchNorm) else None)


class CpuSyncBatchNorm(AnyBatchNorm):
    """What `torch.nn.SyncBatchNorm` does, which knows GPUs alone.

    Source: Ioffe and Szegedy, Batch Normalization, 2015, arXiv 1502.03167, algorithm 1, sums taken over ranks.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (B, C, ...) with the moments of all ranks' samples, or in evaluation with the running ones."""
        if not self.training:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        axes = [0, *range(2, x.dim())]
        shape = [1, -1] + [1] * (x.dim() - 2)
        assert self.running_mean is not None  # `require_independence` refuses others
        given, x = x.dtype, x.to(self.running_mean)
        count = _SumOverRanks.apply(x.new_full((1,), x.numel() / x.shape[1]))
        mean = _SumOverRanks.apply(x.sum(axes)) / count
        centred = x - mean.view(shape)
        variance = _SumOverRanks.apply(centred.square().sum(axes)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        normal = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        scaled: torch.Tensor = normal.to(given)
        return scaled

    def _check_input_dim(self, x: torch.Tensor) -> None:
        """Take any number of axes, as `torch.nn.SyncBatchNorm`."""

    @torch.no_grad()
    def _remember(self, mean: torch.Tensor, unbiased_variance: torch.Tensor) -> None:
        assert self.num_batches_tracked is not None and self.running_mean is not None and self.running_var is not None
        self.num_batches_tracked.add_(1)
        weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(unbiased_variance, weight)


class _SumOverRanks(torch.autograd.Function):
    """A sum over ranks; so is its gradient, for every rank's loss depends on it."""

    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _synchronised(norm: AnyBatchNorm, device: torch.device) -> AnyBatchNorm:
    kind = nn.SyncBatchNorm if device.type == "cuda" else CpuSyncBatchNorm
    synced = kind(norm.num_features, norm.eps, norm.momentum, norm.affine).to(norm.running_mean)
    synced.load_state_dict(norm.state_dict())
    for name, parameter in norm.named_parameters():
        synced.get_parameter(name).requires_grad_(parameter.requires_grad)
    return synced
