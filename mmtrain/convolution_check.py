"""Whether a GPU's convolutions are right and of a reasonable speed: those of a run's network, in its own arithmetic.

Drivers and libraries have had versions that compute some shapes wrongly, or hundreds of times too slowly. A run would
learn little, or take weeks, without a word. So a few convolutions of made-up numbers are computed before it begins.

Terms
-----
case       a convolution of the network with the shapes of what it takes.
reference  plain float32, which a case is compared with; of plain float32 itself, float64.
error      length of the difference over the length of the reference's result, of the result and both gradients the
           largest.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmtrain.algorithms import choose_algorithms
from mmtrain.device import wait_for
from mmtrain.errors import TrainError
from mmtrain.precision import Arithmetic, computing_in, dtype_of, memory_format, parameter_dtype
from mmtrain.task import NetworkInputs, Task, run_network

NUM_SAMPLES = 1
NUM_CASES = 3
"""Those with the most arithmetic are checked; to load the kernels of each takes a GPU a moment."""
LARGEST_ERRORS: dict[Arithmetic, float] = {"float32": 1e-3, "tf32": 0.02, "bfloat16": 0.05, "float16": 0.02}
"""Several times what rounding makes; wrong results differ by about 1."""
LARGEST_SLOWDOWN = 3.0
"""Of the time of the reference. Where the arithmetic is in hardware it takes a fraction of it."""
LEAST_SECONDS = 1e-3
"""Of the reference: in less, small convolutions wait for their launches and say nothing of the GPU."""
REPEATS = 2
Convolve = Callable[..., torch.Tensor]


@dataclass(frozen=True, slots=True)
class Case:
    """A convolution, by shapes."""

    inputs: tuple[int, ...]
    """(B, C, X, Y, Z)."""
    weight: tuple[int, ...]
    """(C out, C in, and edges of the kernel)."""
    outputs: tuple[int, ...]
    settings: tuple[tuple[str, Any], ...]
    """Of the function: stride, padding, dilation and groups."""

    @property
    def num_products(self) -> int:
        """Return how many products it adds."""
        return math.prod(self.weight) * math.prod(self.outputs[2:]) * self.outputs[0]

    def __str__(self) -> str:
        return f"{self.weight[1]} to {self.weight[0]} channels at side {self.inputs[-1]}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a case compares with its reference."""

    case: Case
    error: float
    slowdown: float
    """Time over that of the reference, or over `LEAST_SECONDS` where that is longer."""


def check_convolutions(task: Task, network: nn.Module) -> str:
    """Check the convolutions of a run's network on the device of this rank; return what is to be told, or nothing.

    Processors are not checked: their convolutions come with PyTorch, which tests them. All ranks call it.

    Raises
    ------
    TrainError
        A convolution is wrong.
    """
    if task.device.type != "cuda" or task.arithmetic == "float64":
        return ""
    cases = find_cases(task, network)
    found = [compare(case, task.arithmetic, task.device) for case in cases]
    choose_algorithms(task.arithmetic, deterministic=task.config.optimisation.deterministic)
    require_right(task.arithmetic, found)
    slowest = max((comparison.slowdown for comparison in found), default=0.0)
    return tell_slowdown(task.arithmetic, task.ranks.gather(torch.tensor([slowest])).max().item())


def find_cases(task: Task, network: nn.Module) -> list[Case]:
    """Return the convolutions with the most arithmetic that a network computes of zeros; it stays as it is."""
    shape, dtype = task.shape, parameter_dtype(task.dtype)
    if not shape.volumes or task.trunk is not None or task.architecture.fit is not None:
        return []

    def zeros(*sizes: int) -> torch.Tensor | None:
        return torch.zeros(NUM_SAMPLES, *sizes, device=task.device, dtype=dtype) if sizes[0] else None

    volumes = zeros(len(shape.volumes), *[shape.side] * 3)
    as_it_is = copy.deepcopy(network).eval()  # not compiled, for shapes that do not come again
    with torch.no_grad(), _CaseNotes() as notes:
        run_network(task, as_it_is, NetworkInputs(volumes, zeros(shape.num_edges), zeros(shape.num_features)))
    return sorted(dict.fromkeys(notes.cases), key=lambda case: case.num_products, reverse=True)[:NUM_CASES]


def compare(
    case: Case,
    arithmetic: Arithmetic,
    device: torch.device,
    *,
    convolve: Convolve = nn.functional.conv3d,
    clock: Callable[[], float] = time.perf_counter,
) -> Comparison:
    """Compute a case and its gradients in an arithmetic and in its reference.

    Parameters
    ----------
    convolve, clock
        What computes and what measures; replaced by tests.
    """
    expected, expected_seconds = _compute(case, _reference(arithmetic), device, convolve, clock)
    found, seconds = _compute(case, arithmetic, device, convolve, clock)
    errors = [_relative_error(a.double(), b.double()) for a, b in zip(found, expected, strict=True)]
    worst = next(filter(math.isnan, errors), max(errors))
    return Comparison(case, worst, seconds / max(expected_seconds, LEAST_SECONDS))


def require_right(arithmetic: Arithmetic, found: list[Comparison]) -> None:
    """Refuse to train where a convolution is wrong.

    Raises
    ------
    TrainError
        Says which, and by how much.
    """
    for comparison in found:
        if not comparison.error <= LARGEST_ERRORS[arithmetic]:
            other = _reference(arithmetic)
            raise TrainError(
                f"This GPU computes convolutions wrongly in {arithmetic}: from {comparison.case}, the result differs "
                f"by {comparison.error:.2g} of its size from that in {other}.",
                f"Update the GPU's driver and PyTorch, or train with --precision {other}.",
            )


def tell_slowdown(arithmetic: Arithmetic, slowdown: float) -> str:
    """Return what is told of convolutions that are absurdly slow; nothing of others."""
    if slowdown <= LARGEST_SLOWDOWN:
        return ""
    other = _reference(arithmetic)
    return (
        f"The GPU's convolutions take {slowdown:.0f} times as long in {arithmetic} as in {other}. Update its driver "
        f"and PyTorch, or train with --precision {other}."
    )


class _CaseNotes(TorchDispatchMode):
    """Notes the convolutions that are computed while it lasts, also those that are no layers."""

    def __init__(self) -> None:
        super().__init__()
        self.cases: list[Case] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default and args[0].dim() == 5:
            x, weight, _, stride, padding, dilation, _, _, groups = args
            settings = {"stride": tuple(stride), "padding": tuple(padding), "dilation": tuple(dilation)}
            settings |= {"groups": groups}
            self.cases.append(Case(tuple(x.shape), tuple(weight.shape), tuple(result.shape), tuple(settings.items())))
        return result


def _relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def _reference(arithmetic: Arithmetic) -> Arithmetic:
    return "float64" if arithmetic == "float32" else "float32"


def _compute(
    case: Case, arithmetic: Arithmetic, device: torch.device, convolve: Convolve, clock: Callable[[], float]
) -> tuple[list[torch.Tensor], float]:
    """Return the result of a case with both gradients, the same numbers every time, and seconds."""
    choose_algorithms(arithmetic, deterministic=torch.are_deterministic_algorithms_enabled())
    dtype, layout = dtype_of(arithmetic), memory_format(arithmetic, device)
    generator = torch.Generator().manual_seed(1)
    shapes = (case.inputs, case.weight, case.outputs)
    x, weight, gradient = (
        torch.randn(shape, generator=generator).to(device, parameter_dtype(dtype)).contiguous(memory_format=layout)
        for shape in shapes
    )
    weight /= math.prod(case.weight[1:]) ** 0.5
    x.requires_grad_()
    weight.requires_grad_()

    def work() -> list[torch.Tensor]:
        with computing_in(dtype, device):
            result = convolve(x, weight, **dict(case.settings))
        return [result.detach(), *torch.autograd.grad(result, (x, weight), gradient.to(result.dtype))]

    results, seconds = work(), []
    for _ in range(REPEATS):
        wait_for(device)
        started = clock()
        work()
        wait_for(device)
        seconds.append(clock() - started)
    return results, min(seconds)
