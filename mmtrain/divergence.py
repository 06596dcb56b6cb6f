"""Numbers that are no longer finite: noticed at their step, kept out of what a run leaves, and what mends the run.

A sum of losses that is not finite stays so, whatever is added. So one look at the sum tells of all steps before.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from mmtrain.checkpoint import has_checkpoint
from mmtrain.errors import TrainError
from mmtrain.ranks.norm import AnyBatchNorm
from mmtrain.run import RunDirectory
from mmtrain.task import Task

SMALLER_STEPS = 0.1
"""Of the learning rate: what is advised to a run whose loss is not finite."""
LEAST_LOSS_SCALE = 2.0**-14
"""Below which no gradient of float16 was finite, whatever the loss was multiplied by. Source: fairseq's smallest."""


class LossWatch:
    """Tells after which step a sum of losses was no longer finite, without waiting for a GPU.

    A GPU works through a queue that the host fills, so the answer about a step comes when the host is some steps ahead.

    Examples
    --------
    >>> watch = LossWatch(torch.device("cpu"))
    >>> for step, loss_sum in enumerate([0.5, float("nan"), float("nan")], start=1):
    ...     watch.note(step, torch.tensor(loss_sum))
    >>> watch.failed_step()
    2
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._asked: deque[tuple[int, torch.Tensor, Any]] = deque()
        """Step, whether its sum is finite, and the mark in the GPU's queue behind which the answer is there."""
        self._failed_step: int | None = None

    def note(self, step: int, loss_sum: torch.Tensor) -> None:
        """Ask whether the sum is finite after a step."""
        is_finite, mark = loss_sum.isfinite(), None
        if self._device.type == "cuda":
            is_finite = torch.empty((), dtype=torch.bool, pin_memory=True).copy_(is_finite, non_blocking=True)
            mark = torch.cuda.Event()
            mark.record(torch.cuda.current_stream(self._device))
        self._asked.append((step, is_finite, mark))

    def failed_step(self) -> int | None:
        """Return the first step after which the sum was not finite, as far as the answers are there."""
        while self._failed_step is None and self._asked and _has_passed(self._asked[0][2]):
            step, is_finite, _ = self._asked.popleft()
            if not is_finite:
                self._failed_step = step
        return self._failed_step


def find_non_finite(network: nn.Module, optimizer: torch.optim.Optimizer) -> str | None:
    """Return the name of a tensor of a network or its optimiser that has learnt a number which is not finite."""
    learnt = dict(_learnt(network, optimizer))
    if not learnt:
        return None
    device = next(iter(learnt.values())).device
    finite = torch.stack([tensor.isfinite().all().to(device) for tensor in learnt.values()]).tolist()
    return next((name for name, is_finite in zip(learnt, finite, strict=True) if not is_finite), None)


def has_no_gradients(scaler: torch.amp.GradScaler) -> bool:
    """Return whether no loss is small enough for gradients that are finite in float16: no steps are taken then."""
    return scaler.is_enabled() and scaler.get_scale() < LEAST_LOSS_SCALE


def diverged(directory: RunDirectory, task: Task, what: str) -> TrainError:
    """Return what is told of a run whose numbers are no longer finite, and how it is mended.

    Parameters
    ----------
    what
        What is not finite, and when: the subject of a sentence.
    """
    told, config = f"{what} is not a finite number.", task.config.optimisation
    if task.architecture.fit is not None:
        return TrainError(told, "Look for impossible values of the inputs with mm audit.")
    smaller = f"--learning-rate {config.learning_rate * SMALLER_STEPS:g}"
    if config.clip_norm is None:
        smaller += " --clip-norm 1"
    where = "from its last checkpoint, which is finite," if has_checkpoint(directory.checkpoint) else "from its start"
    mend = f"Resume the run {where} with smaller steps: mm train --resume {directory.run_id} {smaller}"
    if config.precision in ("bfloat16", "float16"):
        mend += ", or with --precision float32"
    if directory.model.exists():
        mend += f", or test its best epoch: mm train --finish {directory.run_id}"
    return TrainError(told, mend)


def _has_passed(mark: Any) -> bool:
    return mark is None or bool(mark.query())


def _learnt(network: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield everything that steps change; a network's own constants may be infinite, as masks are."""
    yield from network.named_parameters()
    for name, module in network.named_modules():
        if isinstance(module, AnyBatchNorm):
            yield from ((f"{name}.{buffer}", tensor) for buffer, tensor in module.named_buffers(recurse=False))
    for index, state in optimizer.state_dict()["state"].items():
        yield from ((f"optimizer.{index}.{name}", torch.as_tensor(value)) for name, value in state.items())
