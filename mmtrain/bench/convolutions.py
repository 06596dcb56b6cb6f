"""The convolutions of a network alone: the least that a training step takes on a device.

Terms
-----
call   one convolution as PyTorch carries it out in a step, forward or backward, with the shapes, number types and
       memory format that it has there.
limit  samples a second if a step were its calls and nothing else. What a step does besides is mostly traffic with
       memory, which fused code can spare; the calls it cannot.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmtrain.bench.batches import EPOCH
from mmtrain.bench.throughput import repeat
from mmtrain.config.optimisation import MIN_PART
from mmtrain.data.portions import Portion
from mmtrain.data.stream import BatchRequest, StoredBatch
from mmtrain.learner import build_learner, take_step
from mmtrain.task import Task

_FORWARD = torch.ops.aten.convolution.default
_BACKWARD = torch.ops.aten.convolution_backward.default
_CALLS_AT_ONCE = {"cuda": 8}
"""Between two looks at the clock: so many that a GPU computes while the host asks for the next."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor that a convolution takes."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    def of_batch(self, samples: int, before: int) -> "Operand":
        """Return the operand of another number of samples than before; they lie one behind the other."""
        return replace(self, shape=(self.shape[0] * samples // before, *self.shape[1:]))

    def draw(self, device: torch.device) -> torch.Tensor:
        """Return such a tensor of random numbers: of zeros alone a GPU is faster."""
        return torch.empty_strided(self.shape, self.strides, dtype=self.dtype, device=device).normal_()


@dataclass(frozen=True, slots=True)
class ConvolutionCall:
    """One convolution of a step."""

    of_samples: tuple[Operand, ...]
    """What it takes of samples: the input; backward the gradient of the output and the input."""
    weight: Operand
    options: tuple[Any, ...]
    """Stride, padding, dilation, whether it is transposed, padding of the output, groups: as PyTorch orders them."""
    gradients: tuple[bool, bool] | None
    """Whether the gradients of input and weight are wanted; None: forward."""

    def of_batch(self, samples: int, before: int) -> "ConvolutionCall":
        """Return the call for another number of samples than before."""
        return replace(self, of_samples=tuple(operand.of_batch(samples, before) for operand in self.of_samples))

    def prepare(self, device: torch.device) -> Callable[[], object]:
        """Return what carries the call out, without bias, on random numbers."""
        tensors = [operand.draw(device) for operand in (*self.of_samples, self.weight)]
        if self.gradients is None:
            return lambda: _FORWARD(*tensors, None, *self.options)
        wanted = [*self.gradients, False]
        return lambda: _BACKWARD(*tensors, None, *self.options, wanted)


def find_convolutions(task: Task, portion: Portion, batch: StoredBatch) -> Counter[ConvolutionCall]:
    """Return the calls of one portion of a step, and how often each comes.

    They are found with the fewest samples that the network takes, and not compiled: neither the shapes of weights nor
    the memory format depend on how many samples there are.
    """
    learner = build_learner(replace(task, config=task.config.changed(compile=False)))
    learner.network.train()
    few = _first_samples(portion, MIN_PART)
    stored = {modality: rows[:MIN_PART] for modality, rows in batch.stored.items()}
    with _Listener() as listener:
        take_step(task, learner, few, StoredBatch(few.request, stored), EPOCH)
    samples = len(portion.request.rows)
    return Counter(call.of_batch(samples, MIN_PART) for call in listener.calls)


def measure_convolutions(calls: Mapping[ConvolutionCall, int], device: torch.device, seconds: float) -> float:
    """Return the seconds of all calls, each of which is measured by itself, for its share of the time given."""
    return sum(number * _seconds_of(call, device, seconds / len(calls)) for call, number in calls.items())


def _seconds_of(call: ConvolutionCall, device: torch.device, seconds: float) -> float:
    compute, at_once = call.prepare(device), _CALLS_AT_ONCE.get(device.type, 1)

    def work() -> int:
        for _ in range(at_once):
            compute()
        return at_once

    return 1 / repeat(work, seconds, device).samples_per_second


def _first_samples(portion: Portion, number: int) -> Portion:
    request = portion.request
    first = BatchRequest(request.positions[:number], request.rows[:number], request.copies[:number])
    return replace(portion, request=first, start=0, part_size=number, batch_size=number)


class _Listener(TorchDispatchMode):
    """Writes down every convolution that is carried out while it listens, in backward passes too."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[ConvolutionCall] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is _FORWARD:
            self.calls.append(ConvolutionCall(_operands(args[:1]), _operand(args[1]), _hashable(args[3:9]), None))
        elif func is _BACKWARD:
            wanted = (args[10][0], args[10][1])
            self.calls.append(ConvolutionCall(_operands(args[:2]), _operand(args[2]), _hashable(args[4:10]), wanted))
        return func(*args, **(kwargs or {}))


def _operands(tensors: Sequence[torch.Tensor]) -> tuple[Operand, ...]:
    return tuple(map(_operand, tensors))


def _operand(tensor: torch.Tensor) -> Operand:
    strides = tensor.stride() if 0 not in tensor.stride() else tensor.contiguous().stride()
    return Operand(tuple(tensor.shape), tuple(strides), tensor.dtype)


def _hashable(options: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(tuple(option) if isinstance(option, Sequence) else option for option in options)
