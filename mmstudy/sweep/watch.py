"""What makes a worker stop between steps: a request to the sweep, or the death of the command that started it."""

import os
import signal
import time
from dataclasses import dataclass, field

from mmstudy.sweep.directory import SweepDirectory
from mmtrain.observer import EpochPosition, TrainingObserver

_LOOK_SECONDS = 1.0


@dataclass(slots=True)
class StopWatch(TrainingObserver):
    """Asks its own process to stop, as a signal from outside would: a run then ends with a checkpoint."""

    sweep: SweepDirectory
    parent: int | None
    """Process that started this one; None: nobody's death matters."""
    looked_at: float = field(default=float("-inf"))

    def must_stop(self) -> bool:
        """Return whether no more work is to be begun."""
        return self.sweep.stop.exists() or (self.parent is not None and os.getppid() != self.parent)

    def on_step(self, position: EpochPosition) -> None:
        """Look now and then."""
        del position
        now = time.monotonic()
        if now - self.looked_at >= _LOOK_SECONDS:
            self.looked_at = now
            if self.must_stop():
                os.kill(os.getpid(), signal.SIGTERM)
