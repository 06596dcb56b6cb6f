"""The processes that train one model together. Each is a rank; one process alone is rank 0 of 1.

torchrun starts them and tells each its rank by environment variables; `mmtrain.ranks.launch` does so on one machine.
Source: https://docs.pytorch.org/docs/stable/elastic/run.html.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from mmbase.errors import first_line
from mmtrain.device import require_no_number
from mmtrain.errors import TrainError
from mmtrain.ranks.environment import rank_of_process
from mmtrain.ranks.failure import record_failure
from mmtrain.ranks.watchdog import Heartbeat, watch_ranks
from mmtrain.stopping import TrainingStopped

COLLECTIVE_GRACE_SECONDS = 60.0
"""How much later than the watchdog the collective operations themselves give up: it can say who hangs, they cannot."""

CULPRIT_SECONDS = 3.0
"""How long a rank that fails waits before it ends: most fail because another has ended, whose reason is to be told."""


_joined: list[dist.ProcessGroup | None] = []
"""Groups of this process, kept for as long as it lives and used by nobody. Whoever lets go of one last waits for its
threads; DDP would do so with the interpreter lock, for which such a thread may wait to free a tensor, and the rank
would hang instead of ending."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """One process among those that train a model, and what it needs to talk with the others."""

    rank: int
    size: int
    control: dist.ProcessGroup | None
    """For small messages between processors, beside those between GPUs; None: there is one process."""
    heartbeat: Heartbeat

    @property
    def leads(self) -> bool:
        """Whether this is the rank that writes files and prints."""
        return self.rank == 0

    def any(self, *flags: bool) -> list[bool]:
        """Return for each flag whether any rank has raised it. All ranks must call it at the same point."""
        if self.control is None:
            return list(flags)
        raised = torch.tensor(flags, dtype=torch.int8)
        dist.all_reduce(raised, dist.ReduceOp.MAX, group=self.control)
        return [bool(flag) for flag in raised]

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of a tensor over all ranks."""
        total = values.detach().clone()
        if self.control is not None:
            dist.all_reduce(total)
        return total

    def gather(self, part: torch.Tensor) -> torch.Tensor:
        """Join the parts of all ranks along the first axis, in the order of the ranks, on the processor."""
        if self.control is None:
            return part.cpu()
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, part.cpu(), group=self.control)
        return torch.cat(parts)

    def copy_from_first(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give tensors the values that they have on rank 0."""
        if self.control is not None:
            for tensor in tensors:
                dist.broadcast(tensor, 0)


ALONE = Ranks(rank=0, size=1, control=None, heartbeat=Heartbeat())
"""One process that trains by itself."""


@contextmanager
def join_ranks(device: torch.device, *, hang_seconds: float) -> Iterator[Ranks]:
    """Join the other ranks for as long as a block lasts; without torchrun there are none.

    Parameters
    ----------
    device
        Where ranks compute: gradients go through NCCL between GPUs, through gloo between processors.
    hang_seconds
        A rank that reads no batch for so long ends the job.

    Raises
    ------
    TrainError
        There are more ranks than GPUs, one particular GPU is asked for, or the others do not come.
    """
    rank = rank_of_process()
    if rank is None:
        yield ALONE
        return
    size, local_rank = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    timeout = timedelta(seconds=hang_seconds + COLLECTIVE_GRACE_SECONDS)
    require_no_number(str(device))
    if device.type == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise TrainError(f"Expected a GPU for each rank; there are {torch.cuda.device_count()} on this machine.")
        torch.cuda.set_device(local_rank)
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timeout)
        control = dist.new_group(backend="gloo", timeout=timeout)
    except (RuntimeError, ValueError) as error:
        raise TrainError(f"Rank {rank} of {size} could not join the others: {first_line(error)}") from error
    _joined.extend((dist.group.WORLD, control))
    try:
        with watch_ranks(_shared_store(), rank, size, hang_seconds) as heartbeat:
            yield Ranks(rank, size, control, heartbeat)
    except TrainingStopped:
        dist.destroy_process_group()
        raise
    except Exception as error:  # the group is left as it is: to take it down may wait for ranks that never come
        record_failure(error)
        if isinstance(error, RuntimeError):
            time.sleep(CULPRIT_SECONDS)
        raise
    dist.destroy_process_group()


def _shared_store() -> Store:
    """Return what torchrun itself keeps for the ranks to find each other; it outlives any of them."""
    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    return PrefixStore("mm", store)
