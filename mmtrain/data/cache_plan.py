"""Where a run keeps the rows that it reads: decided from how many bytes it needs and how many it may take.

Terms
-----
cache device  whose memory holds the rows: the host, or the device that computes.
needed        bytes of all rows that this process may come to read in the run.
allowed       bytes that it may keep on a cache device: half of its share of what is free there, or as many as
              `--cache-mb` says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from mmbase.memory import available_bytes
from mmdata.execution.capacity import as_gb
from mmdata.store.array import StoredArray
from mmtrain.config.execution import CacheChoice
from mmtrain.config.run import RunConfig
from mmtrain.data.cohort import Cohort
from mmtrain.data.stream import Stores

CacheDevice = Literal["host", "device"]
FREE_SHARE = 0.5
"""Of free memory that rows may take: the rest is for what the network computes with, and for other programs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CachePlan:
    """Where rows are kept in a run."""

    device: CacheDevice | None
    """None: rows are streamed from the stores in every epoch."""
    needed_bytes: int = 0
    allowed_bytes: int = 0
    note: str = ""
    """What is to be known of it before the run begins."""


STREAMED = CachePlan(device=None)


_TOLD_BYTES = 10_000_000
"""Below which it is told to nobody what rows take: less than the network beside them."""


def plan_cache(
    choice: CacheChoice, needed_bytes: int, allowed_bytes: Mapping[CacheDevice, int], *, is_read_again: bool
) -> CachePlan:
    """Decide where rows are kept.

    Parameters
    ----------
    choice
        ``auto`` keeps them only where all fit and are read again, on the device rather than on the host. The others are
        obeyed; what does not fit is streamed.
    needed_bytes
        Of all rows; 0 where the run reads none.
    allowed_bytes
        On each cache device that there is; a processor that computes has the host alone.
    is_read_again
        Whether rows are read more than once in the life of this process.

    Examples
    --------
    >>> plan_cache("auto", 10**9, {"device": 10**8, "host": 10**10}, is_read_again=True).device
    'host'
    """
    if choice == "none" or not needed_bytes:
        return STREAMED
    if choice == "auto":
        if not is_read_again:
            return STREAMED
        fitting = [device for device, allowed in allowed_bytes.items() if needed_bytes <= allowed]
        if not fitting:
            told = " or ".join(f"{as_gb(allowed)} of {_memory(device)}" for device, allowed in allowed_bytes.items())
            return CachePlan(
                device=None,
                note=f"the rows of this run take {as_gb(needed_bytes)} and may take {told}: they are read from the "
                "stores in every epoch",
            )
        device = fitting[0]
    else:
        device = choice if choice in allowed_bytes else "host"
    allowed = allowed_bytes[device]
    rest = "" if needed_bytes <= allowed else "; what does not fit is read from the stores in every epoch"
    told = f"the rows of this run take {as_gb(needed_bytes)}; once read they stay in {_memory(device)}, up to "
    return CachePlan(
        device=device,
        needed_bytes=needed_bytes,
        allowed_bytes=allowed,
        note=f"{told}{as_gb(allowed)}{rest}" if needed_bytes >= _TOLD_BYTES or rest else "",
    )


def needed_rows(
    cohort: Cohort, stores: Stores, config: RunConfig, *, reads_copies: bool, num_ranks: int
) -> list[tuple[StoredArray, int]]:
    """Return each array that a run reads, and how many of its rows one rank may come to.

    A rank reads other training samples in every epoch, so it may come to all of them; of validation and test it reads
    the same share each time.

    Parameters
    ----------
    reads_copies
        False: training samples are read as they are, whatever copies there are.
    """
    training = cohort.members("train")
    num_others = sum(-(-size // num_ranks) for split, size in cohort.split_sizes.items() if split != "train")
    num_whole = len(training) + num_others
    copied = int(np.count_nonzero(cohort.is_augmented[training])) if reads_copies and stores.num_copies else 0
    num_copies = min(stores.num_copies, config.optimisation.epochs)
    rows = [(array, num_whole) for array in stores.originals.values()]
    return rows + [(array, copied * num_copies) for array in stores.augmented.values() if copied]


def num_versions(stores: Stores, config: RunConfig) -> int:
    """Return how many epochs it takes until a training sample is read from the same copy again."""
    by_epoch = config.augmentation.copy_order == "by-epoch"
    return max(1, stores.num_copies if by_epoch else stores.num_copies + 1)


def free_bytes(device: torch.device) -> int:
    """Return the memory of a device that nobody uses, in bytes; of the processor, that of the host."""
    if device.type != "cuda":
        return available_bytes()
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def allowed_share(free: int, held: int, limit: int | None, num_sharing: int) -> int:
    """Return how many bytes one process may keep.

    Parameters
    ----------
    free, held
        Bytes that nobody uses, and that this process keeps already.
    limit
        What the user allows; None: a share of what is free.
    num_sharing
        Processes that share the memory.

    Examples
    --------
    >>> allowed_share(free=600, held=200, limit=None, num_sharing=2), allowed_share(600, 200, 900, 1)
    (250, 800)
    """
    available = free // num_sharing + held
    return int(available * FREE_SHARE) if limit is None else min(limit, available)


def _memory(device: CacheDevice) -> str:
    return "the host's memory" if device == "host" else "the device's memory"
