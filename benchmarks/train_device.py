"""What a GPU makes of training: samples a second, share of its peak, waiting, and whole epochs against the reference's.

The reference's epoch decodes float32 ``.nii.gz`` files of side 128 in loader workers, resizes, normalises and scales
them, and takes its step on contiguous float32. Its files lie in the page cache, as our chunks do. Every function also
runs on a processor with a small `Plan`, which is how it is tested.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cohort import MadeCohort, make_cohort, write_niftis
from benchmarks.reference_step import ReferenceNet, reference_optimizer, reference_step
from mmtrain.bench.batches import MODES, first_batch, hold, in_mode
from mmtrain.bench.modes import measure_modes
from mmtrain.bench.stages import measure_stages
from mmtrain.bench.throughput import Throughput, repeat
from mmtrain.learner import build_learner, take_step
from mmtrain.models.networks.fusion import imaging_width
from mmtrain.precision import choose_precision
from mmtrain.task import Task

FINE_SIDE = 128
FIRST_FILES = 4096
"""Samples that the reference's loader may be asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to measure at one side."""

    side: int
    batch_size: int
    num_rows: int
    channels: tuple[int, ...]
    copies: int = 2
    seconds: float = 10.0
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    device: str = "cuda"

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a run."""
        return {"channels": self.channels, "batch_size": self.batch_size, "device": self.device}


PLANS = (
    Plan(side=64, batch_size=64, num_rows=4096, channels=(32, 64, 128, 256, 256)),
    Plan(side=128, batch_size=32, num_rows=512, channels=(32, 64, 128, 256, 256, 256)),
)


def measure_device(folder: Path, plans: Sequence[Plan] = PLANS) -> tuple[dict[str, Any], dict[str, float]]:
    """Measure everything; return what was measured, and the ratios."""
    device = torch.device(plans[0].device)
    peak = measure_peak(device)
    files = write_niftis(folder / "nifti", FINE_SIDE)
    measured: dict[str, Any] = {"peak_tflops": {name: round(value / 1e12, 2) for name, value in peak.items()}}
    ratios = {}
    for plan in plans:
        cohort = make_cohort(folder / f"made-{plan.side}", plan.side, plan.num_rows, copies=plan.copies)
        of_side = measure_side(cohort, plan, max(peak.values()))
        reference = measure_reference(files, plan)
        of_side["reference_samples_per_second"] = round(reference.samples_per_second, 2)
        of_side["ranks"] = measure_ranks(cohort, plan, range(1, max(1, torch.cuda.device_count()) + 1))
        measured[f"side {plan.side}"] = of_side
        ours = of_side["modes"]["none"]["samples_per_second"]
        ratios[f"train_epoch_{plan.side}_vs_reference"] = round(ours / reference.samples_per_second, 2)
        ratios[f"train_step_{plan.side}_share_of_peak"] = of_side["share_of_peak"]
    return measured, ratios


def measure_side(cohort: MadeCohort, plan: Plan, peak: float) -> dict[str, Any]:
    """Measure stages and modes to augment at one side, and the share of the peak that the step reaches."""
    task = cohort.prepare(**plan.settings)
    stages = {stage.name: stage for stage in measure_stages(task, plan.seconds)}
    throughputs = dict.fromkeys(MODES, Throughput())
    for mode, throughput in measure_modes(task, MODES, plan.seconds):
        throughputs[mode] += throughput
    flops = count_flops(in_mode(task, "none"))
    return {
        "stages": {name: round(stage.samples_per_second, 2) for name, stage in stages.items()},
        "peak_gigabytes": round((stages["step"].peak_bytes or 0) / 1e9, 2),
        "gigaflops_per_sample": round(flops / 1e9, 2),
        "share_of_peak": round(flops * stages["step"].samples_per_second / peak, 4),
        "modes": {
            mode: {
                "samples_per_second": round(throughput.samples_per_second, 2),
                "wait_share": round(throughput.wait_share, 4),
            }
            for mode, throughput in throughputs.items()
        },
    }


def measure_peak(
    device: torch.device, *, edge: int = 8192, conv: tuple[int, int, int] = (16, 256, 32), seconds: float = 3.0
) -> dict[str, float]:
    """Return operations a second of a large matrix product and of a large convolution, in the type training takes.

    Parameters
    ----------
    edge
        Of the matrices.
    conv
        Samples, channels and side of what is convolved with 3 x 3 x 3 weights.
    """
    dtype = choose_precision("auto", device)
    num, channels, side = conv
    a, b = (torch.randn(edge, edge, device=device, dtype=dtype) for _ in range(2))
    x = torch.randn(num, channels, side, side, side, device=device, dtype=dtype)
    weight = torch.randn(channels, channels, 3, 3, 3, device=device, dtype=dtype)
    x, weight = (value.contiguous(memory_format=torch.channels_last_3d) for value in (x, weight))
    torch.backends.cudnn.benchmark = True

    def work_of(compute: Callable[[], torch.Tensor]) -> Callable[[], int]:
        def work() -> int:
            compute()
            return 1

        return work

    product = repeat(work_of(lambda: a @ b), seconds, device)
    convolution = repeat(work_of(lambda: functional.conv3d(x, weight, padding=1)), seconds, device)
    return {
        "matrix_product": 2 * edge**3 * product.samples_per_second,
        "convolution": 2 * 27 * channels**2 * side**3 * num * convolution.samples_per_second,
    }


def count_flops(task: Task) -> float:
    """Return the floating-point operations of forward and backward pass for one sample."""
    portion = first_batch(task)[0]
    batch, learner = hold(task, portion), build_learner(task)
    learner.network.train()
    with FlopCounterMode(display=False) as counter:
        take_step(task, learner, portion, batch, 1)
    return float(counter.get_total_flops()) / len(portion.request.rows)


class NiftiSamples(Dataset[torch.Tensor]):
    """Volumes decoded, resized, normalised and scaled whenever they are asked for, as the reference does."""

    def __init__(self, files: Sequence[Sequence[Path]], side: int) -> None:
        self.files = files
        self.side = side

    def __len__(self) -> int:
        return FIRST_FILES

    def __getitem__(self, index: int) -> torch.Tensor:
        """Return float32 (3, side, side, side) in [-1, 1]."""
        import nibabel as nib  # noqa: PLC0415 - a machine lent for its GPU may lack it

        volumes = [
            nib.Nifti1Image.from_filename(path).get_fdata(caching="unchanged", dtype=np.float32)
            for path in self.files[index % len(self.files)]
        ]
        x = functional.interpolate(torch.from_numpy(np.stack(volumes))[None], size=[self.side] * 3, mode="area")[0]
        x = (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)
        low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
        return 2 * (x - low) / (high - low) - 1


def measure_reference(files: Sequence[Sequence[Path]], plan: Plan) -> Throughput:
    """Train as the reference does for some seconds behind its first step."""
    device = torch.device(plan.device)
    net = ReferenceNet(plan.side, plan.channels, imaging_width(plan.side)).to(device)
    optimizer = reference_optimizer(net)
    batches = DataLoader(
        NiftiSamples(files, plan.side),
        batch_size=plan.batch_size,
        num_workers=plan.workers,
        pin_memory=device.type == "cuda",
        multiprocessing_context="spawn" if plan.workers else None,
    )
    samples, started = 0, None
    for volumes in batches:
        reference_step(net, optimizer, volumes.to(device), torch.zeros(len(volumes), device=device))
        if started is None:  # the first warms up
            started = time.perf_counter()
            continue
        samples += len(volumes)
        if time.perf_counter() - started >= plan.seconds:
            break
    assert started is not None
    return Throughput(samples=samples, seconds=time.perf_counter() - started)


def measure_ranks(cohort: MadeCohort, plan: Plan, counts: Sequence[int]) -> dict[int, dict[str, float]]:
    """Train two epochs on several ranks, the batch growing with them; return what the second epoch's entry says."""
    found = {}
    for count in counts:
        batch_size = min(plan.batch_size * count, cohort.num_rows - 2 * cohort.held_out)
        run = cohort.begin_run(**plan.settings | {"batch_size": batch_size, "epochs": 2})
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        subprocess.run([*torchrun, "-m", "benchmarks.rank", str(run.path)], check=True, capture_output=True)
        entry = json.loads(run.epochs.read_text().splitlines()[-1])
        found[count] = {name: entry[name] for name in ("samples_per_second", "wait_share")}
    return found
