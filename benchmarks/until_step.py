"""Train a run for N steps, then die, as if the machine had failed: ``python -m benchmarks.until_step RUN N``.

Prints when the last step was done, in seconds since 1970. A run that has a checkpoint is resumed.
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch

from mmdata.store.schema import StudyLayout
from mmtrain.observer import EpochPosition, TrainingObserver
from mmtrain.page.live import without_page
from mmtrain.run import find_run
from mmtrain.train import train


class DyingObserver(TrainingObserver):
    """Kills its process when some steps have been taken in it."""

    def __init__(self, num_steps: int) -> None:
        self._steps_left = num_steps
        self._epoch = 0

    def on_step(self, position: EpochPosition) -> None:
        """Count a step; the first call of each epoch tells only where it begins."""
        if position.epoch != self._epoch:
            self._epoch = position.epoch
            return
        self._steps_left -= 1
        if not self._steps_left:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            print(time.time(), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)


def main(run: Path, num_steps: int) -> None:
    """Train until death."""
    directory, config = find_run(run.parent, run.name)
    train(
        directory,
        StudyLayout(run.parent.parent),
        config,
        resumed=directory.checkpoint.exists(),
        observers=[DyingObserver(num_steps)],
        keep_page=without_page,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
