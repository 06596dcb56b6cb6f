"""The arithmetic of a network: its number type, and what follows from it.

Terms
-----
precision  what a user chooses: a number type, or auto.
arithmetic what auto has become on a device.
tf32       TensorFloat-32: float32 whose products GPUs from the A100 on round to 10 bits. Weights and sums stay float32.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch

from mmtrain.config.optimisation import Precision
from mmtrain.errors import TrainError

Arithmetic = Literal["float32", "tf32", "bfloat16", "float16", "float64"]
ARITHMETICS: tuple[Arithmetic, ...] = get_args(Arithmetic)
_DTYPES: dict[Arithmetic, torch.dtype] = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
_AUTOCAST = (torch.bfloat16, torch.float16)
_FROM_AMPERE = ("bfloat16", "tf32")
_AMPERE = (8, 0)
"""Compute capability from which GPUs have bfloat16 and TF32 in hardware: A100 and later."""


def resolve_precision(wanted: Precision, device: torch.device) -> Arithmetic:
    """Return what to compute in: ``auto`` takes bfloat16 on a GPU that has it, float32 elsewhere.

    Processors emulate bfloat16 and float16 far slower than they compute in float32. float64 is for comparing runs, on
    other numbers of ranks or with other versions, without the noise that batch norm and Adam make of rounding.

    Raises
    ------
    TrainError
        The device does not have what is asked for.
    """
    if wanted == "auto":
        return "bfloat16" if is_native("bfloat16", device) else "float32"
    is_missing = device.type == "cuda" and not is_native(wanted, device)
    if is_missing or (wanted == "tf32" and device.type != "cuda"):
        raise TrainError(
            f"--precision {wanted} needs a GPU of compute capability 8.0 or more (A100 and later), which this is not.",
            "Use float32, or float16 on a GPU. A run that has begun in another precision can be resumed with one of "
            "them; its config.json tells of the change.",
        )
    return wanted


def resolve_for_finished(precision: Precision, device: torch.device) -> Arithmetic:
    """Return what a run that learns no more is computed in: what it was trained in, where the device has that.

    Elsewhere, or where a processor would emulate it, it is what ``auto`` is there: no setting of such a run can be
    changed, so none is refused.
    """
    return resolve_precision(precision if precision == "auto" or is_native(precision, device) else "auto", device)


def is_native(arithmetic: Arithmetic, device: torch.device) -> bool:
    """Return whether a device has it in hardware."""
    if arithmetic in ("float32", "float64"):
        return True
    if device.type != "cuda":
        return False
    return arithmetic not in _FROM_AMPERE or torch.cuda.get_device_capability(device) >= _AMPERE


def dtype_of(arithmetic: Arithmetic) -> torch.dtype:
    """Return the type of the numbers that layers return."""
    return _DTYPES[arithmetic]


def arithmetic_of(dtype: torch.dtype) -> Arithmetic:
    """Return the arithmetic of a number type: float32 is not TF32."""
    return next(name for name, of_name in _DTYPES.items() if of_name == dtype)


def choose_precision(wanted: Precision, device: torch.device) -> torch.dtype:
    """Return the type of the numbers that layers return; see `resolve_precision`."""
    return dtype_of(resolve_precision(wanted, device))


def parameter_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the type of a network's weights: never less than float32, whatever it computes in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def computing_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Let networks compute in a type while a block lasts; weights, their gradients and losses keep theirs."""
    return torch.autocast(device.type, dtype) if dtype in _AUTOCAST else nullcontext()


def make_scaler(arithmetic: Arithmetic, device: torch.device) -> torch.amp.GradScaler:
    """Return what multiplies losses so that gradients are not too small for float16; otherwise it does nothing.

    Source: Micikevicius et al., Mixed Precision Training, ICLR 2018, arXiv 1710.03740.
    """
    return torch.amp.GradScaler(device.type, enabled=arithmetic == "float16")


def memory_format(arithmetic: Arithmetic, device: torch.device) -> torch.memory_format:
    """Return how volumes lie within a network.

    With the channels of a voxel side by side, which processors and tensor cores compute fastest; but one channel after
    the other where a GPU has no tensor cores for the arithmetic. On an H200 cuDNN had not found its algorithms for
    plain float32 with channels last after two minutes.
    """
    is_slow = device.type == "cuda" and arithmetic in ("float32", "float64")
    return torch.contiguous_format if is_slow else torch.channels_last_3d
