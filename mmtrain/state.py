"""A run while it is trained: what is fixed, what learns, how far it has come, and what of that is on the disk."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmbase.files import write_json_lines
from mmbase.json_text import Count, parse_json_line
from mmtrain.checkpoint import EpochPart, Progress, has_checkpoint, load_checkpoint, save_checkpoint, save_weights
from mmtrain.divergence import LossWatch, diverged, find_non_finite, has_no_gradients
from mmtrain.errors import TrainError
from mmtrain.learner import Learner
from mmtrain.run import RunDirectory
from mmtrain.stopping import StopRequest
from mmtrain.targets.several import join_scores
from mmtrain.task import Task, score

EpochEntry = dict[str, Any]
"""What metrics.jsonl says of one epoch."""


@dataclass(frozen=True, slots=True)
class _EpochLoss:
    """What an entry is chosen and drawn by."""

    epoch: Count
    train_loss: float
    val_loss: float
    """Of what mm 0.1.0 trained, perhaps not finite."""


@dataclass(slots=True)
class Run:
    """A run while it is trained."""

    directory: RunDirectory
    task: Task
    learner: Learner
    progress: Progress
    stop: StopRequest
    saved_at: float = field(default_factory=time.monotonic)
    """When the last checkpoint was written."""


def resume(run: Run) -> None:
    """Put the run back to its last checkpoint; without any it begins again, and so does one that is fitted at once.

    Raises
    ------
    TrainError
        There is none although epochs were finished, all are damaged, or ranks read different ones.
    """
    directory, learner, ranks = run.directory, run.learner, run.task.ranks
    if run.task.architecture.fit is not None:
        return
    if has_checkpoint(directory.checkpoint):
        try:
            run.progress = load_checkpoint(directory.checkpoint, learner.network, learner.optimizer, learner.scaler)
        except TrainError as error:
            raise TrainError(error.what_happened, _rescue(directory)) from error
    elif directory.epochs.exists() and directory.epochs.stat().st_size:
        raise TrainError(f"Run {directory.run_id} has finished epochs and no checkpoint any more.", _rescue(directory))
    steps = ranks.gather(torch.tensor([[run.progress.epoch, run.progress.part.steps]]))
    if (steps != steps[0]).any():  # a network file system may show a renamed file late
        raise TrainError(
            "Ranks read different checkpoints of the run. Wait until all machines see the last, then try again."
        )


def is_checkpoint_due(run: Run) -> bool:
    """Return whether the last checkpoint is old enough for another."""
    return time.monotonic() - run.saved_at > run.task.config.execution.checkpoint_minutes * 60


def checkpoint(run: Run) -> None:
    """Write a checkpoint, if this is the rank that writes.

    Raises
    ------
    TrainError
        It would hold a number that is not finite.
    """
    if run.task.ranks.leads:
        _require_finite(run)
        _save(run)
    run.saved_at = time.monotonic()


def require_finite_loss(run: Run, watch: LossWatch) -> None:
    """Refuse to go on when the losses of this epoch, whose sum has been read, are not finite. All ranks call it.

    Raises
    ------
    TrainError
        Names the step.
    """
    part = run.progress.part
    if not math.isfinite(part.loss_sum):
        steps = run.task.ranks.gather(torch.tensor([watch.failed_step() or part.steps]))  # the others saw none
        where = f"The training loss of step {int(steps.min())} of epoch {run.progress.epoch + 1}"
        raise diverged(run.directory, run.task, where)


def end_epoch(run: Run, val_loss: float, prediction_NT: NDArray[np.float64]) -> EpochEntry:
    """Close the epoch that has been trained and validated; return its entry.

    Raises
    ------
    TrainError
        The loss is not finite.
    """
    progress, part = run.progress, run.progress.part
    epoch, train_loss = progress.epoch + 1, part.loss_sum / part.num_samples
    if not math.isfinite(train_loss + val_loss):
        what = "validation" if math.isfinite(train_loss) else "training"
        raise diverged(run.directory, run.task, f"The {what} loss of epoch {epoch}")
    entry: EpochEntry = {
        "epoch": epoch,
        "train_loss": train_loss,
        "val_loss": val_loss,
        "val": join_scores(score(run.task, "val", prediction_NT)),
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
    """Write what an epoch leaves: its entry, the weights if it is the best so far, and a checkpoint if more may come.

    Raises
    ------
    TrainError
        A number that would be kept is not finite.
    """
    directory, progress = run.directory, run.progress
    _require_finite(run)
    if entry["epoch"] == progress.best_epoch:
        fixed = {} if run.task.trunk is None else run.task.trunk.weights
        save_weights(directory.model, run.learner.network, fixed)
    if run.task.architecture.fit is None:
        _save(run)
    write_json_lines(directory.epochs, progress.history)  # last: epochs without a checkpoint are refused


def take_up_best(run: Run) -> None:
    """Put the run to the end of its last finished epoch, for its best epoch to be tested.

    Raises
    ------
    TrainError
        No epoch is finished yet.
    """
    directory = run.directory
    try:
        lines = directory.epochs.read_bytes().splitlines()
        losses = [parse_json_line(line, _EpochLoss) for line in lines]
        best = min((entry for entry in losses if math.isfinite(entry.val_loss)), key=lambda entry: entry.val_loss)
        run.progress = Progress(
            epoch=len(lines),
            best_epoch=best.epoch,
            best_val_loss=best.val_loss,
            history=[parse_json_line(line, EpochEntry) for line in lines],
        )
    except (OSError, ValueError) as error:
        raise TrainError(
            f"Run {directory.run_id} has no finished epoch that could be tested.",
            f"Resume it: mm train --resume {directory.run_id}",
        ) from error
    if not directory.model.exists():
        raise TrainError(f"Run {directory.run_id} has no {directory.model.name} any more.", "Start it again.")


def _save(run: Run) -> None:
    learner = run.learner
    save_checkpoint(run.directory.checkpoint, learner.network, learner.optimizer, run.progress, learner.scaler)
    run.saved_at = time.monotonic()


def _require_finite(run: Run) -> None:
    name = find_non_finite(run.learner.network, run.learner.optimizer)
    if name is None and has_no_gradients(run.learner.scaler):
        name = "the gradient"
    if name is not None:
        progress = run.progress
        when = f"step {progress.part.steps} of epoch {progress.epoch + 1}" if progress.part.steps else "the last epoch"
        raise diverged(run.directory, run.task, f"After {when} {name}")


def _rescue(directory: RunDirectory) -> str:
    """Say what may still be done with a run that cannot be resumed."""
    if directory.model.exists():
        return f"Test its best epoch with mm train --finish {directory.run_id}, or start it again."
    return "Start it again."
