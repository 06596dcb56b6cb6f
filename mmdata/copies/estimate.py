"""How long planned copies will take: measured on a few copies of one sample, none of which is kept."""

import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.copies.copy import make_copies, rows_at_once
from mmdata.copies.precompute import CopyPlan, CopyTask
from mmdata.copies.threads import one_torch_thread
from mmdata.execution.allocator import keep_freed_memory
from mmdata.store.array import open_array
from mmdata.store.schema import StudyLayout
from mmdata.store.spec import ensure_array

_COPIES = range(1, 9)
"""Copies that are measured, each with its own changes; one more before them warms up."""
_START_SECONDS = 6.0
"""Of worker processes and their imports."""


def estimate_seconds(plan: CopyPlan, *, workers: int) -> float:
    """Return about how long the plan's tasks take some workers, if each is as fast as this process alone.

    Parameters
    ----------
    workers
        Processes that work at once; 0 counts as the one that asks.
    """
    if not plan.tasks:
        return 0.0
    seconds = 0.0
    for side in {task.side for task in plan.tasks}:
        tasks = [task for task in plan.tasks if task.side == side]
        num_volumes = sum(len(rows) for task in tasks for rows in task.rows.values())
        seconds += num_volumes * _seconds_per_volume(plan, tasks[0])
    if workers == 0 or any(task.device != "cpu" for task in plan.tasks):
        return seconds
    return _START_SECONDS + seconds / min(workers, len(plan.tasks))


def _seconds_per_volume(plan: CopyPlan, task: CopyTask) -> float:
    """Read a sample, make copies of it and write them to a temporary array, timed but for the first copy."""
    keep_freed_memory()  # as in a task
    row = min(row for rows in task.rows.values() for row in rows)
    started = time.perf_counter()
    stored = {
        modality: open_array(task.layout.volume_array(modality, task.side)).read_rows([(row,)])[0]
        for modality, rows in task.rows.items()
        if row in rows
    }
    read_seconds = time.perf_counter() - started
    with one_torch_thread():
        _copies_of(task, row, stored, 0)
        started = time.perf_counter()
        copies = [_copies_of(task, row, stored, copy) for copy in _COPIES]
        for modality in stored:
            _write(plan, task, np.stack([of_sample[modality] for of_copy in copies for of_sample in of_copy]))
        made_seconds = time.perf_counter() - started
    num_made = len(_COPIES) * rows_at_once(task.device)
    return (read_seconds + made_seconds / num_made) / len(stored)


def _copies_of(
    task: CopyTask, row: int, stored: Mapping[str, NDArray[Any]], copy: int
) -> list[dict[str, NDArray[Any]]]:
    """Make a copy as often as a task makes copies together, each with its own changes."""
    names = [f"{task.sample_ids[row]}/{number}" for number in range(rows_at_once(task.device))]
    return make_copies([stored] * len(names), task.settings, task.seed, names, copy, task.extent_mm, task.device)


def _write(plan: CopyPlan, task: CopyTask, copies: NDArray[Any]) -> None:
    """Write copies to an array in the study: the next command removes what a kill leaves there."""
    spec = next(spec for spec in plan.arrays if spec.shape[-1] == task.side)
    scratch = task.layout.scratch
    scratch.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = StudyLayout(Path(folder)).augmented_array("estimate", task.side)
        ensure_array(replace(spec, path=path, shape=(1, *copies.shape), rows_per_shard=len(copies)))
        open_array(path).write_shard(0, copies, copy=0)
    with suppress(OSError):  # another command works there
        scratch.rmdir()
