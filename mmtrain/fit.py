"""Fit a network that needs no steps: to all training samples at once, in one process."""

import time
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch

from mmtrain.data.order import derive_seed
from mmtrain.data.portions import request_samples
from mmtrain.data.stream import BatchRequest, StoredBatch
from mmtrain.models.protocol import Fitting, Samples
from mmtrain.observer import EpochPosition, TrainingObserver
from mmtrain.precision import parameter_dtype
from mmtrain.state import Run
from mmtrain.stopping import TrainingStopped
from mmtrain.task import Task, forward, network_inputs, sample_losses, stream_task
from mmtrain.waiting import WaitClock


def fit_at_once(run: Run, observer: TrainingObserver) -> None:
    """Put the fitted network in the place of the run's; the run's task then has its shape.

    Every training sample is read once, as it is: copies, drawing of classes and dropped batches belong to epochs. Of
    each no more is kept than the network asks for.

    Raises
    ------
    TrainingStopped
        A signal asked for it before the fit began.
    """
    task, part = run.task, run.progress.part
    fitting = task.architecture.fit
    assert fitting is not None
    num_samples = len(task.cohort.members("train"))
    observer.on_step(EpochPosition(epoch=1, steps=0, num_steps=1, samples=0, num_samples=num_samples))
    started, clock = time.perf_counter(), WaitClock(task.device)
    training, validation = (gather(task, fitting, split, clock) for split in ("train", "val"))
    if run.stop.made:
        raise TrainingStopped
    seed = derive_seed(task.config.optimisation.seed, "fit") % (1 << 32)  # as much as scikit-learn takes
    shape, network = fitting.fit(task.shape, training, validation, task.targets, seed)
    network = network.to(task.device, parameter_dtype(task.dtype)).eval()
    run.task, run.learner = replace(task, shape=shape), replace(run.learner, network=network, replica=network)
    with torch.inference_mode():
        for batch in clock.watch(stream_task(task, requests_of(task, "train"))):
            losses = sample_losses(task, forward(task, network, batch), batch.request.positions)
            part.loss_sum += losses.sum().item()
            part.num_samples += len(losses)
    part.wait_seconds, part.seconds = clock.take_seconds(), time.perf_counter() - started


def gather(task: Task, fitting: Fitting, split: str, clock: WaitClock) -> Samples:
    """Return what a network wants to be fitted to of all samples of a split, in the order of the cohort."""
    members = task.cohort.members(split)
    parts = tuple(np.empty((len(members), size), np.float32) for size in fitting.part_sizes(task.shape))
    batches: Iterable[StoredBatch] = clock.watch(stream_task(task, requests_of(task, split))) if parts else ()
    row = 0
    for batch in batches:
        inputs = network_inputs(task, batch)
        reduced = fitting.reduce(task.shape, inputs.volumes_BCXYZ, inputs.edges_BE, inputs.features_BF)
        for part, given in zip(parts, reduced, strict=True):
            part[row : row + len(given)] = given.cpu().numpy()
        row += len(batch.request.positions)
    return Samples(parts=parts, labels_NT=task.cohort.labels_NT[members])


def requests_of(task: Task, split: str) -> list[BatchRequest]:
    """Return what is read of a split, in batches of even sizes and in the order of the cohort."""
    members = task.cohort.members(split)
    num_batches = -(-len(members) // task.config.optimisation.batch_size) or 1
    return [request_samples(task.cohort, part) for part in np.array_split(members, num_batches) if len(part)]
