"""Which algorithms a GPU may compute with: settings of PyTorch for this whole process."""

import os
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mmtrain.config.optimisation import CompileMode
from mmtrain.precision import Arithmetic

_OF_MODE: Mapping[CompileMode, Mapping[str, bool]] = {
    "default": {},
    "reduce-overhead": {"triton.cudagraphs": True},
    "max-autotune": {"max_autotune": True, "triton.cudagraphs": True, "coordinate_descent_tuning": True},
}
"""What torch.compile makes of its modes, which it does not take beside other options. Source: torch/_inductor."""


def choose_algorithms(arithmetic: Arithmetic, *, deterministic: bool) -> None:
    """Let a GPU use its fastest algorithms, or those alone that give the same bits when repeated.

    cuDNN tries up to ten algorithms (PyTorch's `benchmark_limit`) for each shape of convolution and keeps the fastest.
    It does not in plain float32 and float64, where to try them can take minutes.

    PyTorch knows no algorithm that gives the same bits for the gradient of pooling, which adds with atomics. Where
    windows do not overlap, as in fusion and sfcn, every sum has one term, so PyTorch may warn and is not to refuse;
    docs/networks.md has the networks whose windows do.
    """
    torch.backends.cudnn.benchmark = not deterministic and arithmetic not in ("float32", "float64")
    allow_tf32(arithmetic == "tf32")
    if deterministic != torch.are_deterministic_algorithms_enabled():  # to set it imports the compiler, for seconds
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        warnings.filterwarnings("ignore", message="max_pool3d.*does not have a deterministic implementation")


def fuse(network: nn.Module, mode: CompileMode) -> nn.Module:
    """Return what computes as a network does, with its weights, and is compiled where it is first called.

    It is compiled for each size of a batch, of which an epoch has two, as the batches share its samples evenly: fixed
    shapes make faster code, and CUDA graphs need them. Random numbers are drawn as without it, so dropout is the same
    and losses differ by rounding alone.
    """
    options: dict[str, Any] = {**_OF_MODE[mode], "fallback_random": True}
    fused: nn.Module = torch.compile(network, dynamic=False, options=options)  # type: ignore[assignment]
    return fused


def allow_tf32(allowed: bool) -> None:
    """Let GPUs compute what is asked for in float32 in TF32, or not: PyTorch does so in convolutions unless told."""
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed
