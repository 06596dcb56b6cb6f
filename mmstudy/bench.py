"""Measure how fast a planned run is on this machine; nothing of the study is changed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import polars as pl

from catalog.splits.schemes import choose_scheme
from mmbase.memory import available_bytes
from mmdata.execution.allocator import keep_freed_memory
from mmdata.execution.pools import LocalPool
from mmdata.study import Study
from mmstudy.bench_choices import Choice, choose_augmentation, compare_precisions, weigh_cache, weigh_compiling
from mmstudy.copies import preview_copies
from mmstudy.progress import Progress
from mmstudy.recommendation import ModeResult, Recommendation, recommend
from mmstudy.runs.plan import RunPlan, plan_run
from mmtrain.bench.alternatives import Alternative, alternatives_of, measure_alternatives
from mmtrain.bench.batches import MODES_WITH_COPIES, in_mode, modes_of
from mmtrain.bench.modes import TURNS, measure_from_memory, measure_modes, planned_cache
from mmtrain.bench.stages import Stage, measure_stages, share_of_conv_limit, stage_names
from mmtrain.bench.start_up import StartUp, measure_start_up
from mmtrain.bench.throughput import Throughput
from mmtrain.config.augmentation import AugmentMode
from mmtrain.data.cache_plan import CachePlan
from mmtrain.data.cohort import parse_cohort
from mmtrain.data.portions import epoch_members
from mmtrain.errors import TrainError
from mmtrain.kept import HOST
from mmtrain.memory import explain_exhaustion
from mmtrain.models.registry import load_architecture
from mmtrain.precision import resolve_precision
from mmtrain.task import Task, prepare_task

T = TypeVar("T")
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
    start_up: StartUp
    stages: tuple[Stage, ...]
    share_of_conv_limit: float | None
    """The convolutions' share of the step's time; None where the network has none."""
    modes: tuple[ModeResult, ...]
    alternatives: tuple[Alternative, ...]
    """Other settings of the step that were measured."""
    recommendation: Recommendation
    choices: tuple[Choice, ...]
    """Settings that suit the machine."""

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
        content["start_up"] = {"seconds": self.start_up.seconds, **content["start_up"]}
        recommendation = {"way": self.recommendation.mode, **content.pop("recommendation")}
        del recommendation["mode"]
        recommendation["settings"] = [
            {"option": choice.option, **settings}
            for choice, settings in zip(self.choices, content.pop("choices"), strict=True)
        ]
        return {**content, "ways": ways, "recommendation": recommendation}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was measured with the samples that were drawn."""

    stages: tuple[Stage, ...]
    alternatives: tuple[Alternative, ...]
    throughputs: Mapping[AugmentMode, Throughput]


def run_bench(
    study: Study,
    targets: Sequence[str],
    given: Mapping[str, Any],
    seconds: float,
    progress: Progress,
    *,
    started: float,
) -> BenchResult:
    """Plan a run as `mm train` does, and measure its start, its stages and every mode to augment.

    Parameters
    ----------
    given
        Settings that come before the study's own.
    seconds
        For each stage, each mode and each alternative.
    started
        When the command began, in seconds since 1970.

    Raises
    ------
    CatalogError, DataError, TrainError
        The run cannot be planned, a store is damaged, or the device's memory does not hold a batch.
    """
    imported = time.time()
    keep_freed_memory()
    plan = _plan_measured(study, targets, given)
    planned = time.time()
    with explain_exhaustion(plan.config, 1), progress("measurements") as on_progress:
        start_up, whole = measure_start_up(
            plan.cohort, study.layout, plan.config, imports=imported - started, plan=planned - imported
        )
        task, num_samples = prepare(study, plan), epoch_size(plan)
        count = _Counted(num_measurements(task), on_progress)
        measured = measure(task, seconds, count)
        of_stage = {stage.name: stage for stage in measured.stages}
        modes = tuple(judge_modes(study, task, measured.throughputs, of_stage.get("disk"), num_samples))
        recommendation = recommend(modes, of_stage)
        chosen = next(mode for mode in modes if mode.mode == recommendation.mode)
        cache = planned_cache(whole, chosen.mode)
        from_memory = count(measure_cache(task, chosen, cache, seconds))
        count.end()
    usual = resolve_precision("auto", task.device)
    choices = (
        choose_augmentation(chosen, recommendation),
        compare_precisions(task.config, usual, of_stage["step"], measured.alternatives),
        weigh_compiling(task.config, of_stage, measured.alternatives, num_samples),
        weigh_cache(chosen, cache, from_memory) if task.stores.originals else None,
    )
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
        start_up=start_up,
        stages=measured.stages,
        share_of_conv_limit=share_of_conv_limit(of_stage),
        modes=modes,
        alternatives=measured.alternatives,
        recommendation=recommendation,
        choices=tuple(choice for choice in choices if choice is not None),
    )


def _plan_measured(study: Study, targets: Sequence[str], given: Mapping[str, Any]) -> RunPlan:
    """Plan the run that is measured; one that takes no steps is refused."""
    settings = {**given, "augment": "precomputed"}
    plan = plan_run(study, targets, settings, scheme=choose_scheme(None, None), audited=False)
    model = plan.config.model.model
    if load_architecture(model).fit is not None:
        raise TrainError(f"The network {model} is fitted at once; there are no training steps to measure.")
    return plan


def num_measurements(task: Task) -> int:
    """Return how many measurements there are at most."""
    return len(stage_names(task)) + len(alternatives_of(task)) + TURNS * len(_measured_modes(task)) + 1


def measure(task: Task, seconds: float, count: "_Counted") -> Measured:
    """Measure all stages, other settings of the step, then the modes to augment."""
    stages = tuple(count(stage) for stage in measure_stages(task, seconds))
    alternatives = tuple(count(alternative) for alternative in measure_alternatives(task, seconds))
    modes = _measured_modes(task)
    throughputs = dict.fromkeys(modes, Throughput())
    for mode, throughput in measure_modes(task, modes, seconds):
        throughputs[mode] += count(throughput)
    return Measured(stages=stages, alternatives=alternatives, throughputs=throughputs)


def measure_cache(task: Task, mode: ModeResult, cache: CachePlan, seconds: float) -> Throughput | None:
    """Measure a mode with rows in memory; None where a run does not keep them, or has no such rows yet."""
    if cache.device is None or mode.is_predicted:
        return None
    device = task.device if cache.device == "device" else HOST
    return measure_from_memory(in_mode(task, mode.mode), device, seconds)


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


def _measured_modes(task: Task) -> list[AugmentMode]:
    """Return the modes to measure: without copies, reading them is what reading the volumes is."""
    return [mode for mode in modes_of(task.config) if mode != "precomputed" or task.stores.num_copies]


class _Counted:
    """Tells how many of the measurements are done."""

    def __init__(self, total: int, on_progress: Callable[[int, int], None]) -> None:
        self._done, self._total, self._on_progress = 0, total, on_progress
        on_progress(0, total)

    def __call__(self, found: T) -> T:
        """Count one measurement, and return what it found."""
        self._done += 1
        self._on_progress(self._done, self._total)
        return found

    def end(self) -> None:
        """Tell that nothing more is measured: long steps make fewer turns."""
        if self._done < self._total:
            self._on_progress(self._total, self._total)


def _copies_bytes(study: Study, task: Task) -> int:
    """Return the bytes of all copies at the run's side: those that exist, or those that would be made at most."""
    side = task.config.data.side
    if not task.stores.num_copies:
        return preview_copies(study, DEFAULT_COPIES, [side], LocalPool(processes=1), "cpu").projection.disk_bytes
    arrays = [study.layout.augmented_array(modality, side) for modality in study.config.volumes.modalities]
    return sum(file.stat().st_size for array in arrays for file in array.rglob("*") if file.is_file())
