"""A live cluster of workers, whoever started it."""

from collections.abc import Callable
from dataclasses import dataclass

from distributed import Client

KEY_PREFIX = "mm-"
"""Of the names of our tasks on a cluster."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """A live cluster."""

    client: Client
    remedy: str
    """What to look at when there are no workers."""
    more_may_come: Callable[[], bool]
    """Whether workers may still join by themselves, however long that takes."""
    replace_lost: Callable[[], None]
    """Start workers instead of those that are gone for good, where mm started them."""

    def num_threads(self) -> int:
        """Return how many tasks the workers can run at once."""
        workers = self.client.scheduler_info(n_workers=-1).get("workers", {})
        return sum(worker["nthreads"] for worker in workers.values() if worker["status"] == "running")
