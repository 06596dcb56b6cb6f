"""End a job of several ranks when one of them hangs, and name it; end ranks whose command was killed.

Every rank counts the batches it begins. A thread in every rank publishes the count again and again, and looks at those
of the others: when none has risen for too long, the ranks whose threads are silent or whose counts are behind are the
ones that hang, and the others wait for them.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch._C._distributed_c10d import Store

from mmtrain.errors import TrainError
from mmtrain.ranks.failure import record_failure

CHECKS_PER_TIMEOUT = 20
LONGEST_CHECK_SECONDS = 2.0
"""So soon do ranks end after the command that started them; it takes longer to be started again."""
_KEY = "mm-beats-{}"


@dataclass(slots=True)
class Heartbeat:
    """How many batches this rank has begun; in training, validation and all else."""

    beats: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def beat(self) -> None:
        """Say that this rank has begun a batch."""
        self.beats += 1


@contextmanager
def watch_ranks(store: Store, rank: int, size: int, hang_seconds: float) -> Iterator[Heartbeat]:
    """Watch all ranks while a block lasts.

    Parameters
    ----------
    store
        Shared by all ranks, and not held by the rank that may hang.
    hang_seconds
        Without a beat for so long, a rank hangs.
    """
    heartbeat = Heartbeat()
    thread = threading.Thread(target=_watch, args=(store, heartbeat, rank, size, hang_seconds), daemon=True)
    thread.start()
    try:
        yield heartbeat
    finally:
        heartbeat.stopped.set()
        thread.join()


def describe_hang(beats: Sequence[int], silent: Sequence[int], hang_seconds: float) -> str:
    """Say which ranks hang, from the batches that each has begun, and from which of them do not answer.

    >>> describe_hang([12, 11, 12], [], 60)
    'Rank 1 of 3 hangs: no rank began a batch for 60 s, and it is behind the others.'
    >>> describe_hang([12, 12, 12], [0, 2], 60)
    'Ranks 0, 2 of 3 hang: no rank began a batch for 60 s, and they do not answer.'
    """
    hanging = silent or [rank for rank, count in enumerate(beats) if count < max(beats)]
    if not hanging:
        return (
            f"No rank began a batch for {hang_seconds:g} s, and none is behind the others. "
            "If a batch takes so long here, give a larger --hang-seconds."
        )
    one = len(hanging) == 1
    why = ("does not answer" if one else "do not answer") if silent else f"{'is' if one else 'are'} behind the others"
    return (
        f"Rank{'' if one else 's'} {', '.join(map(str, hanging))} of {len(beats)} hang{'s' if one else ''}: "
        f"no rank began a batch for {hang_seconds:g} s, and {'it' if one else 'they'} {why}."
    )


def _watch(store: Store, heartbeat: Heartbeat, rank: int, size: int, hang_seconds: float) -> None:
    starter = os.getppid()
    seen, since = [-1] * size, time.monotonic()
    pulses, heard = [(0, 0)] * size, [since] * size
    num_checks = 0
    while not heartbeat.stopped.wait(min(hang_seconds / CHECKS_PER_TIMEOUT, LONGEST_CHECK_SECONDS)):
        num_checks += 1
        try:
            if os.getppid() != starter:
                raise RuntimeError("torchrun has ended")
            store.set(_KEY.format(rank), f"{heartbeat.beats} {num_checks}")
            latest = [_pulse(store, other) for other in range(size)]
        except RuntimeError:  # so says the store, too
            if heartbeat.stopped.is_set():
                return
            os._exit(1)  # nobody would hear of this rank, and a command that resumes the run would meet it
        now = time.monotonic()
        heard = [before if old == new else now for before, old, new in zip(heard, pulses, latest, strict=True)]
        pulses, beats = latest, [count for count, _ in latest]
        if beats != seen:
            seen, since = beats, now
        elif now - since > hang_seconds:
            silent = [other for other, when in enumerate(heard) if now - when > hang_seconds / 2]
            record_failure(TrainError(describe_hang(beats, silent, hang_seconds)))
            os._exit(1)  # the main thread waits inside a collective operation and cannot be reached


def _pulse(store: Store, rank: int) -> tuple[int, int]:
    """Return how many batches a rank has begun, and how often it has said so."""
    key = _KEY.format(rank)
    beats, checks = map(int, store.get(key).split()) if store.check([key]) else (0, 0)
    return beats, checks
