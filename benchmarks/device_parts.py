"""The parts of `benchmarks.device`: what each measures on a device.

A part yields its findings one by one, by name; what it has found before it is stopped counts.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.cohort import MadeCohort, make_cohort, seconds_of_training, write_niftis
from benchmarks.device_checks import EVERY_STEP, check_device, train_until
from benchmarks.kernels import measure_kernels
from benchmarks.train_device import FINE_SIDE, Plan, count_flops, measure_peak, measure_ranks, measure_reference
from mmtrain.bench.alternatives import measure_alternatives
from mmtrain.bench.batches import EPOCH, MODES, first_batch, hold, in_mode
from mmtrain.bench.modes import measure_from_memory, measure_modes
from mmtrain.bench.stages import measure_stages, share_of_conv_limit
from mmtrain.bench.throughput import Throughput
from mmtrain.data.stream import StoredBatch
from mmtrain.kept import HOST, Kept
from mmtrain.learner import build_learner, take_step
from mmtrain.page.live import without_page
from mmtrain.run import find_run
from mmtrain.task import Task
from mmtrain.train import train

Findings = Iterator[tuple[str, Any]]
NUM_SHORT_RUNS, NUM_PROFILED = 5, 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How large everything is that is measured with."""

    device: str
    coarse: Plan
    fine: Plan
    checked: Plan
    """For what has to be right, and for short runs."""


@dataclass(frozen=True, slots=True)
class Part:
    """One question, and the seconds that its answer may take."""

    measure: Callable[[Scale, Path], Findings]
    limit_s: float
    is_default: bool = True


def _plan(side: int, batch_size: int, num_rows: int, channels: tuple[int, ...], **others: Any) -> Plan:
    return Plan(side=side, batch_size=batch_size, num_rows=num_rows, channels=channels, **others)


def full_scale(device: str) -> Scale:
    """Return the shapes of the study, the whole network at 64³ and 128³; every training batch is full."""
    return Scale(
        device=device,
        coarse=_plan(64, 64, 584, (32, 64, 128, 256, 256), copies=1, seconds=2.0, device=device),
        fine=_plan(128, 32, 72, (32, 64, 128, 256, 256, 256), copies=0, seconds=2.0, device=device),
        checked=_plan(32, 8, 64, (8, 16, 16), device=device),
    )


def small_scale(device: str) -> Scale:
    """Return shapes with which a processor is through in seconds: they show that all parts run."""
    small = _plan(16, 8, 40, (4, 6), copies=1, seconds=0.01, workers=0, device=device)
    return Scale(device=device, coarse=small, fine=replace(small, side=32), checked=small)


def answer_correctness(scale: Scale, folder: Path) -> Findings:
    """Check losses, determinism, a run that is killed and resumed, and every way to augment."""
    yield from check_device(cohort_of(scale.checked, folder), scale.checked.settings)


def answer_step(scale: Scale, folder: Path) -> Findings:
    """Measure the stages at the coarse side and the step eager and compiled, against the convolutions' limit."""
    yield from _answer_step(scale.coarse, folder)


def answer_fine_step(scale: Scale, folder: Path) -> Findings:
    """Measure the same at the fine side."""
    yield from _answer_step(scale.fine, folder)


def answer_modes(scale: Scale, folder: Path) -> Findings:
    """Measure every way to augment from end to end, and how long the device waits."""
    task = cohort_of(scale.coarse, folder).prepare(**scale.coarse.settings)
    throughputs = dict.fromkeys(MODES, Throughput())
    for mode, throughput in measure_modes(task, MODES, scale.coarse.seconds):
        throughputs[mode] += throughput
        yield mode, _rates(throughputs[mode])
    plain = throughputs["none"].samples_per_second
    yield (
        "share_of_none",
        {mode: round(throughputs[mode].samples_per_second / plain, 4) for mode in MODES if mode != "none"},
    )


def answer_cache(scale: Scale, folder: Path) -> Findings:
    """Measure steps without augmentation whose rows are in the memory of the host, and of the device."""
    task = in_mode(cohort_of(scale.coarse, folder).prepare(**scale.coarse.settings), "none")
    for name, device in {"host": HOST, "device": task.device}.items():
        yield name, _rates(measure_from_memory(task, device, scale.coarse.seconds))


def answer_start_up(scale: Scale, folder: Path) -> Findings:
    """Time new processes until their first step is done: of a first run, of another one, and of one that is resumed."""
    imports = [sys.executable, "-c", "import mmtrain.train"]
    yield "imports_s", _seconds(lambda: subprocess.run(imports, check=True))
    cohort, settings = cohort_of(scale.coarse, folder), scale.coarse.settings
    for name in ("first", "second"):
        run = cohort.begin_run(**settings)
        started = time.time()
        yield f"{name}_run_first_step_s", round(train_until(run, 1) - started, 3)
    killed = cohort.begin_run(**settings, checkpoint_minutes=EVERY_STEP)
    train_until(killed, 2)
    started = time.time()
    yield "resumed_run_first_step_s", round(train_until(killed, 1) - started, 3)


def answer_short_runs(scale: Scale, folder: Path) -> Findings:
    """Train short runs one after the other in this process; tell what each takes beside its training steps."""
    cohort, kept = cohort_of(scale.checked, folder), Kept()
    for number in range(NUM_SHORT_RUNS):
        begun = cohort.begin_run(**scale.checked.settings, epochs=2, seed=number)
        run, config = find_run(cohort.layout.runs, begun.run_id)
        started = time.perf_counter()
        train(run, cohort.layout, config, keep_page=without_page, kept=kept)
        whole = time.perf_counter() - started
        overhead = whole - seconds_of_training(run)
        yield f"run_{number + 1}", {"overhead_s": round(overhead, 3), "whole_s": round(whole, 3)}


def answer_kernels(scale: Scale, folder: Path) -> Findings:
    """Divide a step's time among kinds of kernels."""
    task = in_mode(cohort_of(scale.coarse, folder).prepare(**scale.coarse.settings), "none")
    yield "ms_per_step", measure_kernels(_step_of(task), task.device, NUM_PROFILED)


def answer_peak(scale: Scale, folder: Path) -> Findings:
    """Measure the device's peak, and which share of it the step's operations are."""
    edge, conv = (32, (1, 2, 8)) if scale.device == "cpu" else (8192, (16, 256, 32))
    peak = measure_peak(torch.device(scale.device), edge=edge, conv=conv, seconds=scale.coarse.seconds)
    yield "peak_tflops", {name: round(value / 1e12, 2) for name, value in peak.items()}
    task = in_mode(cohort_of(scale.coarse, folder).prepare(**scale.coarse.settings), "none")
    yield "gigaflops_per_sample", round(count_flops(task) / 1e9, 2)


def answer_reference(scale: Scale, folder: Path) -> Findings:
    """Measure the reference's way from end to end; needs nibabel."""
    files = write_niftis(folder / "nifti", FINE_SIDE if scale.coarse.side >= 64 else 2 * scale.coarse.side)
    yield "samples_per_second", round(measure_reference(files, scale.coarse).samples_per_second, 2)


def answer_ranks(scale: Scale, folder: Path) -> Findings:
    """Train on one GPU, and on all there are."""
    counts = sorted({1, max(1, torch.cuda.device_count())})
    for count in counts:
        yield str(count), measure_ranks(cohort_of(scale.coarse, folder), scale.coarse, [count])[count]


PARTS: dict[str, Part] = {
    "correctness": Part(answer_correctness, 45),
    "step": Part(answer_step, 80),
    "modes": Part(answer_modes, 35),
    "start-up": Part(answer_start_up, 50),
    "short-runs": Part(answer_short_runs, 15),
    "kernels": Part(answer_kernels, 15),
    "cache": Part(answer_cache, 15),
    "fine-step": Part(answer_fine_step, 45),
    "peak": Part(answer_peak, 30, is_default=False),
    "reference": Part(answer_reference, 60, is_default=False),
    "ranks": Part(answer_ranks, 120, is_default=False),
}
"""By name, the most important first; the limits of those by default add up to five minutes."""


def cohort_of(plan: Plan, folder: Path) -> MadeCohort:
    """Return the stores that a plan needs, which the first part that asks makes."""
    made = folder / f"side-{plan.side}"
    if not made.exists():
        make_cohort(folder / "being-made", plan.side, plan.num_rows, copies=plan.copies).layout.root.rename(made)
    return MadeCohort.at(made, plan.side, plan.num_rows)


def _answer_step(plan: Plan, folder: Path) -> Findings:
    whole = cohort_of(plan, folder).prepare(**plan.settings)
    stages = {}
    for stage in measure_stages(whole, plan.seconds):
        stages[stage.name] = stage
        yield f"{stage.name}_samples_per_second", round(stage.samples_per_second, 2)
    share = share_of_conv_limit(stages)
    yield "share_of_conv_limit", None if share is None else round(share, 4)
    yield "peak_gigabytes", round((stages["step"].peak_bytes or 0) / 1e9, 2)
    for alternative in measure_alternatives(whole, plan.seconds):
        yield f"{alternative.setting}={alternative.value}", asdict(alternative)


def _step_of(task: Task) -> Callable[[], object]:
    portion = first_batch(task)[0]
    held, learner = hold(task, portion), build_learner(task)
    learner.network.train()
    batch = StoredBatch(held.request, {name: stored.to(task.device) for name, stored in held.stored.items()})
    return lambda: take_step(task, learner, portion, batch, EPOCH)


def _rates(throughput: Throughput) -> dict[str, float]:
    return {
        "samples_per_second": round(throughput.samples_per_second, 2),
        "wait_share": round(throughput.wait_share, 4),
    }


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return round(time.perf_counter() - started, 3)
