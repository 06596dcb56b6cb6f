"""How long the device that computes had nothing to do because the next batch had not come yet.

A processor waits where the host waits, so the host's clock tells. A GPU works through a queue that the host fills: it
waits from the end of one step's work to the beginning of the next one's, and only marks in that queue tell how long.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import torch

Batch = TypeVar("Batch")
_END = object()


class WaitClock:
    """Adds up the time for which a device waits for batches.

    Examples
    --------
    >>> clock = WaitClock(torch.device("cpu"))
    >>> [batch for batch in clock.watch(["one", "two"])]
    ['one', 'two']
    >>> 0 <= clock.take_seconds() < 1
    True
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._waits: list[tuple[Any, Any]] = []
        """When each wait began and ended: seconds, or marks in the GPU's queue."""

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches, and note how long the device waits for each of them.

        What is computed with a batch is expected to be asked for before the next batch is.
        """
        waiting = iter(batches)
        while True:
            begin = self._mark()
            batch: Any = next(waiting, _END)
            if batch is _END:
                return
            self._waits.append((begin, self._mark()))
            yield batch

    def take_seconds(self) -> float:
        """Return the seconds that the device has waited since this was last asked; waits for a GPU's last step."""
        waits, self._waits = self._waits, []
        if self._device.type != "cuda":
            return float(sum(end - begin for begin, end in waits))
        torch.cuda.synchronize(self._device)
        return float(sum(begin.elapsed_time(end) for begin, end in waits)) / 1000

    def _mark(self) -> Any:
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event
