"""Measure how fast a planned run is on this machine; nothing of the study is changed."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import psutil

from catalog.cohorts import write_cohort
from catalog.splits.schemes import choose_scheme
from mmdata.execution.allocator import keep_freed_memory
from mmdata.execution.pools import LocalPool
from mmdata.study import Study
from mmstudy.copies import preview_copies
from mmstudy.progress import Progress
from mmstudy.recommendation import Recommendation, WayResult, recommend
from mmstudy.training import RunPlan, plan_run
from mmtrain.bench.stages import (
    TURNS,
    WAYS_WITH_COPIES,
    Pace,
    Stage,
    Way,
    measure_stages,
    measure_ways,
    stage_names,
    ways_of,
)
from mmtrain.memory import explain_exhaustion
from mmtrain.run import RunDirectory
from mmtrain.task import Task, prepare_task

DEFAULT_COPIES = 4
"""Copies that are projected where there are none, as many as `mm precompute-augs` makes by default."""
_LARGEST_SAMPLE_BYTES = 1 << 30
"""Of the integers of all samples that are measured with."""
_MOST_SAMPLES, _LEAST_BATCHES = 512, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchResult:
    """What was measured for one run."""

    target: str
    inputs: tuple[str, ...]
    side: int
    batch_size: int
    device: str
    precision: str
    training_samples: int
    """Of the whole run in one epoch."""
    measured_samples: int
    """Different ones that were measured with."""
    copies: int
    """Augmented copies that are stored at this side."""
    projected_copies: int
    """Copies whose cost is told where there are none."""
    stages: tuple[Stage, ...]
    ways: tuple[WayResult, ...]
    recommendation: Recommendation

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        ways = [
            {**asdict(way), "sustained": way.sustained, "epoch_seconds": self.training_samples / way.sustained}
            for way in self.ways
        ]
        return {**asdict(self), "ways": ways}


def run_bench(study: Study, target: str, given: Mapping[str, Any], seconds: float, progress: Progress) -> BenchResult:
    """Plan a run as `mm train` does, and measure its stages and every way to augment.

    Parameters
    ----------
    given
        Settings that come before the study's own.
    seconds
        For each stage and each way.

    Raises
    ------
    CatalogError, DataError, TrainError
        The run cannot be planned, a store is damaged, or the device's memory does not hold a batch.
    """
    keep_freed_memory()
    plan = plan_run(study, target, {**given, "augment": "precomputed"}, scheme=choose_scheme(None, None), audited=False)
    with explain_exhaustion(plan.config, 1), progress("measurements") as on_progress:
        task = prepare(study, plan)
        stages, paces = measure(task, seconds, on_progress)
    of_stage = {stage.name: stage for stage in stages}
    num_samples = epoch_size(plan)
    ways = tuple(judge_ways(study, task, paces, of_stage.get("disk"), num_samples))
    return BenchResult(
        target=target,
        inputs=plan.config.inputs,
        side=plan.config.side,
        batch_size=plan.config.batch_size,
        device=str(task.device),
        precision=str(task.dtype).removeprefix("torch."),
        training_samples=num_samples,
        measured_samples=len(task.cohort.rows),
        copies=task.stores.num_copies,
        projected_copies=DEFAULT_COPIES,
        stages=tuple(stages),
        ways=ways,
        recommendation=recommend(ways, of_stage),
    )


def measure(task: Task, seconds: float, on_progress: Callable[[int, int], None]) -> tuple[list[Stage], dict[Way, Pace]]:
    """Measure all stages, then the ways to augment."""
    ways = [way for way in ways_of(task.config) if way != "precomputed" or task.stores.num_copies]
    num_stages = len(stage_names(task))
    total = num_stages + TURNS * len(ways)
    on_progress(0, total)
    stages = []
    for stage in measure_stages(task, seconds):
        stages.append(stage)
        on_progress(len(stages), total)
    paces = dict.fromkeys(ways, Pace())
    done = num_stages
    for way, pace in measure_ways(task, ways, seconds):
        paces[way] += pace
        done += 1
        on_progress(done, total)
    if done < total:  # long steps make fewer turns
        on_progress(total, total)
    return stages, paces


def judge_ways(
    study: Study, task: Task, paces: Mapping[Way, Pace], disk: Stage | None, num_samples: int
) -> Iterator[WayResult]:
    """Join what was measured of each way with what its copies cost."""
    num_copies = task.stores.num_copies
    copies_bytes = _copies_bytes(study, task) if task.config.volume_inputs else 0
    for way in ways_of(task.config):
        has_copies = way in WAYS_WITH_COPIES
        pace = paces.get(way, paces["none"])  # a copy is read as a volume is
        kept = 1 + (num_copies or DEFAULT_COPIES) * has_copies
        read_bytes = 0 if disk is None or disk.sample_bytes is None else int(disk.sample_bytes * num_samples * kept)
        yield WayResult(
            way=way,
            samples_per_second=pace.samples_per_second,
            wait_share=pace.wait_share,
            is_predicted=has_copies and not num_copies,
            copies_bytes=copies_bytes if has_copies else 0,
            copies_are_projected=has_copies and not num_copies,
            read_bytes=read_bytes,
            stays_in_memory=read_bytes < psutil.virtual_memory().available,
            disk_samples_per_second=disk.samples_per_second if disk and disk.cache == "cold" else None,
        )


def epoch_size(plan: RunPlan) -> int:
    """Return the number of samples that one epoch of the whole run trains on."""
    targets = plan.cohort.filter(pl.col("split") == "train")["target"]
    if plan.config.kind == "classification" and plan.config.balance == "undersample":
        return 2 * int(targets.value_counts()["count"].min())  # type: ignore[arg-type]
    return len(targets)


def draw_sample(plan: RunPlan, row_bytes: int) -> pl.DataFrame:
    """Draw the training samples to measure with: enough for different batches, few enough to stay in memory."""
    training = plan.cohort.filter(pl.col("split") == "train")
    wanted = min(_MOST_SAMPLES, _LARGEST_SAMPLE_BYTES // max(1, row_bytes))
    wanted = max(wanted, _LEAST_BATCHES * plan.config.batch_size)
    return training.sample(min(wanted, len(training)), seed=plan.config.seed, shuffle=True)


def prepare(study: Study, plan: RunPlan) -> Task:
    """Return what a run needs to compute, made from a sample of its training samples, and no run directory.

    The classes of a binary target are not balanced: a sample takes as long whatever its class.
    """
    config = replace(plan.config, balance="none")
    volume_bytes = 2 * config.side**3 * len(config.volume_inputs)
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder))
        write_cohort(draw_sample(plan, volume_bytes), run.cohort)
        return prepare_task(run, study.layout, config)


def _copies_bytes(study: Study, task: Task) -> int:
    """Return the bytes of all copies at the run's side: those that exist, or those that would be made at most."""
    side = task.config.side
    if not task.stores.num_copies:
        return preview_copies(study, DEFAULT_COPIES, [side], LocalPool(processes=1), "cpu").projection.disk_bytes
    arrays = [study.layout.augmented_array(modality, side) for modality in study.config.volumes.modalities]
    return sum(file.stat().st_size for array in arrays for file in array.rglob("*") if file.is_file())
