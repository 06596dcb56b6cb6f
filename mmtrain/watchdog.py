"""End a job of several ranks when one of them hangs, and name it.

Every rank counts the batches it begins, and publishes the count. A thread in every rank looks at all counts: when none
has risen for too long, the ranks that are behind are the ones that hang, and those ahead wait for them.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch._C._distributed_c10d import Store
from torch.distributed.elastic.multiprocessing.errors import ErrorHandler

from mmtrain.errors import TrainError

CHECKS_PER_TIMEOUT = 20
_KEY = "mm-beats-{}"


@dataclass(slots=True)
class Heart:
    """How many batches this rank has begun; in training, validation and all else."""

    beats: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def beat(self) -> None:
        """Say that this rank goes on."""
        self.beats += 1


@contextmanager
def watch_ranks(store: Store, rank: int, size: int, hang_seconds: float) -> Iterator[Heart]:
    """Watch all ranks while a block lasts.

    Parameters
    ----------
    store
        Shared by all ranks, and not held by the rank that may hang.
    hang_seconds
        Without a beat for so long, a rank hangs.
    """
    heart = Heart()
    thread = threading.Thread(target=_watch, args=(store, heart, rank, size, hang_seconds), daemon=True)
    thread.start()
    try:
        yield heart
    finally:
        heart.stopped.set()
        thread.join()


def describe_hang(beats: Sequence[int], hang_seconds: float) -> str:
    """Say which ranks hang, from the batches that each has begun.

    >>> describe_hang([12, 11, 12], 60)
    'Rank 1 of 3 hangs: no rank began a batch for 60 s, and it is behind the others.'
    """
    behind = [str(rank) for rank, count in enumerate(beats) if count < max(beats)]
    if not behind:
        return (
            f"No rank began a batch for {hang_seconds:g} s, and none is behind the others. "
            "If a batch takes so long here, give a larger --hang-seconds."
        )
    names = f"Rank {behind[0]}" if len(behind) == 1 else f"Ranks {', '.join(behind)}"
    verbs = ("hangs", "it is") if len(behind) == 1 else ("hang", "they are")
    return (
        f"{names} of {len(beats)} {verbs[0]}: no rank began a batch for {hang_seconds:g} s, "
        f"and {verbs[1]} behind the others."
    )


def _watch(store: Store, heart: Heart, rank: int, size: int, hang_seconds: float) -> None:
    seen, since = [-1] * size, time.monotonic()
    while not heart.stopped.wait(hang_seconds / CHECKS_PER_TIMEOUT):
        try:
            store.set(_KEY.format(rank), str(heart.beats))
            beats = [int(store.get(key)) if store.check([key := _KEY.format(other)]) else 0 for other in range(size)]
        except RuntimeError:  # the others have ended, and torchrun with them
            return
        if beats != seen:
            seen, since = beats, time.monotonic()
        elif time.monotonic() - since > hang_seconds:
            ErrorHandler().record_exception(TrainError(describe_hang(beats, hang_seconds)))
            os._exit(1)  # the main thread waits inside a collective operation and cannot be reached
