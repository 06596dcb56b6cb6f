"""Train one model: cohort and stores in; weights, metrics, predictions and pictures out.

Read `train_as_rank` from top to bottom. Whatever is random is seeded for its step, so a run that is resumed after any
step, on any number of ranks, goes on as if it had never stopped.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from mmdata.execution.allocator import keep_freed_memory
from mmdata.store.schema import StudyLayout
from mmtrain.calibration import recalibrate_batch_norm
from mmtrain.checkpoint import (
    EpochPart,
    Progress,
    has_checkpoint,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)
from mmtrain.config import TrainConfig
from mmtrain.data.order import derive_seed
from mmtrain.data.portions import Portion
from mmtrain.errors import TrainError
from mmtrain.evaluate import evaluate
from mmtrain.learner import Learner, build_learner, take_step
from mmtrain.memory import explain_exhaustion
from mmtrain.model import FusionNet
from mmtrain.ranks.group import Ranks, join_ranks
from mmtrain.results import write_results
from mmtrain.run import RunDirectory, hold_run, write_json, write_json_lines
from mmtrain.schedule import learning_rate
from mmtrain.stopping import StopRequest, TrainingStopped, heed_signals
from mmtrain.task import (
    Task,
    choose_device,
    describe_model,
    forward,
    prepare_task,
    score,
    stream_task,
    training_portions,
)
from mmtrain.waiting import WaitClock

EpochEntry = dict[str, Any]
"""What metrics.jsonl says of one epoch."""


@dataclass(slots=True)
class Run:
    """A run while it is trained: what is fixed, what learns, how far it has come."""

    directory: RunDirectory
    task: Task
    learner: Learner
    progress: Progress
    stop: StopRequest
    saved_at: float = field(default_factory=time.monotonic)
    """When the last checkpoint was written."""


def train(
    directory: RunDirectory,
    layout: StudyLayout,
    config: TrainConfig,
    *,
    resume: bool = False,
    on_epoch: Callable[[EpochEntry], None] = lambda _: None,
) -> dict[str, Any]:
    """Train until the validation loss stops falling, test the best epoch once, and return what metrics.json holds.

    Every rank that torchrun started calls this; rank 0 writes.

    Raises
    ------
    TrainError
        The cohort, the settings or the checkpoint cannot be used.
    TrainingStopped
        A signal asked for it; a checkpoint was written.
    mmdata.errors.StoreError
        A store is missing or damaged.
    """
    keep_freed_memory()
    device = choose_device(config.device)
    with (
        heed_signals() as stop,
        join_ranks(device, hang_seconds=config.hang_seconds) as ranks,
        hold_run(directory) if ranks.leads else nullcontext(),
        explain_exhaustion(config, ranks.size),
    ):
        task = prepare_task(directory, layout, config, ranks)
        run = Run(directory, task, build_learner(task), Progress(), stop)
        return train_as_rank(run, resume=resume, on_epoch=on_epoch)


def train_as_rank(run: Run, *, resume: bool, on_epoch: Callable[[EpochEntry], None]) -> dict[str, Any]:
    """Do what one rank does in a run."""
    directory, task, config = run.directory, run.task, run.task.config
    if resume:
        go_on(run)
    progress = run.progress
    if task.ranks.leads:
        write_json_lines(directory.epochs, progress.history)
        write_json(directory.model_card, describe_model(task))
    with open_board(run) as board:
        while progress.epoch < config.epochs and progress.epoch - progress.best_epoch < config.patience:
            portions = training_portions(task, progress.epoch + 1)
            train_epoch(run, portions)
            calibrate(task, run.learner.network, portions, progress.epoch + 1)
            val_loss, prediction = evaluate(task, run.learner.network, "val")
            entry = end_epoch(run, val_loss, prediction)
            if board is not None:
                keep_epoch(run, entry)
                log_epoch(board, entry)
                on_epoch(entry)
    if task.ranks.leads:
        load_weights(directory.model, run.learner.network)
    task.ranks.copy_from_first(run.learner.network.state_dict().values())
    return finish(run)


def go_on(run: Run) -> None:
    """Put the run back to its last checkpoint; without any it begins anew.

    Raises
    ------
    TrainError
        There is none although epochs were finished, or ranks read different ones.
    """
    directory, learner, ranks = run.directory, run.learner, run.task.ranks
    if has_checkpoint(directory.checkpoint):
        run.progress = load_checkpoint(directory.checkpoint, learner.network, learner.optimizer)
    elif directory.epochs.exists() and directory.epochs.stat().st_size:
        raise TrainError(f"Run {directory.run_id} has finished epochs and no checkpoint any more. Start it anew.")
    places = ranks.gather(torch.tensor([[run.progress.epoch, run.progress.part.steps]]))
    if (places != places[0]).any():  # a network file system may show a renamed file late
        raise TrainError(
            "Ranks read different checkpoints of the run. Wait until all machines see the last, try again."
        )


def train_epoch(run: Run, portions: Sequence[Portion]) -> None:
    """Make one pass over the training split, or what is left of it; count it in `run.progress.part`."""
    task, learner, part = run.task, run.learner, run.progress.part
    epoch = run.progress.epoch + 1
    num_steps = len(portions) // task.config.accumulate
    learner.network.train()
    before = part.loss_sum if task.ranks.leads else 0.0
    losses = torch.tensor(before, dtype=torch.float64, device=task.device)
    started, clock = time.perf_counter(), WaitClock(task.device)
    left = portions[part.steps * task.config.accumulate :]
    batches = clock.watch(stream_task(task, [portion.request for portion in left]))
    for portion, batch in zip(left, batches, strict=True):
        if portion.begins_step:
            torch.manual_seed(derive_seed(task.config.seed, "step", epoch, part.steps))
            set_learning_rate(learner.optimizer, rate_of_step(task.config, epoch, part.steps / num_steps))
        losses += take_step(task, learner, portion, batch, epoch)
        part.num_samples += portion.part_size
        if portion.ends_step:
            part.steps += 1
            stopping, saving = task.ranks.any(run.stop.made, task.ranks.leads and is_checkpoint_due(run))
            if stopping or saving or part.steps == num_steps:
                part.loss_sum = task.ranks.sum(losses).item()
                part.wait_seconds += clock.take_seconds()
                part.seconds += time.perf_counter() - started
                started = time.perf_counter()
            if stopping or saving:
                checkpoint(run)
            if stopping:
                raise TrainingStopped


def is_checkpoint_due(run: Run) -> bool:
    """Return whether the last checkpoint is old enough for another."""
    return time.monotonic() - run.saved_at > run.task.config.checkpoint_minutes * 60


def checkpoint(run: Run) -> None:
    """Write a checkpoint, if this is the rank that writes."""
    if run.task.ranks.leads:
        save_checkpoint(run.directory.checkpoint, run.learner.network, run.learner.optimizer, run.progress)
    run.saved_at = time.monotonic()


def rate_of_step(config: TrainConfig, epoch: int, share: float) -> float:
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


def calibrate(task: Task, network: FusionNet, portions: Sequence[Portion], epoch: int) -> None:
    """Measure batch norm anew on the first batches of an epoch, so that evaluation sees the weights as they are now."""
    requests, num_samples = [], 0
    for portion in portions:
        if num_samples >= task.config.calibration_samples:
            break
        requests.append(portion.request)
        num_samples += portion.part_size
    if requests:
        recalibrate_batch_norm(network, stream_task(task, requests), lambda batch: forward(task, network, batch, epoch))
    if not task.config.sync_batch_norm:
        average_moments(network, task.ranks)


def average_moments(network: FusionNet, ranks: Ranks) -> None:
    """Let all ranks go on with the mean of the moments that each has measured by itself."""
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(ranks.sum(buffer) / ranks.size)


def end_epoch(run: Run, val_loss: float, prediction: NDArray[np.float64]) -> EpochEntry:
    """Close the epoch that has been trained and validated; return its entry.

    Raises
    ------
    TrainError
        The loss is not finite.
    """
    progress, part = run.progress, run.progress.part
    epoch, train_loss = progress.epoch + 1, part.loss_sum / part.num_samples
    if not math.isfinite(train_loss + val_loss):
        raise TrainError(f"The loss is not a finite number in epoch {epoch}. Lower the learning_rate.")
    entry: EpochEntry = {
        "epoch": epoch,
        "train_loss": train_loss,
        "val_loss": val_loss,
        "val": score(run.task, "val", prediction),
        "train_seconds": round(part.seconds, 3),
        "samples_per_second": round(part.num_samples / part.seconds, 2),
        "wait_share": round(part.wait_seconds / part.seconds, 4),
        "ranks": run.task.ranks.size,
    }
    progress.epoch, progress.part = epoch, EpochPart()
    progress.history.append(entry)
    if val_loss < progress.best_val_loss:
        progress.best_epoch, progress.best_val_loss = epoch, val_loss
    return entry


def keep_epoch(run: Run, entry: EpochEntry) -> None:
    """Write what an epoch leaves: its entry, the weights if it is the best so far, and a checkpoint."""
    directory, progress = run.directory, run.progress
    if entry["epoch"] == progress.best_epoch:
        save_weights(directory.model, run.learner.network)
    checkpoint(run)
    write_json_lines(directory.epochs, progress.history)  # last: epochs without a checkpoint are refused


def open_board(run: Run) -> AbstractContextManager[SummaryWriter | None]:
    """Open the run's event files for TensorBoard on the rank that writes; None on the others."""
    if not run.task.ranks.leads:
        return nullcontext()
    board: AbstractContextManager[SummaryWriter] = SummaryWriter(
        str(run.directory.tensorboard), purge_step=run.progress.epoch + 1
    )
    return board


def log_epoch(board: SummaryWriter, entry: EpochEntry) -> None:
    """Enter one epoch into TensorBoard."""
    scalars = {"loss/train": entry["train_loss"], "loss/val": entry["val_loss"]}
    scalars |= {f"val/{name}": value for name, value in entry["val"].items()}
    scalars["speed/samples_per_second"] = entry["samples_per_second"]
    scalars["speed/wait_share"] = entry["wait_share"]
    for name, value in scalars.items():
        board.add_scalar(name, value, entry["epoch"])
    board.flush()


def finish(run: Run) -> dict[str, Any]:
    """Validate and test the best epoch; write predictions, pictures and, last of all, the metrics."""
    task, config, cohort, progress = run.task, run.task.config, run.task.cohort, run.progress
    predictions = {split: evaluate(task, run.learner.network, split)[1] for split in ("val", "test")}
    metrics: dict[str, Any] = {
        "target": config.target,
        "kind": config.kind,
        "inputs": list(config.inputs),
        "n": cohort.split_sizes,
        "val": score(task, "val", predictions["val"]),
        "test": score(task, "test", predictions["test"]),
        "best_epoch": progress.best_epoch,
        "epochs": progress.epoch,
    }
    if task.ranks.leads:
        write_results(run.directory, config, cohort, progress, predictions, metrics)
    return metrics
