"""TensorBoard's event files, in the run's own directory: every run has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch.utils.tensorboard import SummaryWriter

from mmtrain.errors import TrainError
from mmtrain.logs import epoch_scalars
from mmtrain.observer import RunStart, TrainingObserver
from mmtrain.state import EpochEntry


@dataclass(frozen=True, slots=True)
class TensorBoard(TrainingObserver):
    """Open event files."""

    writer: SummaryWriter

    def on_epoch(self, entry: EpochEntry) -> None:
        """Enter one epoch."""
        for name, value in epoch_scalars(entry).items():
            self.writer.add_scalar(name, value, entry["epoch"])
        self.writer.flush()


class TensorBoardLogger:
    """How a run's event files are opened."""

    def require(self, argument: str) -> None:
        """Refuse an argument: where the files lie is fixed."""
        if argument:
            raise TrainError("--log tensorboard takes no argument: its files lie in the run's directory, always.")

    @contextmanager
    def open(self, start: RunStart, argument: str) -> Iterator[TrainingObserver]:
        """Continue behind the epochs that are finished; what an interrupted run wrote of later ones goes."""
        with SummaryWriter(str(start.directory.tensorboard), purge_step=len(start.history) + 1) as writer:
            yield TensorBoard(writer)


LOGGER = TensorBoardLogger()
