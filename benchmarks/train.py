"""One training step of this project against the reference study's, plainly written; on a GPU, whole epochs too.

Both steps have the same network, weights, batch, threads and float32. Ours begins with stored integers and turns them
into floats; the reference's is given its floats. Ours keeps freed memory, as `mm train` does. The reference is raced as
it comes, in a process whose memory nobody has set up, and also in ours.
"""

import io
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

from benchmarks.cohort import MadeCohort, make_cohort
from benchmarks.projection import IMAGING_INPUTS, project_study
from benchmarks.reference_step import ReferenceNet, reference_optimizer, reference_step
from benchmarks.train_device import measure_device
from mmbase.names import VOLUME_MODALITIES
from mmdata.execution.allocator import HUGE_PAGES, keep_freed_memory
from mmtrain.bench.batches import first_batch, hold, in_mode
from mmtrain.data.portions import Portion
from mmtrain.data.stream import StoredBatch, allocate_channels, to_channels
from mmtrain.learner import Learner, build_learner, take_step
from mmtrain.models.networks.fusion import NUM_CHANNELS, imaging_width, weight_penalty
from mmtrain.precision import parameter_dtype
from mmtrain.ranks.dropout import PartDropout
from mmtrain.task import Task

SIDE, BATCH_SIZE, NUM_ROWS = 64, 4, 20
REPEATS = 7
TWO_VOLUMES = ("flair", "t1")
LARGEST_DIFFERENCE = 1e-6
"""Of two losses that differ by rounding alone, relative; in float64, for batch norm makes much of rounding."""


class StepTime(NamedTuple):
    """Seconds of one step."""

    wall_s: float
    processor_s: float
    """Of all threads together: neighbours on the same cores change it less."""


@dataclass(frozen=True, slots=True)
class OurStep:
    """A batch as the stream gives it, and what learns from it."""

    task: Task
    learner: Learner
    portion: Portion
    batch: StoredBatch

    def take(self) -> float:
        """Take a step; return the mean loss of the samples before it, without penalty."""
        return take_step(self.task, self.learner, self.portion, self.batch, 1).item() / len(self.portion.request.rows)


@dataclass(frozen=True, slots=True)
class TheirStep:
    """The same batch as floats, and the reference's network and optimiser."""

    net: ReferenceNet
    optimizer: torch.optim.Optimizer
    volumes: torch.Tensor
    targets: torch.Tensor

    def take(self) -> float:
        """Take a step; return the loss before it, with penalty."""
        return reference_step(self.net, self.optimizer, self.volumes, self.targets)


def bench_train(folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Measure training steps; return what was measured, and the ratios."""
    keep_freed_memory()
    cohort = make_cohort(folder / "steps", SIDE, NUM_ROWS)
    difference = require_equal_losses(cohort, VOLUME_MODALITIES)
    times = race_steps(cohort, repeats=REPEATS)
    seconds = {name: median(step.wall_s for step in of_contender) for name, of_contender in times.items()}
    processor = {name: median(step.processor_s for step in of_contender) for name, of_contender in times.items()}
    rates = dict.fromkeys(IMAGING_INPUTS, BATCH_SIZE / seconds["mm"])
    measured: dict[str, Any] = {
        "side": SIDE,
        "batch_size": BATCH_SIZE,
        "threads": torch.get_num_threads(),
        "relative_difference_of_losses": difference,
        "median_s_per_step": {name: round(value, 3) for name, value in seconds.items()},
        "median_processor_s_per_step": {name: round(value, 3) for name, value in processor.items()},
        "all_s_per_step": {
            name: [round(step.wall_s, 3) for step in of_contender] for name, of_contender in times.items()
        },
        "processor_hours_of_700_models": round(project_study(rates)),
    }
    ratios = {
        "train_step_vs_reference": round(seconds["reference"] / seconds["mm"], 2),
        "train_step_two_volumes_vs_reference": round(seconds["reference"] / seconds["mm_two_volumes"], 2),
        "train_step_vs_reference_processor_time": round(processor["reference"] / processor["mm"], 2),
        "train_step_vs_reference_in_our_memory": round(seconds["reference_in_our_memory"] / seconds["mm"], 2),
    }
    if torch.cuda.is_available():
        measured["gpu"], of_device = measure_device(folder)
        ratios |= of_device
    return measured, ratios


def race_steps(cohort: MadeCohort, *, repeats: int, **settings: Any) -> dict[str, list[StepTime]]:
    """Time the contenders, turn and turn about, after one round to warm up."""
    ours = our_step(cohort, VOLUME_MODALITIES, **settings)
    theirs = their_step(ours)
    with as_it_comes(theirs) as take_as_it_comes:
        contenders: dict[str, Callable[[], StepTime]] = {
            "mm": timed(ours.take),
            "mm_two_volumes": timed(our_step(cohort, TWO_VOLUMES, **settings).take),
            "reference": take_as_it_comes,
            "reference_in_our_memory": timed(theirs.take),
        }
        times: dict[str, list[StepTime]] = {name: [] for name in contenders}
        for repeat in range(-1, repeats):
            for name, take in contenders.items():
                spent = take()
                if repeat >= 0:
                    times[name].append(spent)
    return times


def timed(take: Callable[[], float]) -> Callable[[], StepTime]:
    """Return a function that takes a step and returns what it took."""

    def take_timed() -> StepTime:
        started, processor_started = time.perf_counter(), time.process_time()
        take()
        return StepTime(time.perf_counter() - started, time.process_time() - processor_started)

    return take_timed


@contextmanager
def as_it_comes(step: TheirStep) -> Iterator[Callable[[], StepTime]]:
    """Yield what takes the reference's step in a process of its own, with as many threads."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    content = io.BytesIO()  # tensors given as they are would be shared, and of another kind of memory
    torch.save((step.net, step.volumes, step.targets), content)
    arguments = (theirs, content.getvalue(), torch.get_num_threads())
    process = spawn.Process(target=_serve, args=arguments, daemon=True)
    ours_alone = os.environ.pop(HUGE_PAGES, None)  # for as long as the process takes its environment over
    process.start()
    if ours_alone is not None:
        os.environ[HUGE_PAGES] = ours_alone
    theirs.close()

    def take() -> StepTime:
        ours.send(None)
        spent: StepTime = ours.recv()
        return spent

    try:
        yield take
    finally:
        ours.close()
        process.join()


def _serve(orders: Connection, content: bytes, threads: int) -> None:
    """Take a step whenever it is asked for, until nobody is left to ask."""
    torch.set_num_threads(threads)
    net, volumes, targets = torch.load(io.BytesIO(content), weights_only=False)
    take = timed(TheirStep(net, reference_optimizer(net), volumes, targets).take)
    while True:
        try:
            orders.recv()
        except EOFError:
            return
        orders.send(take())


def require_equal_losses(cohort: MadeCohort, inputs: Sequence[str], **settings: Any) -> float:
    """Check that both steps begin with the same loss from the same weights; return the relative difference.

    In float64, and without dropout, whose masks are drawn in another order.
    """
    ours = our_step(cohort, inputs, **settings, precision="float64")
    for module in ours.learner.network.modules():
        if isinstance(module, PartDropout):
            module.probability = 0.0
    theirs = their_step(ours, dropout=0.0)
    penalty = weight_penalty(ours.learner.network, ours.task.config.model).item()
    expected = theirs.take()
    difference = abs(ours.take() + penalty - expected) / expected
    if difference > LARGEST_DIFFERENCE:
        raise RuntimeError(f"the steps differ: their losses do by {difference:.2g} of {expected:.4g}")
    return difference


def our_step(cohort: MadeCohort, inputs: Sequence[str], **settings: Any) -> OurStep:
    """Prepare a step as `mm train` takes it."""
    task = in_mode(cohort.prepare(**{"batch_size": BATCH_SIZE, "device": "cpu", **settings, "inputs": inputs}), "none")
    learner = build_learner(task)
    learner.network.train()
    (portion,) = first_batch(task)
    return OurStep(task, learner, portion, hold(task, portion))


def their_step(ours: OurStep, *, dropout: float = 0.1) -> TheirStep:
    """Prepare the reference's step from our weights and batch; an absent volume is a channel of zeros."""
    task, request = ours.task, ours.portion.request
    side, modalities = task.shape.side, task.shape.volumes
    net = ReferenceNet(side, task.shape.parameters["channels"], imaging_width(side), dropout)
    dtype = parameter_dtype(task.dtype)
    net.to(dtype).load_state_dict(ours.learner.network.state_dict())
    channels = allocate_channels(len(request.rows), side, len(modalities), torch.device("cpu"))
    volumes = torch.zeros(len(request.rows), NUM_CHANNELS, *[side] * 3)
    present = [VOLUME_MODALITIES.index(modality) for modality in modalities]
    volumes[:, present] = to_channels(ours.batch, channels, "stored")
    (target,) = task.targets.kinds
    targets = torch.from_numpy(target.scale(task.cohort.labels_NT[request.positions, 0]))
    return TheirStep(net, reference_optimizer(net), volumes.to(dtype), targets.to(dtype))
