"""One pass over the training split, and what follows it before validation.

Whatever is random is seeded for its step, so an epoch that is resumed after any step ends as if it had never stopped.
"""

import time
from collections.abc import Sequence

import torch
from torch import nn

from mmtrain.calibration import recalibrate_batch_norm
from mmtrain.checkpoint import EpochPart
from mmtrain.config.optimisation import OptimisationConfig
from mmtrain.data.order import derive_seed
from mmtrain.data.portions import Portion
from mmtrain.divergence import LossWatch
from mmtrain.errors import TrainError
from mmtrain.learner import take_step
from mmtrain.observer import EpochPosition, TrainingObserver
from mmtrain.ranks.group import Ranks
from mmtrain.ranks.norm import AnyBatchNorm
from mmtrain.schedule import learning_rate
from mmtrain.state import Run, checkpoint, is_checkpoint_due, require_finite_loss
from mmtrain.stopping import TrainingStopped
from mmtrain.task import forward, stream_task
from mmtrain.waiting import WaitClock


def train_epoch(run: Run, portions: Sequence[Portion], observer: TrainingObserver) -> None:
    """Take the steps of an epoch, or those that are left of it; count them in `run.progress.part`.

    Raises
    ------
    TrainingStopped
        A signal asked for it; a checkpoint was written.
    TrainError
        The loss is not finite; the last checkpoint stays.
    """
    task, learner, part = run.task, run.learner, run.progress.part
    config, epoch = task.config.optimisation, run.progress.epoch + 1
    num_steps = len(portions) // config.accumulate
    num_samples = sum(portion.part_size for portion in portions)
    observer.on_step(_position(part, epoch, num_steps, num_samples))
    learner.network.train()
    before = part.loss_sum if task.ranks.leads else 0.0
    losses = torch.tensor(before, dtype=torch.float64, device=task.device)
    started, clock, watch = time.perf_counter(), WaitClock(task.device), LossWatch(task.device)
    left = portions_left(part, portions, config.accumulate)
    batches = clock.watch(stream_task(task, [portion.request for portion in left], epoch))
    for portion, batch in zip(left, batches, strict=True):
        if portion.begins_step:
            torch.manual_seed(derive_seed(config.seed, "step", epoch, part.steps))
            set_learning_rate(learner.optimizer, rate_of_step(config, epoch, part.steps / num_steps))
        losses += take_step(task, learner, portion, batch, epoch)
        part.num_samples += portion.part_size
        if portion.ends_step:
            part.steps += 1
            watch.note(part.steps, losses)
            stopping, saving, failing = task.ranks.any(
                run.stop.made, task.ranks.leads and is_checkpoint_due(run), watch.failed_step() is not None
            )
            if stopping or saving or failing or part.steps == num_steps:
                part.loss_sum = task.ranks.sum(losses).item()
                part.wait_seconds += clock.take_seconds()
                part.seconds += time.perf_counter() - started
                started = time.perf_counter()
                require_finite_loss(run, watch)
            if stopping or saving:
                checkpoint(run)
            if stopping:
                raise TrainingStopped
            observer.on_step(_position(part, epoch, num_steps, num_samples))


def portions_left(part: EpochPart, portions: Sequence[Portion], accumulate: int) -> Sequence[Portion]:
    """Return what is still to be read of an epoch that a part of is done.

    Raises
    ------
    TrainError
        That part was made of other batches.
    """
    num_done = part.steps * accumulate
    num_samples = sum(portion.part_size for portion in portions[:num_done])
    if num_samples != part.num_samples:
        raise TrainError(
            f"The checkpoint within an epoch is of {part.num_samples} samples in {part.steps} batches, which have "
            f"{num_samples} with these settings.",
            "Resume the run with the --batch-size that the epoch was begun with.",
        )
    return portions[num_done:]


def calibrate(run: Run, portions: Sequence[Portion]) -> None:
    """Measure batch norm again on the first batches of an epoch: evaluation then sees the weights as they are now."""
    task, network, epoch = run.task, run.learner.network, run.progress.epoch + 1
    if not any(isinstance(module, AnyBatchNorm) for module in network.modules()):
        return
    requests, num_samples = [], 0
    for portion in portions:
        if num_samples >= task.config.optimisation.calibration_samples:
            break
        requests.append(portion.request)
        num_samples += portion.part_size
    if requests:
        batches = stream_task(task, requests, epoch)
        recalibrate_batch_norm(network, batches, lambda batch: forward(task, network, batch, epoch))
    if not task.config.optimisation.sync_batch_norm:
        average_moments(network, task.ranks)


def average_moments(network: nn.Module, ranks: Ranks) -> None:
    """Let all ranks continue with the mean of the moments that each has measured by itself."""
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(ranks.sum(buffer) / ranks.size)


def rate_of_step(config: OptimisationConfig, epoch: int, share: float) -> float:
    """Return the learning rate of a step that comes when a share of an epoch, counted from 1, is done."""
    return learning_rate(
        config.schedule,
        config.learning_rate,
        epoch=epoch - 1 + share,
        epochs=config.epochs,
        warmup_epochs=config.warmup_epochs,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let the optimiser take steps of this size from now on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def _position(part: EpochPart, epoch: int, num_steps: int, num_samples: int) -> EpochPosition:
    return EpochPosition(
        epoch=epoch, steps=part.steps, num_steps=num_steps, samples=part.num_samples, num_samples=num_samples
    )
