"""Published checkpoints as `REFERENCE.md` describes them, made without the code that reads them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tests.mmtrain.published_step import dense, embed_volumes

Weights = dict[str, torch.Tensor]
PUBLISHED_CHANNELS = {64: (32, 64, 128, 256, 256), 128: (32, 64, 128, 256, 256, 256)}
SMALL_CHANNELS = {64: (2, 2, 3, 3, 4), 128: (2, 2, 2, 3, 3, 4)}
LONG, SHORT = 5000, 40
"""Training batches: enough for an absent channel to fade, and too few."""


@dataclass(frozen=True, kw_only=True)
class Described:
    """A checkpoint to be made."""

    side: int = 64
    channels: Sequence[int] = SMALL_CHANNELS[64]
    edges: int = 10
    columns: int = 24
    outputs: int = 1
    inputs: Sequence[str] = ("flair", "t1", "dwi", "connectivity", "metadata")
    """What it was trained on."""
    batches: int = LONG
    seed: int = 5


def make_weights(described: Described) -> Weights:
    """Return tensors by block and name, with moments and factors that are not those of the start."""
    generator = torch.Generator().manual_seed(described.seed)
    weights: Weights = {}

    def layer(name: str, *shape: int) -> None:
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        for part, size in (("weight", shape), ("bias", shape[:1])):
            weights[f"{name}.{part}"] = torch.rand(size, generator=generator) * 2 * bound - bound

    def norm(name: str, width: int, is_trained: bool) -> None:
        for part, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -1, 1),
            ("running_mean", -1, 1),
            ("running_var", 0.3, 2),
        ):
            weights[f"{name}.{part}"] = torch.rand(width, generator=generator) * (high - low) + low
        weights[f"{name}.num_batches_tracked"] = torch.tensor(described.batches if is_trained else 0)

    def mlp(name: str, num: int, widths: Sequence[int], is_trained: bool, outputs: int = 0) -> None:
        for k, (a, b) in enumerate(zip([num, *widths], widths, strict=False)):
            layer(f"{name}.dense_layers.{k}", b, a)
            norm(f"{name}.bn_layers.{k}", b, is_trained)
        if outputs:
            layer(f"{name}.dense_layers.{len(widths)}", outputs, widths[-1])

    volumes = [name for name in ("flair", "t1", "dwi") if name in described.inputs]
    for k, (a, b) in enumerate(zip([3, *described.channels], described.channels, strict=False)):
        layer(f"cnn.skip_conv_layers.{k}", b, a, 1, 1, 1)
        layer(f"cnn.conv_layers.{2 * k}", b, a, 3, 3, 3)
        layer(f"cnn.conv_layers.{2 * k + 1}", b, b, 3, 3, 3)
        norm(f"cnn.bn_layers.{k}", b, bool(volumes))
    width = 256 if described.side >= 128 else 128
    layer("cnn.dense_layer", width, described.channels[-1] * (described.side // 2 ** len(described.channels)) ** 3)
    norm("cnn.final_batch_norm", width, bool(volumes))
    if volumes and described.batches >= LONG:
        absent = [c for c, name in enumerate(("flair", "t1", "dwi")) if name not in volumes]
        weights["cnn.conv_layers.0.weight"][:, absent] *= 0.02
    mlp("mlp_connectivity", described.edges, (128, 128), "connectivity" in described.inputs)
    mlp("mlp_metadata", described.columns, (128, 64, 32), "metadata" in described.inputs)
    mlp("mlp_logits", 128 + 32 + width, (256, 256), True, described.outputs)
    return weights


def checkpoint_of(weights: Weights, prefix: str = "") -> dict[str, Any]:
    """Return the dictionary that the published trainer saves."""
    blocks = dict.fromkeys(name.split(".")[0] for name in weights)
    return {
        **{
            f"{block}_state_dict": {
                prefix + name.removeprefix(f"{block}."): tensor
                for name, tensor in weights.items()
                if name.startswith(f"{block}.")
            }
            for block in blocks
        },
        "optimizer_state_dict": {
            "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2)}},
            "param_groups": [],
        },
        "scaler_state_dict": {"scale": 65536.0, "_growth_tracker": 3},
        "epoch": 7,
        "list_of_training_losses_per_epoch": [np.float64(0.5), np.float64(0.25)],
        "list_of_training_accuracies_per_epoch": [],
        "list_of_training_times_per_epoch": [12.5, 13.5],
        "list_of_validation_losses_per_epoch": [np.float32(0.75), np.float32(0.5)],
        "list_of_validation_accuracies_per_epoch": [],
        "list_of_validation_times_per_epoch": [1.5, 2.5],
    }


def save_checkpoint(path: Path, described: Described | None = None, prefix: str = "") -> Weights:
    """Write a checkpoint; return its weights."""
    weights = make_weights(described or Described())
    torch.save(checkpoint_of(weights, prefix), path)
    return weights


def logits_of(weights: Weights, side: int, inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Return the logits of the published architecture in the precision of the weights, with plain functions."""
    dtype = weights["cnn.dense_layer.weight"].dtype
    given = {name: torch.from_numpy(array).to(dtype) for name, array in inputs.items()}
    num = len(next(iter(given.values())))
    parts = [torch.zeros(num, width, dtype=dtype) for width in (128, 32, 256 if side >= 128 else 128)]
    with torch.no_grad():
        if "connectivity" in given:
            parts[0] = dense(given["connectivity"], weights, "mlp_connectivity", hidden=2, training=False)
        if "metadata" in given:
            parts[1] = dense(given["metadata"], weights, "mlp_metadata", hidden=3, training=False)
        if "imaging" in given:
            parts[2] = embed_volumes(given["imaging"], weights, training=False)
        x = dense(torch.cat(parts, dim=1), weights, "mlp_logits", hidden=2, training=False)
        last = (weights[f"mlp_logits.dense_layers.2.{part}"] for part in ("weight", "bias"))
        return functional.linear(x, *last).numpy()


def some_inputs(described: Described, num: int = 2) -> dict[str, NDArray[np.float32]]:
    """Return inputs of the sizes that a checkpoint takes, every one of them."""
    rng = np.random.default_rng(3)
    shapes = {
        "imaging": (3, *(described.side,) * 3),
        "connectivity": (described.edges,),
        "metadata": (described.columns,),
    }
    return {name: rng.uniform(-1, 1, (num, *shape)).astype(np.float32) for name, shape in shapes.items()}
