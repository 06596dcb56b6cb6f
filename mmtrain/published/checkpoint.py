"""A published checkpoint: the weights of all four blocks, with how long they were trained.

Terms
-----
block   one of the four parts of the network, each with a state dict of its own in the file.
curve   one number for each epoch: a loss, an accuracy or a time, of training or validation.

Names of tensors are those of `mmtrain.models.networks.fusion.FusionNet`: the block, then the name in the file, without
the ``module.`` that training on several GPUs puts before it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import torch

from mmbase.names import INPUTS
from mmbase.printable import printable, shown
from mmtrain.errors import TrainError
from mmtrain.models.networks import fusion
from mmtrain.models.protocol import NetworkShape
from mmtrain.published.torch_file import read_torch_file

BLOCKS = ("cnn", "mlp_connectivity", "mlp_metadata", "mlp_logits")
CHANNELS = ("flair", "t1", "dwi")
"""Of the imaging network, in their order."""
CURVES = tuple(f"{split}_{what}" for split in ("training", "validation") for what in ("losses", "accuracies", "times"))
INPUTS_KEY = "mm_trained_inputs"
"""Beside the published parts, in files that mm wrote; the published code passes over what it does not know."""
_OF_SEVERAL_GPUS = "module."
_REMEDY = "Give a checkpoint as the reference study's trainer writes it: docs/weights.md says what it holds."


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedCheckpoint:
    """What a checkpoint holds, but for the state of its optimiser."""

    tensors: Mapping[str, torch.Tensor]
    """All four blocks: float32, but for the counters of batch norm."""
    shape: NetworkShape
    """Of the network with every input: all three channels, connectivity and metadata."""
    inputs: tuple[str, ...] = ()
    """What it was trained on, where the file says so: one that mm wrote does, a published one does not."""
    epoch: int | None = None
    """As it stands in the file; None where it does not."""
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """One of `CURVES` to its numbers, for those that are in the file."""


def read_checkpoint(path: Path) -> PublishedCheckpoint:
    """Read a published checkpoint, and make sure that it is one.

    Raises
    ------
    TrainError
        It is something else, damaged, or could run something; see `mmtrain.published.torch_file`.
    """
    content, file = read_torch_file(path), shown(path)
    found = {name: _block(content, name, file) for name in BLOCKS}
    if missing := [name for name, block in found.items() if block is None]:
        raise TrainError(
            f"Expected a published checkpoint with {', '.join(f'{name}_state_dict' for name in missing)} in "
            f"{file}, got {_keys(content)}.",
            _REMEDY,
        )
    mapped = {f"{name}.{key}": tensor for name, block in found.items() for key, tensor in (block or {}).items()}
    shape = _infer_shape(mapped, file)
    require_network(mapped, shape, file)
    if sum(tensor.nbytes for tensor in mapped.values()) > path.stat().st_size:
        raise TrainError(f"The tensors in {file} are larger than the file.", _REMEDY)
    tensors = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in mapped.items()}
    _require_finite(tensors, file)
    return PublishedCheckpoint(
        tensors=tensors,
        shape=shape,
        inputs=_inputs(content.get(INPUTS_KEY, ()), file),
        epoch=_epoch(content.get("epoch")),
        curves=_curves(content, file),
    )


def require_network(tensors: Mapping[str, torch.Tensor], shape: NetworkShape, name: str) -> None:
    """Refuse tensors that are not those of the published network with a shape.

    Raises
    ------
    TrainError
        Names the first that differs.
    """
    with torch.device("meta"):
        expected = fusion.build(shape).state_dict()
    for key in (*expected, *(key for key in tensors if key not in expected)):
        there, wanted = tensors.get(key), expected.get(key)
        if _signature(there) != _signature(wanted):
            raise TrainError(
                f"The weights in {name} are not those of the published network: expected {printable(key)[:80]} to be "
                f"{_told(wanted)}, got {_told(there)}.",
                _REMEDY,
            )


def _block(content: Mapping[Any, Any], name: str, file: str) -> dict[str, torch.Tensor] | None:
    """Return a block's tensors by their names; None where it is not there."""
    block = content.get(f"{name}_state_dict")
    if block is None:
        return None
    if not isinstance(block, dict) or not all(
        isinstance(key, str) and isinstance(tensor, torch.Tensor) for key, tensor in block.items()
    ):
        raise TrainError(f"Expected tensors by their names in {name}_state_dict of {file}.", _REMEDY)
    is_wrapped = all(key.startswith(_OF_SEVERAL_GPUS) for key in block)
    return {key.removeprefix(_OF_SEVERAL_GPUS) if is_wrapped else key: tensor for key, tensor in block.items()}


def _infer_shape(tensors: Mapping[str, torch.Tensor], file: str) -> NetworkShape:
    """Return the shape that the weights tell; whether all of them are of it, `require_network` says."""

    def size(name: str, dimension: int) -> int:
        tensor = tensors.get(name)
        if tensor is None or tensor.dim() <= dimension or not tensor.shape[dimension]:
            raise TrainError(f"Expected weights named {name} in {file}, got none of its kind.", _REMEDY)
        return tensor.shape[dimension]

    stages = next(k for k in count() if f"cnn.skip_conv_layers.{k}.weight" not in tensors)
    channels = [size(f"cnn.skip_conv_layers.{k}.weight", 0) for k in range(max(stages, 1))]
    last_side = round(math.cbrt(size("cnn.dense_layer.weight", 1) / channels[-1]))
    shape = NetworkShape(
        volumes=CHANNELS,
        side=last_side * 2 ** len(channels),
        num_edges=size("mlp_connectivity.dense_layers.0.weight", 1),
        num_features=size("mlp_metadata.dense_layers.0.weight", 1),
        num_outputs=size("mlp_logits.dense_layers.2.weight", 0),
        parameters={"channels": channels},
    )
    if shape.num_outputs > 2:
        raise TrainError(f"Expected one or two outputs in {file}, got {shape.num_outputs}.", _REMEDY)
    return fusion.complete(shape)


def _signature(tensor: torch.Tensor | None) -> tuple[torch.Size, torch.dtype] | None:
    return None if tensor is None else (tensor.shape, tensor.dtype)


def _told(tensor: torch.Tensor | None) -> str:
    if tensor is None:
        return "left out"
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def _require_finite(tensors: Mapping[str, torch.Tensor], file: str) -> None:
    for name, tensor in tensors.items():
        if not tensor.isfinite().all() or (name.endswith("running_var") and (tensor < 0).any()):
            raise TrainError(f"{name} in {file} holds numbers that no training leaves there.", "Get another copy.")


def _epoch(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) and value >= 0 else None


def _inputs(value: Any, file: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or any(name not in INPUTS for name in value):
        raise TrainError(f"Expected names among {', '.join(INPUTS)} in {INPUTS_KEY} of {file}.", _REMEDY)
    return tuple(value)


def _curves(content: Mapping[Any, Any], file: str) -> dict[str, tuple[float, ...]]:
    curves = {}
    for name in CURVES:
        values = content.get(f"list_of_{name}_per_epoch", ())
        if not isinstance(values, list | tuple):
            raise TrainError(f"Expected a list of numbers in list_of_{name}_per_epoch of {file}.", _REMEDY)
        if values:
            curves[name] = tuple(_number(value, name, file) for value in values)
    return curves


def _number(value: Any, name: str, file: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise TrainError(f"Expected numbers in list_of_{name}_per_epoch of {file}.", _REMEDY) from error


def _keys(content: Mapping[Any, Any]) -> str:
    names = [printable(str(key))[:40] for key in content]
    return f"{', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}" if names else "nothing"
