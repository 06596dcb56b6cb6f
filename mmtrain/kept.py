"""What a process keeps from run to run, for those that train many: rows of the stores, and what is made of them."""

from dataclasses import dataclass, field, replace

import torch

from mmtrain.data.cache_plan import (
    CacheDevice,
    CachePlan,
    allowed_share,
    free_bytes,
    needed_rows,
    num_versions,
    plan_cache,
)
from mmtrain.data.row_cache import RowCache
from mmtrain.kept_values import KeptValues
from mmtrain.ranks.environment import ranks_on_machine
from mmtrain.task import Task

HOST = torch.device("cpu")


@dataclass(slots=True)
class Kept:
    """What one process keeps for its next run."""

    num_on_machine: int = 1
    """Processes that train runs and share the memory of the machine, this one among them."""
    num_on_device: int = 1
    """Those of them that share the device too."""
    rows: dict[torch.device, RowCache] = field(default_factory=dict)
    """Rows of the stores, by the device whose memory holds them."""
    reductions: KeptValues = field(default_factory=KeptValues)
    """Coarse volumes, edges and projections, for networks that are fitted at once."""


def keep_rows(kept: Kept, task: Task, *, runs_follow: bool) -> tuple[Task, CachePlan]:
    """Return a task that keeps the rows it reads where its settings want it, and finds those that are kept.

    Parameters
    ----------
    runs_follow
        Whether the process may train other runs, for which rows are kept too. Of a network that is fitted at once what
        is made of rows is kept in their place.
    """
    devices: dict[CacheDevice, torch.device] = {} if task.device.type == "cpu" else {"device": task.device}
    devices["host"] = HOST
    caches = {name: kept.rows.setdefault(device, RowCache(device)) for name, device in devices.items()}
    allowed = {name: _allowed_bytes(kept, task, cache) for name, cache in caches.items()}
    reads_copies = task.architecture.fit is None
    rows = needed_rows(task.cohort, task.stores, task.config, reads_copies=reads_copies, num_ranks=task.ranks.size)
    plan = plan_cache(
        task.config.execution.cache,
        sum(num_rows * array.row_bytes for array, num_rows in rows),
        allowed,
        is_read_again=task.architecture.fit is None and (runs_follow or _reads_again(task)),
    )
    for name, cache in caches.items():  # also where this run keeps none, what has changed is let go
        of_run = rows if name == plan.device else []
        needed = {array.identity: num_rows * cache.size_of(array.row_bytes) for array, num_rows in of_run}
        cache.begin_run(needed, allowed[name])
    return (task if plan.device is None else replace(task, rows=caches[plan.device])), plan


def _allowed_bytes(kept: Kept, task: Task, cache: RowCache) -> int:
    free, num_sharing = free_bytes(cache.device), kept.num_on_device
    if cache.device.type == "cpu":
        num_training, fit = task.cohort.split_sizes["train"], task.architecture.fit
        num_sharing = kept.num_on_machine * ranks_on_machine(task.ranks.size)
        of_fit = 0 if fit is None else fit.memory_bytes(task.shape, num_training, len(task.cohort.rows) - num_training)
        free -= num_sharing * of_fit  # each of them may be at one
    return allowed_share(max(0, free), cache.held_bytes, task.config.execution.cache_bytes, num_sharing)


def _reads_again(task: Task) -> bool:
    """Return whether a run by itself reads training rows more than once."""
    return task.config.optimisation.epochs > num_versions(task.stores, task.config)
