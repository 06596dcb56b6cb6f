"""What a process keeps from run to run, for those that train many: rows of the stores in memory."""

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
from mmtrain.ranks.environment import ranks_on_machine
from mmtrain.task import Task

HOST = torch.device("cpu")


@dataclass(slots=True)
class Kept:
    """What one process keeps for its next run."""

    rows: dict[torch.device, RowCache] = field(default_factory=dict)
    """Rows of the stores, by the device whose memory holds them."""


def keep_rows(kept: Kept, task: Task, *, runs_follow: bool) -> tuple[Task, CachePlan]:
    """Return a task that keeps the rows it reads where its settings want it, and finds those that are kept.

    Parameters
    ----------
    runs_follow
        Whether the process may train other runs, for which rows are kept too.
    """
    execution, fit = task.config.execution, task.architecture.fit
    places: dict[CachePlace, torch.device] = {} if task.device.type == "cpu" else {"device": task.device}
    places["host"] = HOST
    caches = {place: kept.rows.get(device) or RowCache(device) for place, device in places.items()}
    spoken_for = 0 if fit is None else fit.memory_bytes(task.shape, *_sizes(task))
    allowed = {
        place: allowed_share(
            max(0, free_bytes(cache.device) - (spoken_for if place == "host" else 0)),
            cache.held_bytes,
            execution.cache_bytes,
            ranks_on_machine(task.ranks.size) if place == "host" else 1,
        )
        for place, cache in caches.items()
    }
    rows = needed_rows(task.cohort, task.stores, task.config, reads_copies=fit is None, num_ranks=task.ranks.size)
    plan = plan_cache(
        execution.cache,
        sum(num_rows * array.row_bytes for array, num_rows in rows),
        allowed,
        is_read_again=runs_follow
        or fit is not None
        or task.config.optimisation.epochs > num_versions(task.stores, task.config),
    )
    if plan.place is None:
        return task, plan
    cache = kept.rows[places[plan.place]] = caches[plan.place]
    needed = {array.identity: num_rows * cache.size_of(array.row_bytes) for array, num_rows in rows}
    cache.begin_run(needed, plan.allowed_bytes)
    return replace(task, rows=cache), plan


def _sizes(task: Task) -> tuple[int, int]:
    sizes = task.cohort.split_sizes
    return sizes["train"], sizes["val"]
