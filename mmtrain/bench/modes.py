"""How fast a run is from end to end: in each mode to augment, and with its rows in memory.

Terms
-----
turn  some seconds of real steps. The first step of a turn never counts: before it nothing has been read ahead.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from mmtrain.bench.batches import EPOCH, in_mode, laps
from mmtrain.bench.throughput import Throughput, num_warm_ups
from mmtrain.config.augmentation import AugmentMode
from mmtrain.data.cache_plan import CachePlan, needed_rows
from mmtrain.data.row_cache import RowCache
from mmtrain.kept import Kept, keep_rows
from mmtrain.learner import Learner, build_learner, take_step
from mmtrain.task import Task, stream_task, training_portions
from mmtrain.waiting import WaitClock

TURNS = 3
"""Every mode comes so often, in turns, so that a machine that is slow for a while is so for all of them."""


def measure_modes(task: Task, modes: Sequence[AugmentMode], seconds: float) -> Iterator[tuple[AugmentMode, Throughput]]:
    """Take real steps in each mode, in turns; yield each turn's throughput, at most `TURNS` of each.

    Parameters
    ----------
    seconds
        For each mode over all its turns. Where one step takes longer there is one turn, of one step that counts.
    """
    learner = build_learner(task)
    learner.network.train()
    for mode in modes:
        _warm_up(in_mode(task, mode), learner)
    throughputs = dict.fromkeys(modes, Throughput())
    for _ in range(TURNS):
        for mode in modes:
            if throughputs[mode].seconds < seconds:
                throughput = take_turn(in_mode(task, mode), learner, seconds / TURNS)
                throughputs[mode] += throughput
                yield mode, throughput


def measure_from_memory(task: Task, device: torch.device, seconds: float) -> Throughput:
    """Take real steps with all rows in the memory of a device, as from a run's second epoch on."""
    rows = RowCache(device)
    of_arrays = needed_rows(task.cohort, task.stores, task.config, reads_copies=True, num_ranks=1)
    needed = {array.identity: number * rows.size_of(array.row_bytes) for array, number in of_arrays}
    rows.begin_run(needed, sum(needed.values()))
    task = replace(task, rows=rows)
    learner = build_learner(task)
    learner.network.train()
    _warm_up(task, learner)
    return take_turn(task, learner, seconds)


def planned_cache(whole: Task, mode: AugmentMode) -> CachePlan:
    """Return where `--cache auto` keeps the rows of a whole run in a mode."""
    of_mode = in_mode(replace(whole, config=whole.config.changed(cache="auto")), mode)
    return keep_rows(Kept(), of_mode, runs_follow=False)[1]


def take_turn(task: Task, learner: Learner, seconds: float) -> Throughput:
    """Train for some seconds behind a first step, which does not count."""
    clock = WaitClock(task.device)
    steps = _take_steps(task, learner, clock)
    first = _timed(lambda: next(steps), clock)
    started = time.perf_counter()
    return replace(_timed(lambda: sum(_until(started + seconds, steps)), clock), warm_up_seconds=first.seconds)


def _warm_up(task: Task, learner: Learner) -> None:
    """Read all rows, so that they are in memory; take steps of each size of batch where it costs a start of its own.

    So it does on a GPU, whose library searches for each anew, and where steps are compiled.
    """
    taken: Counter[int] = Counter()
    starts_anew = task.device.type == "cuda" or task.config.optimisation.compile
    portions = training_portions(task, EPOCH)
    for portion, batch in zip(
        portions, stream_task(task, [portion.request for portion in portions], EPOCH), strict=True
    ):
        size = len(portion.request.rows)
        if starts_anew and taken[size] < num_warm_ups(task.device):
            take_step(task, learner, portion, batch, EPOCH)
            taken[size] += 1


def _take_steps(task: Task, learner: Learner, clock: WaitClock) -> Iterator[int]:
    """Take steps as the trainer does; yield the number of samples of each."""
    portions, samples = laps(task), 0
    batches = stream_task(task, [portion.request for portion in portions], EPOCH)
    for portion, batch in zip(portions, clock.watch(batches), strict=False):
        take_step(task, learner, portion, batch, EPOCH)
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
