"""Samples in some seconds, and how they are counted.

Terms
-----
warm-up  the first times that something is done. A GPU's library then searches for the fastest algorithms, compiled code
         is made, memory is taken for the first time. It never counts, however long it takes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from mmtrain.device import wait_for


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """How many samples some seconds gave."""

    samples: int = 0
    seconds: float = 0.0
    wait_seconds: float = 0.0
    """Of them, in which the device had nothing to do because no batch was there."""
    warm_up_seconds: float = 0.0
    """Before them; they do not count."""

    @property
    def samples_per_second(self) -> float:
        """Samples in a second."""
        return self.samples / self.seconds

    @property
    def wait_share(self) -> float:
        """Share of the time that the device waited."""
        return self.wait_seconds / self.seconds

    def __add__(self, other: "Throughput") -> "Throughput":
        return Throughput(
            samples=self.samples + other.samples,
            seconds=self.seconds + other.seconds,
            wait_seconds=self.wait_seconds + other.wait_seconds,
            warm_up_seconds=self.warm_up_seconds + other.warm_up_seconds,
        )


def num_warm_ups(device: torch.device) -> int:
    """Return how often something is done before it is measured.

    Once, and three times on a GPU: the second time PyTorch may compile anew for sizes that vary, and the third is the
    first that a recorded graph of launches is played.
    """
    return 3 if device.type == "cuda" else 1


def repeat(work: Callable[[], int], seconds: float, device: torch.device) -> Throughput:
    """Do work that returns its number of samples for some seconds behind the warm-up, once at least."""
    begun = time.perf_counter()
    for _ in range(num_warm_ups(device)):
        work()
        wait_for(device)
    started = time.perf_counter()
    samples = 0
    while not samples or time.perf_counter() - started < seconds:
        samples += work()
        wait_for(device)
    return Throughput(samples=samples, seconds=time.perf_counter() - started, warm_up_seconds=started - begun)
