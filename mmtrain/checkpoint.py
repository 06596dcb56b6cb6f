"""Checkpoints: one safetensors file of weights and optimiser state, with the progress and a checksum in its header.

Nothing is pickled. A file is written whole or not at all, and the one before is kept, so that a disk that damages one
costs a few minutes and not the run.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from mmbase.checksums import write_checked
from mmbase.errors import first_line
from mmbase.files import write_bytes
from mmbase.json_text import parse_json
from mmtrain.errors import TrainError

_MODEL, _OPTIMIZER, _SCALER = "model.", "optimizer.", "scaler."
_OF_SCALER = ("scale", "_growth_tracker")
"""What changes of a scaler's state: its scale, and how many steps ago it was changed."""
_logger = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True)
class EpochPart:
    """How far an epoch that is not finished has come."""

    steps: int = 0
    """Steps taken."""
    loss_sum: float = 0.0
    """Of all samples so far, over all ranks."""
    num_samples: int = 0
    seconds: float = 0.0
    wait_seconds: float = 0.0
    """In which the device had nothing to do because no batch was there."""


@dataclass(kw_only=True, slots=True)
class Progress:
    """How far a run has come."""

    epoch: int = 0
    """Epochs finished."""
    part: EpochPart = field(default_factory=EpochPart)
    """Of the next epoch."""
    best_epoch: int = 0
    best_val_loss: float = float("inf")
    history: list[dict[str, Any]] = field(default_factory=list)
    """One entry for each finished epoch."""


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    scaler: torch.amp.GradScaler | None = None,
) -> None:
    """Write the state after a step; the checkpoint before this one becomes `previous_checkpoint`."""
    tensors = {_MODEL + name: tensor for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    if scaler is not None and scaler.is_enabled():
        tensors |= {_SCALER + name: torch.tensor(scaler.state_dict()[name]) for name in _OF_SCALER}
    tensors = _contiguous(tensors)
    state = json.dumps(asdict(progress))
    header = {"progress": state, "checksum": _checksum(state, tensors)}
    if path.exists():
        path.replace(previous_checkpoint(path))
    write_bytes(path, save(tensors, metadata=header))


def previous_checkpoint(path: Path) -> Path:
    """Return where the checkpoint before the last one is kept.

    >>> previous_checkpoint(Path("checkpoints/last.safetensors")).as_posix()
    'checkpoints/last.previous.safetensors'
    """
    return path.with_suffix(f".previous{path.suffix}")


def has_checkpoint(path: Path) -> bool:
    """Return whether there is a checkpoint to resume from."""
    return path.exists() or previous_checkpoint(path).exists()


def remove_checkpoints(path: Path) -> None:
    """Remove the last checkpoint and the one before, which take many times what a model's weights do."""
    for each in (previous_checkpoint(path), path):
        each.unlink(missing_ok=True)


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None = None
) -> Progress:
    """Put a saved state back into a model, its optimiser and its scaler: the last one that is whole and finite.

    A run that began in another precision has no state of a scaler, which then begins anew.

    Raises
    ------
    TrainError
        There is no checkpoint, all are damaged, or they belong to another model.
    """
    progress, tensors = _read_last(path)
    try:
        _load(model, {n.removeprefix(_MODEL): t for n, t in tensors.items() if n.startswith(_MODEL)})
        _load_optimizer(
            optimizer, {n.removeprefix(_OPTIMIZER): t for n, t in tensors.items() if n.startswith(_OPTIMIZER)}
        )
        if scaler is not None and scaler.is_enabled():
            saved = {name: tensors[_SCALER + name].item() for name in _OF_SCALER if _SCALER + name in tensors}
            scaler.load_state_dict({**scaler.state_dict(), **saved})
    except (RuntimeError, ValueError, LookupError) as error:
        raise TrainError(_unusable(path, error)) from error
    return progress


def read_progress(path: Path) -> Progress:
    """Return how far a run had come at the checkpoint that it would be resumed from; its start where there is none.

    Raises
    ------
    TrainError
        All checkpoints are damaged.
    """
    return _read_last(path)[0] if has_checkpoint(path) else Progress()


def save_weights(path: Path, model: nn.Module, others: Mapping[str, torch.Tensor] = MappingProxyType({})) -> None:
    """Write a model's weights, and their checksum.

    Parameters
    ----------
    others
        Weights by name that belong to the model and did not learn.
    """
    write_checked(path, save(_contiguous({**others, **model.state_dict()})))


def load_weights(path: Path, model: nn.Module) -> None:
    """Put saved weights back into a model.

    Raises
    ------
    TrainError
        They are damaged or those of another model.
    """
    try:
        _load(model, load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise TrainError(
            f"The weights {path} cannot be used: {first_line(error)}.", "Put the file back from a backup."
        ) from error


def _load(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put tensors into a model; refuse whole numbers for fractions, which PyTorch would convert."""
    wanted = model.state_dict()
    for name, tensor in tensors.items():
        if name in wanted and tensor.is_floating_point() != wanted[name].is_floating_point():
            raise RuntimeError(f"{name} holds {tensor.dtype}, not {wanted[name].dtype}")
    model.load_state_dict(tensors)


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = _laid_out_like(parameters[int(index)], tensor)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _read_last(path: Path) -> tuple[Progress, dict[str, torch.Tensor]]:
    """Read the last checkpoint that can be used; remove the one after it, if there is."""
    previous = previous_checkpoint(path)
    if not has_checkpoint(path):
        raise TrainError("The run has no checkpoint yet: it stopped in its first minutes. Start it again.")
    try:
        return _read(path if path.exists() else previous)  # a kill may come between renaming and writing
    except TrainError as error:
        if not previous.exists():
            raise
        _logger.warning("%s The one before is used.", error)
        found = _read(previous)
        path.unlink(missing_ok=True)  # else the next checkpoint would replace the good one by it
        return found


def _read(path: Path) -> tuple[Progress, dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
        tensors = load_file(path)
        progress = parse_json(header["progress"], Progress)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise TrainError(_unusable(path, error)) from error
    if header.get("checksum") != _checksum(header["progress"], tensors):
        raise TrainError(_unusable(path, "its checksum does not match"))
    # What an optimiser has seen stays in its state; of a network's tensors some may be infinite, as masks are.
    if not all(tensor.isfinite().all() for name, tensor in tensors.items() if name.startswith(_OPTIMIZER)):
        raise TrainError(_unusable(path, "it holds numbers that are not finite"))
    return progress, tensors


def _checksum(progress: str, tensors: Mapping[str, torch.Tensor]) -> str:
    digest = xxhash.xxh3_128(progress.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()


def _laid_out_like(parameter: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """Give a tensor the strides of its parameter: fused optimisers take equal strides for granted."""
    return torch.empty_like(parameter, device="cpu").copy_(tensor) if tensor.shape == parameter.shape else tensor


def _unusable(path: Path, why: object) -> str:
    return f"The checkpoint {path} cannot be used: {first_line(why)}."


def _contiguous(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
