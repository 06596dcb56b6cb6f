"""What each kind of change costs for a whole batch, on a GPU or a processor: ``python -m benchmarks.augment_kinds``.

It needs torch, numpy and scipy, and nothing of a study. Without options it measures 20 volumes at 128³ on a GPU, as
public figures of batched libraries are given. On a processor the seconds of the processor count, so that a busy
machine changes little. Not yet run on a GPU.

Terms
-----
draw      to draw the recipes of a batch and make tensors of them; a thread does so ahead of the step.
apply     to change the batch by these tensors, until the device has done it.
launch    until apply returns: on a GPU less than apply, unless something waits for the device.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmdata.augment.apply import BatchChanges, apply_changes, plan_changes
from mmdata.augment.parameters import KINDS, AugmentSettings
from mmdata.augment.recipe import draw_geometries, draw_intensities

EXTENT_MM = 192.0
BATCH_SIZE, SIDE = 20, 128
PUBLIC_MS = {"bias_field": 0.6, "noise": 2.6, "affine": 11.5, "elastic": 9.9}
"""Milliseconds of public batched libraries on an L40S, 20 volumes at 128³: no kind is to be slower on such a card."""
_AFFINE = ("rotation", "shear", "scale", "translation")
REPEATS, WARM_UP = 5, 2


def main() -> None:
    """Measure with the options of the command line; print the results, and write them to a file if one is named."""
    parser = argparse.ArgumentParser(description="What each kind of augmentation costs for a batch.")
    parser.add_argument("--device", default="cuda", help="where the batch is changed")
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE, help="samples")
    parser.add_argument("--modalities", type=int, default=1, help="volumes of each sample")
    parser.add_argument("--side", type=int, default=SIDE, help="of the volumes")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measure_kinds(torch.device(options.device), options.batch_size, options.modalities, options.side)
    text = json.dumps(found, indent=2)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n")


def measure_kinds(
    device: torch.device, batch_size: int = BATCH_SIZE, num_modalities: int = 1, side: int = SIDE
) -> dict[str, Any]:
    """Return milliseconds for a batch: of each kind alone, always, and of all kinds with a new study's chances."""
    volumes = _volumes(batch_size, num_modalities, side).to(device)
    never = AugmentSettings(probability=0.0, probabilities={})
    cases = {kind: replace(never, probabilities={kind: 1.0}) for kind in KINDS}
    cases |= {"affine": replace(never, probabilities=dict.fromkeys(_AFFINE, 1.0)), "mixture": AugmentSettings()}
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "processor, one thread",
        "torch": torch.__version__,
        "batch_size": batch_size,
        "modalities": num_modalities,
        "side": side,
        "ms_per_batch": {name: _measure(settings, volumes) for name, settings in cases.items()},
        "public_ms": PUBLIC_MS if (batch_size, num_modalities, side) == (BATCH_SIZE, 1, SIDE) else None,
    }


def _measure(settings: AugmentSettings, volumes_BCXYZ: torch.Tensor) -> dict[str, float]:
    """Return the median milliseconds to draw, launch and apply one case; every batch has recipes of its own."""
    on_gpu = volumes_BCXYZ.device.type == "cuda"
    now = time.perf_counter if on_gpu else time.process_time
    marks: list[tuple[float, ...]] = []
    for repeat in range(WARM_UP + REPEATS):
        began = now()
        changes = _draw(settings, volumes_BCXYZ, repeat)
        if on_gpu:
            changes = changes.pinned()
        drawn = now()
        apply_changes(volumes_BCXYZ, changes)
        launched = now()
        if on_gpu:
            torch.cuda.synchronize(volumes_BCXYZ.device)
        marks.append((drawn - began, launched - drawn, now() - drawn))
    seconds = np.median(marks[WARM_UP:], axis=0)
    return {name: round(ms, 3) for name, ms in zip(("draw", "launch", "apply"), (seconds * 1e3).tolist(), strict=True)}


def _draw(settings: AugmentSettings, volumes_BCXYZ: torch.Tensor, epoch: int) -> BatchChanges:
    sample_ids = [f"sample {number}" for number in range(volumes_BCXYZ.shape[0])]
    modalities = [f"modality {number}" for number in range(volumes_BCXYZ.shape[1])]
    geometries = draw_geometries(settings, 1, sample_ids, epoch)
    intensities = draw_intensities(settings, 1, sample_ids, epoch, modalities)
    return plan_changes(geometries, intensities, volumes_BCXYZ.shape[-1], EXTENT_MM)


def _volumes(batch_size: int, num_modalities: int, side: int) -> torch.Tensor:
    """Return balls of random intensities: a quarter of a volume is brain, as in a cohort."""
    radius = np.linalg.norm(np.indices((side,) * 3, np.float32) - (side - 1) / 2, axis=0)
    inside = torch.from_numpy(radius < 0.39 * side)
    noise = torch.rand((batch_size, num_modalities, side, side, side), generator=torch.Generator().manual_seed(1))
    return noise.mul_(0.8).add_(0.1).mul_(inside)


if __name__ == "__main__":
    main()
