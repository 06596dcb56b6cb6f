"""Measure how fast a planned run is on this machine; nothing of the study is changed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from catalog.splits.schemes import choose_scheme
from mmbase.memory import available_bytes
from mmdata.execution.allocator import keep_freed_memory
from mmdata.execution.pools import LocalPool
from mmdata.study import Study
from mmstudy.copies import preview_copies
from mmstudy.progress import Progress
from mmstudy.recommendation import ModeResult, Recommendation, recommend
from mmstudy.runs.plan import RunPlan, plan_run
from mmtrain.bench.stages import (
    MODES_WITH_COPIES,
    TURNS,
    Stage,
    Throughput,
    measure_modes,
    measure_stages,
    modes_of,
    stage_names,
)
from mmtrain.config.augmentation import AugmentMode
from mmtrain.data.cohort import parse_cohort
from mmtrain.data.portions import epoch_members
from mmtrain.errors import TrainError
from mmtrain.memory import explain_exhaustion
from mmtrain.models.registry import load_architecture
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
    modes: tuple[ModeResult, ...]
    recommendation: Recommendation

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        content = asdict(self)
        del content["modes"]
        ways = [
            {
                "way": mode.mode,
                **{name: value for name, value in asdict(mode).items() if name != "mode"},
                "sustained": mode.sustained,
                "epoch_seconds": self.training_samples / mode.sustained,
            }
            for mode in self.modes
        ]
        recommendation = {"way": self.recommendation.mode, **content.pop("recommendation")}
        del recommendation["mode"]
        return {**content, "ways": ways, "recommendation": recommendation}


def run_bench(
    study: Study, targets: Sequence[str], given: Mapping[str, Any], seconds: float, progress: Progress
) -> BenchResult:
    """Plan a run as `mm train` does, and measure its stages and every mode to augment.

    Parameters
    ----------
    given
        Settings that come before the study's own.
    seconds
        For each stage and each mode.

    Raises
    ------
    CatalogError, DataError, TrainError
        The run cannot be planned, a store is damaged, or the device's memory does not hold a batch.
    """
    keep_freed_memory()
    plan = plan_run(
        study, targets, {**given, "augment": "precomputed"}, scheme=choose_scheme(None, None), audited=False
    )
    model = plan.config.model.model
    if load_architecture(model).fit is not None:
        raise TrainError(f"The network {model} is fitted at once; there are no training steps to measure.")
    with explain_exhaustion(plan.config, 1), progress("measurements") as on_progress:
        task = prepare(study, plan)
        stages, throughputs = measure(task, seconds, on_progress)
    of_stage = {stage.name: stage for stage in stages}
    num_samples = epoch_size(plan)
    modes = tuple(judge_modes(study, task, throughputs, of_stage.get("disk"), num_samples))
    return BenchResult(
        target=plan.config.data.target,
        inputs=plan.config.data.inputs,
        side=plan.config.data.side,
        batch_size=plan.config.optimisation.batch_size,
        device=str(task.device),
        precision=task.arithmetic,
        training_samples=num_samples,
        measured_samples=len(task.cohort.rows),
        copies=task.stores.num_copies,
        projected_copies=DEFAULT_COPIES,
        stages=tuple(stages),
        modes=modes,
        recommendation=recommend(modes, of_stage),
    )


def measure(
    task: Task, seconds: float, on_progress: Callable[[int, int], None]
) -> tuple[list[Stage], dict[AugmentMode, Throughput]]:
    """Measure all stages, then the modes to augment."""
    modes = [mode for mode in modes_of(task.config) if mode != "precomputed" or task.stores.num_copies]
    num_stages = len(stage_names(task))
    total = num_stages + TURNS * len(modes)
    on_progress(0, total)
    stages = []
    for stage in measure_stages(task, seconds):
        stages.append(stage)
        on_progress(len(stages), total)
    throughputs = dict.fromkeys(modes, Throughput())
    done = num_stages
    for mode, throughput in measure_modes(task, modes, seconds):
        throughputs[mode] += throughput
        done += 1
        on_progress(done, total)
    if done < total:  # long steps make fewer turns
        on_progress(total, total)
    return stages, throughputs


def judge_modes(
    study: Study, task: Task, throughputs: Mapping[AugmentMode, Throughput], disk: Stage | None, num_samples: int
) -> Iterator[ModeResult]:
    """Join what was measured of each mode with what its copies cost."""
    num_copies = task.stores.num_copies
    copies_bytes = _copies_bytes(study, task) if task.config.data.volume_inputs else 0
    for mode in modes_of(task.config):
        has_copies = mode in MODES_WITH_COPIES
        throughput = throughputs.get(mode, throughputs["none"])  # a copy is read as a volume is
        kept = 1 + (num_copies or DEFAULT_COPIES) * has_copies
        read_bytes = 0 if disk is None or disk.sample_bytes is None else int(disk.sample_bytes * num_samples * kept)
        yield ModeResult(
            mode=mode,
            samples_per_second=throughput.samples_per_second,
            wait_share=throughput.wait_share,
            is_predicted=has_copies and not num_copies,
            copies_bytes=copies_bytes if has_copies else 0,
            copies_are_projected=has_copies and not num_copies,
            read_bytes=read_bytes,
            stays_in_memory=read_bytes < available_bytes(),
            disk_samples_per_second=disk.samples_per_second if disk and disk.cache == "cold" else None,
        )


def epoch_size(plan: RunPlan) -> int:
    """Return the number of samples that one epoch of the whole run trains on."""
    return len(epoch_members(parse_cohort(plan.cohort), plan.config, 1))


def draw_sample(plan: RunPlan, row_bytes: int) -> pl.DataFrame:
    """Draw the training samples to measure with: enough for different batches, few enough to stay in memory."""
    training = plan.cohort.filter(pl.col("split") == "train")
    wanted = min(_MOST_SAMPLES, _LARGEST_SAMPLE_BYTES // max(1, row_bytes))
    wanted = max(wanted, _LEAST_BATCHES * plan.config.optimisation.batch_size)
    return training.sample(min(wanted, len(training)), seed=plan.config.optimisation.seed, shuffle=True)


def prepare(study: Study, plan: RunPlan) -> Task:
    """Return what a run needs to compute, made from a sample of its training samples, and no run directory.

    The classes of a binary target are not balanced: a sample takes as long whatever its class.
    """
    config = plan.config.changed(balance="none")
    volume_bytes = 2 * config.data.side**3 * len(config.data.volume_inputs)
    return prepare_task(parse_cohort(draw_sample(plan, volume_bytes)), study.layout, config)


def _copies_bytes(study: Study, task: Task) -> int:
    """Return the bytes of all copies at the run's side: those that exist, or those that would be made at most."""
    side = task.config.data.side
    if not task.stores.num_copies:
        return preview_copies(study, DEFAULT_COPIES, [side], LocalPool(processes=1), "cpu").projection.disk_bytes
    arrays = [study.layout.augmented_array(modality, side) for modality in study.config.volumes.modalities]
    return sum(file.stat().st_size for array in arrays for file in array.rglob("*") if file.is_file())
