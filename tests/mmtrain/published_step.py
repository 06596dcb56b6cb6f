"""The published training step, written down again from its description, with plain functions of PyTorch and NumPy.

Nothing of mm is imported. Weights come by the names of the published checkpoints. Blocks that are not asked for give
zeros; a modality that is absent is a channel of zeros. Source: Ruffle et al., NeuroImage 2024,
doi 10.1016/j.neuroimage.2024.120600.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Weights = Mapping[str, torch.Tensor]
ORDER = ("flair", "t1", "dwi")
PENALTY, FIRST_CONNECTIVITY_PENALTY = 1e-4, 1e-3
CONNECTIVITY, METADATA = 128, 32
"""Widths of what the two dense blocks give."""


@dataclass(frozen=True, kw_only=True)
class PublishedBatch:
    """Samples as they are read; None: not asked for."""

    volumes: Mapping[str, NDArray[np.uint16]]
    edges: NDArray[np.float32] | None
    metadata: NDArray[np.float64] | None
    """All variables but the target, those of blocks that are not asked for included."""
    is_shown: NDArray[np.bool_]
    """Of each variable, whether its block is asked for and is not the target's own."""
    labels: NDArray[np.float64]


def scale_labels(labels: NDArray[np.float64], training: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clamp, z-score and min-max scale to [-1, 1], all with the training labels' statistics."""
    low, high = np.percentile(training, [0.5, 99.5])
    clamped, of_training = np.clip(labels, low, high), np.clip(training, low, high)
    mean, spread = of_training.mean(), of_training.std()
    scores, of_training = (clamped - mean) / spread, (of_training - mean) / spread
    fractions: NDArray[np.float64] = (scores - of_training.min()) / (of_training.max() - of_training.min())
    return 2 * fractions - 1


def channels_of(batch: PublishedBatch, side: int) -> torch.Tensor | None:
    """Z-score and min-max scale each volume; stack FLAIR, T1, DWI."""
    if not batch.volumes:
        return None
    channels = []
    for modality in ORDER:
        if modality in batch.volumes:
            values = batch.volumes[modality].astype(np.float64)
            scores = np.stack([(one - one.mean()) / one.std() for one in values])
            channels.append(np.stack([2 * (one - one.min()) / (one.max() - one.min()) - 1 for one in scores]))
        else:
            channels.append(np.zeros((len(batch.labels), side, side, side)))
    return torch.from_numpy(np.stack(channels, axis=1))


def normalise(x: torch.Tensor, weights: Weights, name: str, *, training: bool) -> torch.Tensor:
    """Apply batch norm by the moments of the batch or the running ones, which stay as they are."""
    moments = (weights[f"{name}.running_mean"].clone(), weights[f"{name}.running_var"].clone())
    return functional.batch_norm(x, *moments, weights[f"{name}.weight"], weights[f"{name}.bias"], training=training)


def dense(x: torch.Tensor, weights: Weights, name: str, *, hidden: int, training: bool) -> torch.Tensor:
    """Apply Linear, batch norm and GELU so many times; dropout is off."""
    for k in range(hidden):
        x = functional.linear(x, weights[f"{name}.dense_layers.{k}.weight"], weights[f"{name}.dense_layers.{k}.bias"])
        x = functional.gelu(normalise(x, weights, f"{name}.bn_layers.{k}", training=training))
    return x


def embed_volumes(x: torch.Tensor, weights: Weights, *, training: bool) -> torch.Tensor:
    """Apply the residual stages and the dense layer of the imaging network."""
    stages = sum(name.startswith("cnn.skip_conv_layers") and name.endswith("weight") for name in weights)
    for k in range(stages):
        skip, first, second = (
            (weights[f"cnn.{layer}.weight"], weights[f"cnn.{layer}.bias"])
            for layer in (f"skip_conv_layers.{k}", f"conv_layers.{2 * k}", f"conv_layers.{2 * k + 1}")
        )
        skipped = functional.conv3d(x, *skip)
        x = functional.gelu(functional.conv3d(x, *first, padding=1))
        x = functional.conv3d(x, *second, padding=1) + skipped
        x = functional.max_pool3d(functional.gelu(normalise(x, weights, f"cnn.bn_layers.{k}", training=training)), 2)
    x = functional.linear(x.flatten(1), weights["cnn.dense_layer.weight"], weights["cnn.dense_layer.bias"])
    return functional.gelu(normalise(x, weights, "cnn.final_batch_norm", training=training))


def published_outputs(batch: PublishedBatch, weights: Weights, side: int, *, training: bool) -> torch.Tensor:
    """Return outputs (B, 1), or (B, 2) of a binary target."""
    num, imaging_width = len(batch.labels), 256 if side >= 128 else 128
    parts = [torch.zeros(num, width, dtype=torch.float64) for width in (CONNECTIVITY, METADATA, imaging_width)]
    if batch.edges is not None:
        edges = torch.from_numpy(batch.edges).double()
        parts[0] = dense(edges, weights, "mlp_connectivity", hidden=2, training=training)
    if batch.metadata is not None:
        shown = np.where(batch.is_shown, batch.metadata, 0.0).astype(np.float32)
        parts[1] = dense(torch.from_numpy(shown).double(), weights, "mlp_metadata", hidden=3, training=training)
    if (channels := channels_of(batch, side)) is not None:
        parts[2] = embed_volumes(channels, weights, training=training)
    x = dense(torch.cat(parts, dim=1), weights, "mlp_logits", hidden=2, training=training)
    return functional.linear(x, weights["mlp_logits.dense_layers.2.weight"], weights["mlp_logits.dense_layers.2.bias"])


def published_penalty(parameters: Weights) -> torch.Tensor:
    """Return the penalty of every tensor of more than one dimension, of the imaging network also where it is unused."""
    total = torch.zeros((), dtype=torch.float64)
    for name, parameter in parameters.items():
        if parameter.dim() > 1:
            is_first = name == "mlp_connectivity.dense_layers.0.weight"
            total = total + (FIRST_CONNECTIVITY_PENALTY if is_first else PENALTY) * parameter.square().mean()
    return total


def published_loss(
    batch: PublishedBatch, weights: Weights, side: int, training_labels: NDArray[np.float64] | None, *, training: bool
) -> torch.Tensor:
    """Return the loss with its penalty, of training or validation.

    Parameters
    ----------
    weights
        Parameters and running moments.
    training_labels
        Of a continuous target, all of them; None: the target is binary.
    """
    outputs = published_outputs(batch, weights, side, training=training)
    if training_labels is None:
        pairs = torch.from_numpy(np.stack([1 - batch.labels, batch.labels], axis=1))
        loss = functional.binary_cross_entropy(torch.sigmoid(outputs), pairs)
    else:
        loss = functional.mse_loss(outputs[:, 0], torch.from_numpy(scale_labels(batch.labels, training_labels)))
    parameters = {name: tensor for name, tensor in weights.items() if "running_" not in name}
    return loss + published_penalty({name: tensor for name, tensor in parameters.items() if tensor.is_floating_point()})
