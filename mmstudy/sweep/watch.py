"""What makes a worker stop between steps: a request to the sweep, the death of its command, the end of its time."""

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
    ends_at: float | None = None
    """On the monotonic clock; None: its time is not limited."""
    looked_at: float = field(default=float("-inf"))

    def must_stop(self) -> bool:
        """Return whether no more work is to be begun."""
        is_orphan = self.parent is not None and os.getppid() != self.parent
        is_over = self.ends_at is not None and time.monotonic() >= self.ends_at
        return is_orphan or is_over or self.sweep.stop.exists()

    def on_step(self, position: EpochPosition) -> None:
        """Look now and then."""
        del position
        now = time.monotonic()
        if now - self.looked_at >= _LOOK_SECONDS:
            self.looked_at = now
            if self.must_stop():
                os.kill(os.getpid(), signal.SIGTERM)
