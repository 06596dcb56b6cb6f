"""How long a run takes from its command's start to the end of its first step."""

import time
from dataclasses import dataclass

import polars as pl

from mmdata.store.schema import StudyLayout
from mmtrain.bench.batches import EPOCH, first_batch
from mmtrain.config.run import RunConfig
from mmtrain.data.cohort import parse_cohort
from mmtrain.device import wait_for
from mmtrain.kept import Kept, keep_rows
from mmtrain.learner import build_learner, take_step
from mmtrain.task import Task, prepare_task, stream_task


@dataclass(frozen=True, kw_only=True, slots=True)
class StartUp:
    """Seconds from the start of a command to the end of the first training step, part by part."""

    imports: float
    """The interpreter, mm and the libraries that it loads."""
    plan: float
    """The settings, the cohort, what there is to read."""
    cache: float
    """The stores and the device opened, scalings fitted, and room made for rows in memory."""
    first_step: float
    """The network built, the first batch read, and one step of it."""

    @property
    def seconds(self) -> float:
        """All parts together."""
        return self.imports + self.plan + self.cache + self.first_step


def measure_start_up(
    table: pl.DataFrame, layout: StudyLayout, config: RunConfig, *, imports: float, plan: float
) -> tuple[StartUp, Task]:
    """Start a run as training does, until its first step is done; return what that took, and the run's task.

    Parameters
    ----------
    table
        The cohort of the whole run.
    imports, plan
        Seconds of what came before.
    """
    started = time.perf_counter()
    task = prepare_task(parse_cohort(table), layout, config)
    keeping, _ = keep_rows(Kept(), task, runs_follow=False)
    prepared = time.perf_counter()
    _take_first_step(keeping)
    return StartUp(
        imports=imports, plan=plan, cache=prepared - started, first_step=time.perf_counter() - prepared
    ), task


def _take_first_step(task: Task) -> None:
    learner = build_learner(task)
    learner.network.train()
    portions = first_batch(task)
    batches = stream_task(task, [portion.request for portion in portions], EPOCH)
    for portion, batch in zip(portions, batches, strict=True):
        take_step(task, learner, portion, batch, EPOCH)
    wait_for(task.device)
