"""Say what work will need before it begins, and refuse what cannot fit."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from mmbase.memory import available_bytes
from mmdata.errors import CapacityError

BASE_WORKER_BYTES = 600 << 20
"""A worker process with its libraries and the template loaded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Projection:
    """What a plan needs at most."""

    workers: int
    worker_bytes: int
    """Peak memory of one worker process."""
    disk_bytes: int
    """Bytes the new shards will take, compressed."""

    @property
    def memory_bytes(self) -> int:
        """Peak memory of all workers."""
        return self.workers * self.worker_bytes


def require_capacity(projection: Projection, directory: Path, *, workers_are_here: bool = True) -> None:
    """Refuse work that would run out of memory or disk.

    Parameters
    ----------
    directory
        Where the new shards go.
    workers_are_here
        Whether the workers share this machine's memory; those of a cluster are judged when they are met.

    Raises
    ------
    CapacityError
        Says how much is needed, how much there is, and what to change.
    """
    available = available_bytes()
    if workers_are_here and projection.memory_bytes > available:
        raise CapacityError(
            f"{projection.workers} workers need up to {as_gb(projection.memory_bytes)} of memory and "
            f"{as_gb(available)} are available.",
            "Use fewer --workers, or a smaller rows_per_shard for a new study.",
        )
    free = shutil.disk_usage(directory).free
    if projection.disk_bytes > free:
        raise CapacityError(
            f"The new shards need about {as_gb(projection.disk_bytes)} on disk and {as_gb(free)} are free in "
            f"{directory}.",
            "Free some space or move the study to a larger disk.",
        )


def as_gb(num_bytes: float) -> str:
    """Return a number of bytes as gigabytes.

    >>> as_gb(1_234_000_000)
    '1.23 GB'
    """
    return f"{num_bytes / 1e9:.2f} GB"
