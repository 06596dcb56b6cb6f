"""Train one model: cohort and stores in; weights, metrics, predictions and pictures out.

Read `train` from top to bottom. Whatever is random is seeded for its epoch, so a run that is resumed after any epoch
goes on as if it had never stopped.
"""

import math
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from mmdata.allocator import keep_freed_memory
from mmdata.schema import StudyLayout
from mmtrain.calibration import recalibrate_batch_norm
from mmtrain.checkpoint import Progress, load_checkpoint, load_weights, save_checkpoint, save_weights
from mmtrain.config import TrainConfig
from mmtrain.errors import TrainError
from mmtrain.model import FusionNet, weight_penalty
from mmtrain.order import derive_seed
from mmtrain.plots import plot_classification, plot_losses, plot_regression
from mmtrain.run import RunDirectory, write_atomically, write_json, write_json_lines
from mmtrain.task import (
    Task,
    batch_loss,
    build_model,
    describe_model,
    forward,
    prepare_task,
    request_batch,
    score,
    stream_task,
    to_predictions,
    training_requests,
)
from mmtrain.withdrawn import require_unmarked

EpochEntry = dict[str, Any]
"""What metrics.jsonl says of one epoch."""


def train(
    run: RunDirectory,
    layout: StudyLayout,
    config: TrainConfig,
    *,
    resume: bool = False,
    on_epoch: Callable[[EpochEntry], None] = lambda _: None,
) -> dict[str, Any]:
    """Train until the validation loss stops falling, test the best epoch once, and return what metrics.json holds.

    Raises
    ------
    TrainError
        The cohort, the settings or the checkpoint cannot be used.
    mmdata.errors.StoreError
        A store is missing or damaged.
    """
    keep_freed_memory()
    task = prepare_task(run, layout, config)
    torch.manual_seed(derive_seed(config.seed, "weights"))
    model = build_model(task).to(task.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    progress = Progress(epoch=0, best_epoch=0, best_val_loss=float("inf"), history=[])
    if resume and run.checkpoint.exists():
        progress = load_checkpoint(run.checkpoint, model, optimizer)
        write_json_lines(run.epochs, progress.history)
    else:
        write_json(run.model_card, describe_model(task))

    with SummaryWriter(str(run.tensorboard), purge_step=progress.epoch + 1) as board:
        while progress.epoch < config.epochs and progress.epoch - progress.best_epoch < config.patience:
            epoch = progress.epoch + 1
            torch.manual_seed(derive_seed(config.seed, "epoch", epoch))
            set_learning_rate(optimizer, learning_rate(config, epoch))
            started = time.perf_counter()
            train_loss, num_samples = train_epoch(task, model, optimizer, epoch)
            seconds = time.perf_counter() - started
            calibrate(task, model, epoch)
            val_loss, val_prediction = evaluate(task, model, "val")
            if not math.isfinite(train_loss + val_loss):
                raise TrainError(f"The loss is not a finite number in epoch {epoch}. Lower the learning_rate.")
            entry: EpochEntry = {
                "epoch": epoch,
                "train_loss": train_loss,
                "val_loss": val_loss,
                "val": score(task, "val", val_prediction),
                "train_seconds": round(seconds, 3),
                "samples_per_second": round(num_samples / seconds, 2),
            }
            progress.epoch = epoch
            progress.history.append(entry)
            if val_loss < progress.best_val_loss:
                progress.best_epoch, progress.best_val_loss = epoch, val_loss
                save_weights(run.model, model)
            write_json_lines(run.epochs, progress.history)
            save_checkpoint(run.checkpoint, model, optimizer, progress)
            log_epoch(board, entry)
            on_epoch(entry)

    load_weights(run.model, model)
    return finish(run, task, model, progress)


def train_epoch(task: Task, model: FusionNet, optimizer: torch.optim.Optimizer, epoch: int) -> tuple[float, int]:
    """Make one pass over the training split; return the mean loss without penalty and the number of samples."""
    model.train()
    config = task.config
    total, num_samples = 0.0, 0
    for batch in stream_task(task, training_requests(task, epoch)):
        loss = batch_loss(task, forward(task, model, batch), batch)
        penalty = weight_penalty(model, config.weight_penalty, config.connectivity_penalty)
        optimizer.zero_grad(set_to_none=True)
        (loss + penalty).backward()
        optimizer.step()
        size = len(batch.request.rows)
        total += loss.item() * size
        num_samples += size
    return total / num_samples, num_samples


def learning_rate(config: TrainConfig, epoch: int) -> float:
    """Return the learning rate of an epoch, counted from 1."""
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / config.epochs))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let the optimiser take steps of this size from now on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def calibrate(task: Task, model: FusionNet, epoch: int) -> None:
    """Measure batch norm anew on the first batches of an epoch, so that evaluation sees the weights as they are now."""
    wanted = task.config.calibration_samples
    if wanted == 0:
        return
    requests = training_requests(task, epoch)
    num_batches = max(1, -(-wanted // len(requests[0].rows)))
    recalibrate_batch_norm(model, stream_task(task, requests[:num_batches]), lambda batch: forward(task, model, batch))


@torch.inference_mode()
def evaluate(task: Task, model: FusionNet, split: str) -> tuple[float, NDArray[np.float64]]:
    """Return the mean loss and the predictions of one split, in the target's unit or as probabilities of class 1."""
    model.eval()
    members = task.cohort.members(split)
    batches = np.array_split(members, -(-len(members) // task.config.batch_size))
    total, outputs = 0.0, []
    for batch in stream_task(task, [request_batch(task, positions) for positions in batches]):
        output = forward(task, model, batch)
        total += batch_loss(task, output, batch).item() * len(batch.request.rows)
        outputs.append(output.double().cpu().numpy())
    return total / len(members), to_predictions(task, np.concatenate(outputs))


def log_epoch(board: SummaryWriter, entry: EpochEntry) -> None:
    """Enter one epoch into TensorBoard."""
    scalars = {"loss/train": entry["train_loss"], "loss/val": entry["val_loss"]}
    scalars |= {f"val/{name}": value for name, value in entry["val"].items()}
    scalars["speed/samples_per_second"] = entry["samples_per_second"]
    for name, value in scalars.items():
        board.add_scalar(name, value, entry["epoch"])
    board.flush()


def finish(run: RunDirectory, task: Task, model: FusionNet, progress: Progress) -> dict[str, Any]:
    """Validate and test the best epoch; write predictions, pictures and, last of all, the metrics."""
    config, cohort = task.config, task.cohort
    predictions = {split: evaluate(task, model, split)[1] for split in ("val", "test")}
    tables = [
        pl.DataFrame(
            {
                "sample_id": [cohort.sample_ids[i] for i in cohort.members(split)],
                "split": split,
                "truth": cohort.targets[cohort.members(split)],
                "prediction": prediction,
            }
        )
        for split, prediction in predictions.items()
    ]
    write_predictions(run, pl.concat(tables))
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
    truth = cohort.targets[cohort.members("test")]
    draw_pictures(run.plots, config, progress, truth, predictions["test"], metrics["test"])
    write_json(run.metrics, metrics)
    return metrics


def write_predictions(run: RunDirectory, predictions: pl.DataFrame) -> None:
    """Write a run's predictions, unless participants of its cohort have withdrawn while it ran.

    Raises
    ------
    TrainError
        Some have; the run cannot be finished.
    """
    table = BytesIO()
    predictions.write_parquet(table)
    write_atomically(run.predictions, table.getvalue())
    try:
        require_unmarked(run)  # after the writing: a withdrawal that comes later finds the file
    except TrainError:
        run.predictions.unlink()
        raise


def draw_pictures(
    directory: Path,
    config: TrainConfig,
    progress: Progress,
    truth: NDArray[np.float64],
    prediction: NDArray[np.float64],
    metrics: dict[str, float],
) -> None:
    """Draw the loss curve and truth against prediction."""
    title = f"{config.target} from {', '.join(config.inputs)}"
    plot_losses(progress.history, progress.best_epoch, title, directory / "loss.png")
    draw = plot_regression if config.kind == "regression" else plot_classification
    name = f"{config.target} ({config.unit})"
    draw(truth, prediction, metrics, name, directory / "test.png")
