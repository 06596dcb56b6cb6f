"""The number type of the network's arithmetic, chosen from the device."""

from contextlib import AbstractContextManager, nullcontext

import torch

from mmtrain.config.optimisation import Precision
from mmtrain.errors import TrainError

_NATIVE_BFLOAT16 = (8, 0)
"""Compute capability from which GPUs have bfloat16 in hardware: A100 and later."""


def choose_precision(wanted: Precision, device: torch.device) -> torch.dtype:
    """Return the type to compute with: ``auto`` takes bfloat16 on a GPU that has it, float32 elsewhere.

    Processors emulate bfloat16 far slower than they compute in float32. float64 is for comparing runs, on
    other numbers of ranks or with other versions, without the noise that batch norm and Adam make of rounding.

    Raises
    ------
    TrainError
        bfloat16 is asked for on a device that does not have it.
    """
    is_native = device.type == "cuda" and torch.cuda.get_device_capability(device) >= _NATIVE_BFLOAT16
    if wanted == "bfloat16" and device.type == "cuda" and not is_native:
        raise TrainError("--precision bfloat16 needs a GPU of compute capability 8.0 or more. Use float32 or auto.")
    match wanted:
        case "auto":
            return torch.bfloat16 if is_native else torch.float32
        case "float32":
            return torch.float32
        case "float64":
            return torch.float64
        case "bfloat16":
            return torch.bfloat16


def parameter_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the type of a network's weights: never less than float32, whatever it computes in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def computing_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Let networks compute in a type while a block lasts; weights, their gradients and losses keep theirs."""
    return torch.autocast(device.type, dtype) if dtype == torch.bfloat16 else nullcontext()
