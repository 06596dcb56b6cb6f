"""How fast a run is on this machine: each stage by itself, and each mode to augment from end to end.

Terms
-----
stage   one thing that happens to every sample: reading, decoding, conversion, augmentation, the step.
mode    how training samples are augmented: the setting `augment` of a run.
throughput  samples in some seconds.
lap     one pass over the samples that are measured with; they stay in the page cache, so that all modes meet the
        same, and the disk is a stage of its own.
"""

import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Literal

import torch

from mmtrain.bench.disk import Cache, Chunk, DiskReading, locate_chunks, read_chunks
from mmtrain.config.augmentation import AugmentMode
from mmtrain.config.run import RunConfig
from mmtrain.data.augmentation import augment_channels, draw_changes
from mmtrain.data.portions import Portion
from mmtrain.data.stream import StoredBatch, Stores, stream_batches, to_channels
from mmtrain.learner import Learner, build_learner, take_step
from mmtrain.task import Task, stream_task, training_portions
from mmtrain.waiting import WaitClock

StageName = Literal["disk", "decode", "transfer", "convert", "recipes", "augment", "step"]
MODES: tuple[AugmentMode, ...] = ("none", "precomputed", "on-device", "hybrid")
MODES_WITH_COPIES: tuple[AugmentMode, ...] = ("precomputed", "hybrid")
TURNS = 3
"""Every mode comes so often, in turns, so that a machine that is slow for a while is so for all of them."""
_LEAST_STEPS_STREAMED = 512
_EPOCH = 1
_EPOCHS_DRAWN = 8
"""So many different recipes of each sample are applied, in turns: how much is drawn differs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """How many samples some seconds gave."""

    samples: int = 0
    seconds: float = 0.0
    wait_seconds: float = 0.0
    """Of them, in which the device had nothing to do because no batch was there."""

    @property
    def samples_per_second(self) -> float:
        """Samples in a second."""
        return self.samples / self.seconds

    @property
    def wait_share(self) -> float:
        """Share of the time that the device waited."""
        return self.wait_seconds / self.seconds

    def __add__(self, other: "Throughput") -> "Throughput":
        return Throughput(
            samples=self.samples + other.samples,
            seconds=self.seconds + other.seconds,
            wait_seconds=self.wait_seconds + other.wait_seconds,
        )


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


def stage_names(task: Task) -> tuple[StageName, ...]:
    """Return the stages that a run has."""
    names: list[StageName] = ["step"]
    if task.config.data.volume_inputs:
        names = ["transfer" if task.device.type == "cuda" else "convert", "recipes", "augment", *names]
    if task.stores.originals:
        names = ["decode", *names]
        if all(isinstance(array.location, Path) for array in task.stores.originals.values()):
            names = ["disk", *names]
    return tuple(names)


def modes_of(config: RunConfig) -> tuple[AugmentMode, ...]:
    """Return the modes to augment that a run has; there is nothing to augment without volumes."""
    return MODES if config.data.volume_inputs else ("none",)


def in_mode(task: Task, mode: AugmentMode) -> Task:
    """Return a task that augments in one mode; without copies, the volumes themselves stand in for them."""
    has_copies = mode in MODES_WITH_COPIES
    stores = task.stores if has_copies else Stores(task.stores.originals, {}, 0)
    return replace(task, config=task.config.changed(augment=mode, copies=stores.num_copies), stores=stores)


def measure_stages(task: Task, seconds: float) -> Iterator[Stage]:
    """Measure each stage for about so many seconds; yield it when it is done.

    Parameters
    ----------
    task
        With all copies there are; its training samples are those that are measured with.
    """
    plain = in_mode(task, "none")
    portions = first_batch(plain)
    held = [hold(plain, portion) for portion in portions]
    measures: Mapping[StageName, Callable[[], Stage]] = {
        "disk": lambda: _disk(plain, seconds),
        "decode": lambda: _decode(plain, seconds),
        "transfer": lambda: _convert("transfer", plain, held, seconds),
        "convert": lambda: _convert("convert", plain, held, seconds),
        "recipes": lambda: _recipes(in_mode(task, "on-device"), held, seconds),
        "augment": lambda: _augment(in_mode(task, "on-device"), held, seconds),
        "step": lambda: _step(plain, portions, held, seconds),
    }
    for name in stage_names(task):
        yield measures[name]()


def measure_modes(task: Task, modes: Sequence[AugmentMode], seconds: float) -> Iterator[tuple[AugmentMode, Throughput]]:
    """Take real steps in each mode, in turns; yield each turn's throughput, at most `TURNS` of each.

    Parameters
    ----------
    seconds
        For each mode over all its turns. Where one step takes longer there is one turn of one step.
    """
    learner = build_learner(task)
    learner.network.train()
    for mode in modes:
        for _ in _read(in_mode(task, mode), training_portions(in_mode(task, mode), _EPOCH)):
            pass  # into the page cache
    throughputs = dict.fromkeys(modes, Throughput())
    for _ in range(TURNS):
        for mode in modes:
            if throughputs[mode].seconds < seconds:
                throughput = take_turn(in_mode(task, mode), learner, seconds / TURNS)
                throughputs[mode] += throughput
                yield mode, throughput


def take_turn(task: Task, learner: Learner, seconds: float) -> Throughput:
    """Train for some seconds; the first step does not count unless it alone takes so long."""
    clock = WaitClock(task.device)
    steps = _take_steps(task, learner, clock)
    first = _timed(lambda: next(steps), clock)
    if first.seconds >= seconds:
        return first
    started = time.perf_counter()
    return _timed(lambda: sum(_until(started + seconds, steps)), clock)


def repeat(work: Callable[[], int], seconds: float, device: torch.device) -> Throughput:
    """Do work that returns its number of samples for some seconds; the first time counts only if it takes so long."""
    throughput = Throughput()
    for attempt in range(sys.maxsize):
        started = time.perf_counter()
        samples = work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        once = Throughput(samples=samples, seconds=time.perf_counter() - started)
        if attempt or once.seconds >= seconds:
            throughput += once
        if throughput.seconds >= seconds:
            break
    return throughput


def first_batch(task: Task) -> list[Portion]:
    """Return the portions of one step."""
    return training_portions(task, _EPOCH)[: task.config.optimisation.accumulate]


def hold(task: Task, portion: Portion) -> StoredBatch:
    """Return a batch as it comes from the stores, to be used again and again."""
    return next(_read(task, [portion]))


def laps(task: Task) -> list[Portion]:
    """Return portions for a while: of the same epoch again and again."""
    lap = training_portions(task, _EPOCH)
    num_laps = -(-_LEAST_STEPS_STREAMED * task.config.optimisation.accumulate // len(lap))
    return list(chain.from_iterable(islice(iter(lambda: lap, None), num_laps)))


def _disk(task: Task, seconds: float) -> Stage:
    rows = [row for portion in training_portions(task, _EPOCH) for row in portion.request.rows.tolist()]
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
    lap = training_portions(task, _EPOCH)

    def read_lap() -> int:
        return sum(len(batch.request.rows) for batch in _read(task, lap))

    return Stage(name="decode", samples_per_second=repeat(read_lap, seconds, task.device).samples_per_second)


def _convert(name: StageName, task: Task, held: Sequence[StoredBatch], seconds: float) -> Stage:
    def convert() -> int:
        scaling = task.config.data.volume_scaling
        return sum(len(to_channels(batch, task.channels, scaling)) for batch in held)

    return Stage(name=name, samples_per_second=repeat(convert, seconds, task.device).samples_per_second)


def _recipes(task: Task, held: Sequence[StoredBatch], seconds: float) -> Stage:
    names = _names(task, held[0])

    def draw() -> int:
        draw_changes(task.config, names, _EPOCH)
        return len(names)

    return Stage(name="recipes", samples_per_second=repeat(draw, seconds, torch.device("cpu")).samples_per_second)


def _augment(task: Task, held: Sequence[StoredBatch], seconds: float) -> Stage:
    """Measure what changes samples on the device, by recipes that are drawn before, as a thread does in training."""
    names = _names(task, held[0])
    volumes = to_channels(held[0], task.channels, task.config.data.volume_scaling)
    drawn = [draw_changes(task.config, names, epoch) for epoch in range(_EPOCH, _EPOCH + _EPOCHS_DRAWN)]
    changes = cycle([each.pinned() for each in drawn] if task.device.type == "cuda" else drawn)

    def augment() -> int:
        return len(augment_channels(volumes, next(changes)))

    return Stage(name="augment", samples_per_second=repeat(augment, seconds, task.device).samples_per_second)


def _step(task: Task, portions: Sequence[Portion], held: Sequence[StoredBatch], seconds: float) -> Stage:
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
            take_step(task, learner, portion, batch, _EPOCH)
        return sum(len(portion.request.rows) for portion in portions)

    throughput = repeat(step, seconds, task.device)
    return Stage(name="step", samples_per_second=throughput.samples_per_second, peak_bytes=_peak_bytes(task.device))


def _take_steps(task: Task, learner: Learner, clock: WaitClock) -> Iterator[int]:
    """Take steps as the trainer does; yield the number of samples of each."""
    portions, samples = laps(task), 0
    batches = stream_task(task, [portion.request for portion in portions], _EPOCH)
    for portion, batch in zip(portions, clock.watch(batches), strict=False):
        take_step(task, learner, portion, batch, _EPOCH)
        samples += len(portion.request.rows)
        if portion.ends_step:
            yield samples
            samples = 0


def _timed(work: Callable[[], int], clock: WaitClock) -> Throughput:
    started = time.perf_counter()
    samples = work()
    waited = clock.take_seconds()  # when the device has ended its work
    return Throughput(samples=samples, seconds=time.perf_counter() - started, wait_seconds=waited)


def _until(end: float, steps: Iterator[int]) -> Iterator[int]:
    for samples in steps:
        yield samples
        if time.perf_counter() >= end:
            return


def _read(task: Task, portions: Sequence[Portion]) -> Iterator[StoredBatch]:
    """Read batches into memory of the host."""
    return stream_batches(
        task.stores,
        [portion.request for portion in portions],
        prefetch_bytes=task.config.execution.prefetch_bytes,
        pin_memory=task.device.type == "cuda",
    )


def _names(task: Task, batch: StoredBatch) -> list[str]:
    return [task.cohort.sample_ids[position] for position in batch.request.positions]


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
