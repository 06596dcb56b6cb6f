"""A run's epochs for TensorBoard."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from mmtrain.state import Run


def open_board(run: Run) -> AbstractContextManager[SummaryWriter | None]:
    """Open the run's event files on the rank that writes; None on the others."""
    if not run.task.ranks.leads:
        return nullcontext()
    board: AbstractContextManager[SummaryWriter] = SummaryWriter(
        str(run.directory.tensorboard), purge_step=run.progress.epoch + 1
    )
    return board


def log_epoch(board: SummaryWriter, entry: Mapping[str, Any]) -> None:
    """Enter one epoch."""
    scalars = {"loss/train": entry["train_loss"], "loss/val": entry["val_loss"]}
    scalars |= {f"val/{name}": value for name, value in entry["val"].items()}
    scalars["speed/samples_per_second"] = entry["samples_per_second"]
    scalars["speed/wait_share"] = entry["wait_share"]
    for name, value in scalars.items():
        board.add_scalar(name, value, entry["epoch"])
    board.flush()
