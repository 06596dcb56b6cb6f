"""How fast each stage of a run is by itself.

Terms
-----
stage  one thing that happens to every sample: reading, decoding, conversion, augmentation, the step.
"""

import resource
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Literal

import torch

from mmtrain.bench.batches import EPOCH, first_batch, hold, in_mode, read_batches
from mmtrain.bench.convolutions import find_convolutions, measure_convolutions
from mmtrain.bench.disk import Cache, Chunk, DiskReading, locate_chunks, read_chunks
from mmtrain.bench.throughput import repeat
from mmtrain.data.augmentation import augment_channels, draw_changes
from mmtrain.data.portions import Portion
from mmtrain.data.stream import StoredBatch, to_channels
from mmtrain.learner import build_learner, take_step
from mmtrain.task import Task, training_portions

StageName = Literal["disk", "decode", "transfer", "convert", "recipes", "augment", "step", "convolutions"]
_EPOCHS_DRAWN = 8
"""So many different recipes of each sample are applied, in turns: how much is drawn differs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """How fast one stage is by itself."""

    name: StageName
    samples_per_second: float
    megabytes_per_second: float | None = None
    """Of compressed chunks; for the disk alone."""
    cache: Cache | None = None
    """Whether the disk itself answered; for the disk alone."""
    sample_bytes: float | None = None
    """Compressed bytes of one sample; for the disk alone."""
    peak_bytes: int | None = None
    """Most memory that was in use: of the GPU, or of this process; for the step alone."""
    warm_up_seconds: float | None = None
    """Of the first steps, which do not count; for the step alone."""


def stage_names(task: Task) -> tuple[StageName, ...]:
    """Return the stages that a run has."""
    names: list[StageName] = ["step"]
    if task.config.data.volume_inputs:
        names = ["transfer" if task.device.type == "cuda" else "convert", "recipes", "augment", "step", "convolutions"]
    if task.stores.originals:
        names = ["decode", *names]
        if all(isinstance(array.location, Path) for array in task.stores.originals.values()):
            names = ["disk", *names]
    return tuple(names)


def measure_stages(task: Task, seconds: float) -> Iterator[Stage]:
    """Measure each stage for about so many seconds behind its warm-up; yield it when it is done.

    A network that has no convolutions has no such stage.

    Parameters
    ----------
    task
        With all copies there are; its training samples are those that are measured with.
    """
    plain = in_mode(task, "none")
    portions = first_batch(plain)
    held = [hold(plain, portion) for portion in portions]
    measures: Mapping[StageName, Callable[[], Stage | None]] = {
        "disk": lambda: _disk(plain, seconds),
        "decode": lambda: _decode(plain, seconds),
        "transfer": lambda: _convert("transfer", plain, held, seconds),
        "convert": lambda: _convert("convert", plain, held, seconds),
        "recipes": lambda: _recipes(in_mode(task, "on-device"), held, seconds),
        "augment": lambda: _augment(in_mode(task, "on-device"), held, seconds),
        "step": lambda: measure_step(plain, portions, held, seconds),
        "convolutions": lambda: _convolutions(plain, portions[0], held[0], seconds),
    }
    for name in stage_names(task):
        stage = measures[name]()
        if stage is not None:
            yield stage


def measure_step(task: Task, portions: Sequence[Portion], held: Sequence[StoredBatch], seconds: float) -> Stage:
    """Measure whole steps on one batch that is on the device already."""
    learner = build_learner(task)
    learner.network.train()
    there = [
        StoredBatch(batch.request, {name: stored.to(task.device) for name, stored in batch.stored.items()})
        for batch in held
    ]
    if task.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(task.device)

    def step() -> int:
        for portion, batch in zip(portions, there, strict=True):
            take_step(task, learner, portion, batch, EPOCH)
        return sum(len(portion.request.rows) for portion in portions)

    throughput = repeat(step, seconds, task.device)
    return Stage(
        name="step",
        samples_per_second=throughput.samples_per_second,
        peak_bytes=_peak_bytes(task.device),
        warm_up_seconds=throughput.warm_up_seconds,
    )


def share_of_conv_limit(stages: Mapping[StageName, Stage]) -> float | None:
    """Return the convolutions' share of the step's time; None where the network has none."""
    if "convolutions" not in stages:
        return None
    return stages["step"].samples_per_second / stages["convolutions"].samples_per_second


def _disk(task: Task, seconds: float) -> Stage:
    rows = [row for portion in training_portions(task, EPOCH) for row in portion.request.rows.tolist()]
    of_arrays = [locate_chunks(array, rows) for array in task.stores.originals.values()]
    samples: Sequence[Sequence[Chunk]] = list(zip(*of_arrays, strict=True))
    reading: DiskReading = read_chunks(samples, seconds)
    return Stage(
        name="disk",
        samples_per_second=reading.samples / reading.seconds,
        megabytes_per_second=reading.num_bytes / reading.seconds / 1e6,
        cache=reading.cache,
        sample_bytes=sum(chunk.size for chunks in samples for chunk in chunks) / len(samples),
    )


def _decode(task: Task, seconds: float) -> Stage:
    lap = training_portions(task, EPOCH)

    def read_lap() -> int:
        return sum(len(batch.request.rows) for batch in read_batches(task, lap))

    return Stage(name="decode", samples_per_second=repeat(read_lap, seconds, task.device).samples_per_second)


def _convert(name: StageName, task: Task, held: Sequence[StoredBatch], seconds: float) -> Stage:
    def convert() -> int:
        scaling = task.config.data.volume_scaling
        return sum(len(to_channels(batch, task.channels, scaling)) for batch in held)

    return Stage(name=name, samples_per_second=repeat(convert, seconds, task.device).samples_per_second)


def _recipes(task: Task, held: Sequence[StoredBatch], seconds: float) -> Stage:
    names = _names(task, held[0])

    def draw() -> int:
        draw_changes(task.config, names, EPOCH)
        return len(names)

    return Stage(name="recipes", samples_per_second=repeat(draw, seconds, torch.device("cpu")).samples_per_second)


def _augment(task: Task, held: Sequence[StoredBatch], seconds: float) -> Stage:
    """Measure what changes samples on the device, by recipes that are drawn before, as a thread does in training."""
    names = _names(task, held[0])
    volumes = to_channels(held[0], task.channels, task.config.data.volume_scaling)
    drawn = [draw_changes(task.config, names, epoch) for epoch in range(EPOCH, EPOCH + _EPOCHS_DRAWN)]
    changes = cycle([each.pinned() for each in drawn] if task.device.type == "cuda" else drawn)

    def augment() -> int:
        return len(augment_channels(volumes, next(changes)))

    return Stage(name="augment", samples_per_second=repeat(augment, seconds, task.device).samples_per_second)


def _convolutions(task: Task, portion: Portion, batch: StoredBatch, seconds: float) -> Stage | None:
    calls = find_convolutions(task, portion, batch)
    if not calls:
        return None
    spent = measure_convolutions(calls, task.device, seconds)
    return Stage(name="convolutions", samples_per_second=len(portion.request.rows) / spent)


def _names(task: Task, batch: StoredBatch) -> list[str]:
    return [task.cohort.sample_ids[position] for position in batch.request.positions]


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
