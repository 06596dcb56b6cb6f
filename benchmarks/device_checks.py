"""What has to be right on a device before its speed counts: losses, determinism, resumed runs, augmentation.

Each check yields findings by name, each with ``ok``: whether it is as it should be.
"""

import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.cohort import MadeCohort
from mmtrain.bench.batches import MODES, first_batch, hold, in_mode
from mmtrain.config.augmentation import AugmentMode
from mmtrain.config.optimisation import Precision
from mmtrain.data.augmentation import augment_channels, draw_changes
from mmtrain.data.stream import to_channels
from mmtrain.learner import build_learner, take_step
from mmtrain.page.live import without_page
from mmtrain.ranks.dropout import PartDropout
from mmtrain.run import RunDirectory, find_run
from mmtrain.task import stream_task, training_portions
from mmtrain.train import train

NUM_STEPS = 6
LARGEST_DIFFERENCE: Mapping[Precision, float] = {"float32": 1e-4, "auto": 2e-2}
"""Of the first step's loss from that of a processor in float32, relative; rounding lets later ones differ more."""
LEAST_LIKENESS = 0.98
"""Correlation of a batch changed on the device with the same changed on the processor; noise is drawn on each."""
EVERY_STEP = 1e-9
"""Minutes between checkpoints."""


def check_device(cohort: MadeCohort, settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Check a device; yield the name of each check and what it found.

    Parameters
    ----------
    settings
        Of the runs; their device is the one to check.
    """
    expected = losses_of(cohort, settings, device="cpu", precision="float32")
    yield "losses_auto", compare_losses(cohort, settings, expected, "auto")
    yield "deterministic", compare_repeated(cohort, settings)
    yield "resumed", compare_resumed(cohort, settings)
    for mode in MODES:
        yield f"augment_{mode}", check_mode(cohort, settings, mode)
    yield "augmentation", compare_augmentation(cohort, settings)
    yield "losses_float32", compare_losses(cohort, settings, expected, "float32")


def losses_of(cohort: MadeCohort, settings: Mapping[str, Any], **changes: Any) -> list[float]:
    """Return the losses of the first steps without dropout, which begin with the same weights on every device."""
    task = in_mode(cohort.prepare(**{**settings, **changes, "deterministic": True}), "none")
    learner = build_learner(task)
    learner.network.train()
    for module in learner.network.modules():
        if isinstance(module, PartDropout):
            module.probability = 0.0
    portions = training_portions(task, 1)[:NUM_STEPS]
    batches = stream_task(task, [portion.request for portion in portions], 1)
    return [
        take_step(task, learner, portion, batch, 1).item() / len(portion.request.rows)
        for portion, batch in zip(portions, batches, strict=True)
    ]


def compare_losses(
    cohort: MadeCohort, settings: Mapping[str, Any], expected: Sequence[float], precision: Precision
) -> dict[str, Any]:
    """Compare the losses of the first steps with those of a processor in float32."""
    found = losses_of(cohort, settings, precision=precision)
    differences = [abs(loss - other) / abs(other) for loss, other in zip(found, expected, strict=True)]
    return {
        "ok": differences[0] <= LARGEST_DIFFERENCE[precision] and all(map(math.isfinite, found)),
        "losses": found,
        "expected": list(expected),
        "relative_differences": differences,
    }


def compare_repeated(cohort: MadeCohort, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train twice with ``--deterministic``: the losses are to be equal to the last bit."""
    one, two = (losses_of_run(train_run(cohort, settings, deterministic=True)) for _ in range(2))
    return {"ok": one == two, "losses": [one, two]}


def compare_resumed(cohort: MadeCohort, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Kill a run within its second epoch and resume it: it is to end with the losses of a run that was never killed."""
    changes = {"deterministic": True, "checkpoint_minutes": EVERY_STEP}
    expected = losses_of_run(train_run(cohort, settings, **changes))
    run = cohort.begin_run(**{**settings, **changes, "epochs": 2})
    steps_in_epoch = len(training_portions(cohort.prepare(**settings), 1))
    train_until(run, steps_in_epoch + 2)
    before = losses_of_run(run)
    directory, config = find_run(cohort.layout.runs, run.run_id)
    train(directory, cohort.layout, config, resumed=True, keep_page=without_page)
    found = losses_of_run(run)
    return {"ok": len(before) == 1 and found == expected, "losses": [found, expected]}


def check_mode(cohort: MadeCohort, settings: Mapping[str, Any], mode: AugmentMode) -> dict[str, Any]:
    """Train in one mode to augment: the loss is to be finite."""
    (loss, _), *_ = losses_of_run(train_run(cohort, settings, augment=mode, epochs=1))
    return {"ok": math.isfinite(loss), "train_loss": loss}


def compare_augmentation(cohort: MadeCohort, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Change the same batch in the same way on the device and on the processor; compare what comes of it."""
    task = in_mode(cohort.prepare(**settings), "on-device")
    portion = first_batch(task)[0]
    batch, names = hold(task, portion), [task.cohort.sample_ids[place] for place in portion.request.positions]
    volumes = to_channels(batch, task.channels, task.config.data.volume_scaling)
    changes = draw_changes(task.config, names, 1)
    here, there = augment_channels(volumes.cpu(), changes), augment_channels(volumes, changes).cpu()
    likeness = float(np.corrcoef(here.numpy().ravel(), there.numpy().ravel())[0, 1])
    return {
        "ok": likeness >= LEAST_LIKENESS,
        "correlation": likeness,
        "mean": [float(there.mean()), float(here.mean())],
        "standard_deviation": [float(there.std()), float(here.std())],
    }


def train_run(cohort: MadeCohort, settings: Mapping[str, Any], **changes: Any) -> RunDirectory:
    """Train a run of two epochs, unless it is told otherwise, to its end."""
    run = cohort.begin_run(**{"epochs": 2, **settings, **changes})
    directory, config = find_run(cohort.layout.runs, run.run_id)
    train(directory, cohort.layout, config, keep_page=without_page)
    return directory


def train_until(run: RunDirectory, num_steps: int) -> float:
    """Train a run for some steps in a process that then dies; return when the last was done, in seconds since 1970.

    Raises
    ------
    RuntimeError
        It ended otherwise.
    """
    command = [sys.executable, "-m", "benchmarks.until_step", str(run.path), str(num_steps)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != -signal.SIGKILL:
        raise RuntimeError(f"the run was to be killed at step {num_steps}, and ended with {ended.stderr[-2000:]}")
    return float(ended.stdout)


def losses_of_run(run: RunDirectory) -> list[tuple[float, float]]:
    """Return training and validation loss of each epoch."""
    entries = map(json.loads, run.epochs.read_text().splitlines())
    return [(entry["train_loss"], entry["val_loss"]) for entry in entries]
