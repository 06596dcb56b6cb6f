"""The reference study's network: an imaging CNN, two MLPs, and a head over whichever of them are asked for.

Legend of shapes: B batch, C channels, X Y Z voxels, E edges, F features, D embedding, I inputs.
Layer names are those of the published checkpoints. Source: Ruffle et al., NeuroImage 2024,
doi 10.1016/j.neuroimage.2024.120600.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import nn

from mmbase.names import VOLUME_MODALITIES
from mmtrain.config.model import ModelConfig
from mmtrain.errors import TrainError
from mmtrain.models.protocol import Architecture, NetworkShape, Trunk

NUM_CHANNELS = 3
"""Of the reference: flair, t1, dwi. A modality that comes behind them in the registry adds channels."""
MIN_STAGES, MAX_STAGES = 2, 6
CHANNELS_BY_SIDE = {32: (16, 32, 64, 128), 64: (32, 64, 128, 256, 256), 128: (32, 64, 128, 256, 256, 256)}
"""Of each stage of the imaging network; at side 32 a small one, the others are the reference's."""
CONNECTIVITY_WIDTHS = (128, 128)
METADATA_WIDTHS = (128, 64, 32)
HEAD_WIDTHS = (256, 256)
IMAGING_DROPOUT = METADATA_DROPOUT = HEAD_DROPOUT = 0.1
CONNECTIVITY_DROPOUT = 0.5


class ImagingNet(nn.Module):
    """Residual stages that each halve the volume, then one dense layer.

    Parameters
    ----------
    present
        Which channels are given, rising. The others count as zeros, and cost nothing.
    """

    def __init__(
        self,
        side: int,
        channels: Sequence[int],
        present: Sequence[int] = range(NUM_CHANNELS),
    ) -> None:
        super().__init__()
        self.present = _as_index(present)
        self.memory_format = torch.channels_last_3d
        """In which volumes lie."""
        self.has_one_thread = torch.get_num_threads() == 1
        widths = [max(NUM_CHANNELS, present[-1] + 1), *channels]
        self.skip_conv_layers = nn.ModuleList(nn.Conv3d(a, b, 1) for a, b in pairwise(widths))
        self.conv_layers = nn.ModuleList(
            nn.Conv3d(i, o, 3, padding=1) for a, b in pairwise(widths) for i, o in ((a, b), (b, b))
        )
        self.bn_layers = nn.ModuleList(nn.BatchNorm3d(b) for b in channels)
        self.pool = nn.MaxPool3d(2)
        self.dropout = nn.Dropout(IMAGING_DROPOUT)
        self.width = imaging_width(side)
        self.dense_layer = nn.Linear(channels[-1] * (side // 2 ** len(channels)) ** 3, self.width)
        self.final_batch_norm = nn.BatchNorm1d(self.width)

    def forward(self, volumes_BCXYZ: torch.Tensor) -> torch.Tensor:
        """Return embeddings (B, D); C is the number of channels that are present."""
        x = volumes_BCXYZ.contiguous(memory_format=self.memory_format)
        for k, (skip, norm) in enumerate(zip(self.skip_conv_layers, self.bn_layers, strict=True)):
            first, second = self.conv_layers[2 * k], self.conv_layers[2 * k + 1]
            assert isinstance(skip, nn.Conv3d) and isinstance(first, nn.Conv3d) and isinstance(second, nn.Conv3d)
            of_skip, of_first = (layer.weight if k else layer.weight[:, self.present] for layer in (skip, first))
            assert skip.bias is not None and first.bias is not None and second.bias is not None
            skipped = mix_channels(x, of_skip, skip.bias + second.bias, as_product=self.has_one_thread)
            inner = nn.functional.gelu(convolve(x, of_first, first.bias))
            x = nn.functional.gelu(norm(nn.functional.conv3d(inner, second.weight, padding=1) + skipped))
            x = self.dropout(self.pool(x))
        embedding: torch.Tensor = nn.functional.gelu(self.final_batch_norm(self.dense_layer(x.flatten(1))))
        return embedding


def convolve(x_BCXYZ: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return the convolution with a kernel of 3 × 3 × 3 voxels, of the shape of its input.

    On a processor the bias is added by itself: oneDNN takes twenty times as long for its gradient as a sum does.
    """
    if x_BCXYZ.device.type != "cpu":
        return nn.functional.conv3d(x_BCXYZ, weight, bias, padding=1)
    return nn.functional.conv3d(x_BCXYZ, weight, padding=1).add_(bias[:, None, None, None])


def mix_channels(x_BCXYZ: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, *, as_product: bool) -> torch.Tensor:
    """Return the convolution with a kernel of one voxel.

    On a processor with one thread it is computed as the matrix product that it is, over channels that lie side by side:
    PyTorch does without oneDNN then and returns channels one after the other, and whatever is added to them is read in
    two orders.
    """
    if x_BCXYZ.device.type != "cpu" or not as_product:
        return nn.functional.conv3d(x_BCXYZ, weight, bias)
    return nn.functional.linear(x_BCXYZ.permute(0, 2, 3, 4, 1), weight.flatten(1), bias).permute(0, 4, 1, 2, 3)


def _as_index(channels: Sequence[int]) -> slice | list[int]:
    """Return what selects channels: a slice, which copies nothing, where they are evenly spaced.

    >>> _as_index([0, 2]), _as_index([0, 1, 3])
    (slice(0, 3, 2), [0, 1, 3])
    """
    step = channels[1] - channels[0] if len(channels) > 1 else 1
    evenly = slice(channels[0], channels[-1] + 1, step)
    return evenly if list(range(evenly.start, evenly.stop, step)) == list(channels) else list(channels)


class DenseNet(nn.Module):
    """Linear, batch norm, GELU, dropout, repeated; optionally a plain output layer behind."""

    def __init__(self, num_inputs: int, widths: Sequence[int], dropout: float, num_outputs: int = 0) -> None:
        super().__init__()
        sizes = [num_inputs, *widths]
        layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        self.bn_layers = nn.ModuleList(nn.BatchNorm1d(b) for b in widths)
        if num_outputs:
            layers.append(nn.Linear(sizes[-1], num_outputs))
        self.dense_layers = nn.ModuleList(layers)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BF: torch.Tensor) -> torch.Tensor:
        """Return (B, last width) or (B, num_outputs)."""
        x = x_BF
        for dense, norm in zip(self.dense_layers, self.bn_layers, strict=False):
            x = self.dropout(nn.functional.gelu(norm(dense(x))))
        return self.dense_layers[-1](x) if len(self.dense_layers) > len(self.bn_layers) else x


class FusionNet(nn.Module):
    """The blocks that are asked for, joined by the head; zeros stand for one that is not asked for.

    Parameters
    ----------
    side, channels
        Of the volumes and the imaging network; no channels: no imaging.
    present
        Which of the volumes, as channels of `mmbase.names.MODALITIES`, are given; none: the imaging network is there
        to be penalised alone.
    num_edges, num_features
        Of connectivity and metadata; 0: not asked for.
    num_outputs
        1 for a continuous target, 2 for a binary one.
    """

    def __init__(
        self,
        *,
        side: int,
        channels: Sequence[int],
        present: Sequence[int] = range(NUM_CHANNELS),
        num_edges: int,
        num_features: int,
        num_outputs: int,
    ) -> None:
        super().__init__()
        self.cnn = ImagingNet(side, channels, present or range(NUM_CHANNELS)) if channels else None
        if self.cnn is not None and not present:
            _leave_to_penalty(self.cnn)
        self.mlp_connectivity = DenseNet(num_edges, CONNECTIVITY_WIDTHS, CONNECTIVITY_DROPOUT) if num_edges else None
        self.mlp_metadata = DenseNet(num_features, METADATA_WIDTHS, METADATA_DROPOUT) if num_features else None
        self.widths = (CONNECTIVITY_WIDTHS[-1], METADATA_WIDTHS[-1], imaging_width(side))
        self.mlp_logits = DenseNet(sum(self.widths), HEAD_WIDTHS, HEAD_DROPOUT, num_outputs)
        ends = list(accumulate((len(present), bool(num_edges), bool(num_features)), initial=0))
        imaging, connectivity, metadata = (slice(start, end) for start, end in pairwise(ends))
        self.inputs_of_blocks = (connectivity, metadata, imaging)

    def forward(
        self,
        volumes_BCXYZ: torch.Tensor | None,
        edges_BE: torch.Tensor | None,
        features_BF: torch.Tensor | None,
        given_BI: torch.Tensor | None = None,
        embeddings_BD: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return outputs (B, num_outputs): scaled targets or logits.

        Parameters
        ----------
        given_BI
            Which inputs each sample has: each volume, connectivity, metadata; None: all have all. Zeros stand for a
            volume and for the output of a block that a sample does not have.
        embeddings_BD
            What the imaging network has made of the volumes, which are None then.
        """
        if given_BI is not None and volumes_BCXYZ is not None:
            volumes_BCXYZ = hide_channels(volumes_BCXYZ, given_BI[:, : volumes_BCXYZ.shape[1]])
        given = [x for x in (volumes_BCXYZ, edges_BE, features_BF, embeddings_BD) if x is not None]
        blocks = ((self.mlp_connectivity, edges_BE), (self.mlp_metadata, features_BF), (self.cnn, volumes_BCXYZ))
        parts = [
            block(x) if block is not None and x is not None else given[0].new_zeros((given[0].shape[0], width))
            for (block, x), width in zip(blocks, self.widths, strict=True)
        ]
        if embeddings_BD is not None:
            parts[-1] = embeddings_BD
        if given_BI is not None:
            has_block = [given_BI[:, inputs].any(dim=1, keepdim=True) for inputs in self.inputs_of_blocks]
            parts = [part.masked_fill(~has, 0.0) for part, has in zip(parts, has_block, strict=True)]
        outputs: torch.Tensor = self.mlp_logits(torch.cat(parts, dim=1))
        return outputs


def hide_channels(volumes_BCXYZ: torch.Tensor, given_BC: torch.Tensor) -> torch.Tensor:
    """Return volumes with zeros in place of those that a sample does not have.

    A sample that has none keeps what stands there: its embedding does not count, and batch norm is to take its moments
    over brains.
    """
    hidden_BC = ~given_BC & given_BC.any(dim=1, keepdim=True)
    return volumes_BCXYZ.masked_fill(hidden_BC[:, :, None, None, None], 0.0)


def imaging_width(side: int) -> int:
    """Return the width of the imaging embedding: 256 at side 128, 128 below."""
    return 256 if side >= 128 else 128


def weight_penalty(model: nn.Module, config: ModelConfig) -> torch.Tensor:
    """Return the sum over tensors of more than one dimension of a factor times the mean of squares.

    Neither biases nor the factors of batch norm are among them, as in the reference, nor what does not learn.
    """
    first = "mlp_connectivity.dense_layers.0.weight"
    penalised = {name: p for name, p in model.named_parameters() if p.dim() > 1 and p.requires_grad}
    factors = [config.connectivity_penalty if name == first else config.weight_penalty for name in penalised]
    total: torch.Tensor = _MeanSquares.apply(factors, *penalised.values())
    return total


class _MeanSquares(torch.autograd.Function):
    """The sum over tensors of a factor times the mean of squares, in a few launches on a GPU for all tensors."""

    @staticmethod
    def forward(ctx: Any, factors: Sequence[float], *tensors: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(*tensors)
        ctx.shares = [factor / tensor.numel() for factor, tensor in zip(factors, tensors, strict=True)]
        norms = torch._foreach_norm(tensors)
        return torch.stack(torch._foreach_mul(norms, [share**0.5 for share in ctx.shares])).square().sum()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scaled = torch._foreach_mul(ctx.saved_tensors, [2 * share for share in ctx.shares])
        torch._foreach_mul_(scaled, gradient)
        return None, *scaled


def _leave_to_penalty(unused: nn.Module) -> None:
    """Let only what has a penalty learn: several ranks wait for the gradients of whatever learns."""
    for parameter in unused.parameters():
        parameter.requires_grad_(parameter.dim() > 1)


def complete(shape: NetworkShape) -> NetworkShape:
    """Choose the channels by side where none are given; without volumes none, unless imaging is kept all the same.

    Raises
    ------
    TrainError
        There is no default for this side, or the stages do not halve it evenly.
    """
    trunk = {name: value for name, value in shape.parameters.items() if name == "trunk"}
    if not shape.volumes and not shape.parameters.get("keep_imaging"):
        return replace(shape, parameters={"channels": []})
    channels = tuple(shape.parameters.get("channels") or CHANNELS_BY_SIDE.get(shape.side, ()))
    if not channels:
        raise TrainError(f"There is no default network for side {shape.side}; give --channels.")
    if not MIN_STAGES <= len(channels) <= MAX_STAGES or shape.side % 2 ** len(channels):
        raise TrainError(
            f"Expected {MIN_STAGES} to {MAX_STAGES} stages that halve side {shape.side} evenly, got {len(channels)}."
        )
    return replace(shape, parameters={"channels": list(channels), **trunk})


def build(shape: NetworkShape) -> FusionNet:
    """Return the untrained network; an imaging network that comes from another run does not learn."""
    network = _network(shape, shape.parameters["channels"])
    if network.cnn is not None and shape.parameters.get("trunk"):
        network.cnn.requires_grad_(False)
    return network


def build_head(shape: NetworkShape) -> FusionNet:
    """Return the untrained network without its imaging network: it takes embeddings in place of volumes."""
    return _network(shape, ())


def _network(shape: NetworkShape, channels: Sequence[int]) -> FusionNet:
    return FusionNet(
        side=shape.side,
        channels=channels,
        present=[VOLUME_MODALITIES.index(modality) for modality in shape.volumes],
        num_edges=shape.num_edges,
        num_features=shape.num_features,
        num_outputs=shape.num_outputs,
    )


def arrange(model: nn.Module, memory_format: torch.memory_format) -> None:
    """Let volumes and the weights of their convolutions lie in a memory format."""
    assert isinstance(model, FusionNet)
    if model.cnn is not None:
        model.cnn.memory_format = memory_format
        model.cnn.conv_layers.to(memory_format=memory_format)  # type: ignore[call-overload]


ARCHITECTURE = Architecture(
    settings=("channels", "weight_penalty", "connectivity_penalty", "keep_imaging", "modality_dropout", "trunk"),
    build=build,
    trunk=Trunk(part="cnn", build_head=build_head),
    complete=complete,
    arrange=arrange,
    penalty=weight_penalty,
)
