"""Checkpoints: one safetensors file of weights and optimiser state, with the history in its header.

Nothing is pickled. A file is written whole or not at all.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from mmtrain.errors import TrainError
from mmtrain.run import write_atomically

_MODEL, _OPTIMIZER = "model.", "optimizer."


@dataclass(slots=True)
class Progress:
    """How far a run has come."""

    epoch: int
    """Epochs finished."""
    best_epoch: int
    best_val_loss: float
    history: list[dict[str, Any]]
    """One entry for each finished epoch."""


def save_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write the state after an epoch."""
    tensors = {_MODEL + name: tensor for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    header = {
        "epoch": progress.epoch,
        "best_epoch": progress.best_epoch,
        "best_val_loss": progress.best_val_loss,
        "history": progress.history,
    }
    write_atomically(path, save(_contiguous(tensors), metadata={"progress": json.dumps(header)}))


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Put a saved state back into a model and its optimiser.

    Raises
    ------
    TrainError
        There is no checkpoint, it is damaged, or it belongs to another model.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["progress"])
        tensors = load_file(path)
        model.load_state_dict({n.removeprefix(_MODEL): t for n, t in tensors.items() if n.startswith(_MODEL)})
    except FileNotFoundError as error:
        raise TrainError("The run has no checkpoint yet: it stopped in its first epoch. Start it anew.") from error
    except (SafetensorError, RuntimeError, KeyError, TypeError) as error:
        raise TrainError(f"The checkpoint {path} cannot be used: {str(error).splitlines()[0]}") from error
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMIZER):
            index, key = name.removeprefix(_OPTIMIZER).split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return Progress(**header)


def save_weights(path: Path, model: nn.Module) -> None:
    """Write a model's weights."""
    write_atomically(path, save(_contiguous(model.state_dict())))


def load_weights(path: Path, model: nn.Module) -> None:
    """Put saved weights back into a model."""
    model.load_state_dict(load_file(path))


def _contiguous(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
