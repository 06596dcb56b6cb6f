"""What a process keeps from run to run, for those that train many: rows of the stores, and what is made of them."""

from dataclasses import dataclass, field, replace

import torch

from mmtrain.data.cache_plan import (
    CachePlace,
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
    places: dict[CachePlace, torch.device] = {} if task.device.type == "cpu" else {"device": task.device}
    places["host"] = HOST
    caches = {place: kept.rows.setdefault(device, RowCache(device)) for place, device in places.items()}
    allowed = {place: _allowed_bytes(task, cache) for place, cache in caches.items()}
    reads_copies = task.architecture.fit is None
    rows = needed_rows(task.cohort, task.stores, task.config, reads_copies=reads_copies, num_ranks=task.ranks.size)
    plan = plan_cache(
        task.config.execution.cache,
        sum(num_rows * array.row_bytes for array, num_rows in rows),
        allowed,
        is_read_again=task.architecture.fit is None and (runs_follow or _reads_again(task)),
    )
    for place, cache in caches.items():  # also where this run keeps none, what has changed is let go
        of_run = rows if place == plan.place else []
        needed = {array.identity: num_rows * cache.size_of(array.row_bytes) for array, num_rows in of_run}
        cache.begin_run(needed, allowed[place])
    return (task if plan.place is None else replace(task, rows=caches[plan.place])), plan


def _allowed_bytes(task: Task, cache: RowCache) -> int:
    free, num_sharing = free_bytes(cache.device), 1
    if cache.device.type == "cpu":
        num_training, fit = task.cohort.split_sizes["train"], task.architecture.fit
        free -= 0 if fit is None else fit.memory_bytes(task.shape, num_training, len(task.cohort.rows) - num_training)
        num_sharing = ranks_on_machine(task.ranks.size)
    return allowed_share(max(0, free), cache.held_bytes, task.config.execution.cache_bytes, num_sharing)


def _reads_again(task: Task) -> bool:
    """Return whether a run by itself reads training rows more than once."""
    return task.config.optimisation.epochs > num_versions(task.stores, task.config)
