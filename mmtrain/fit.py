"""Fit a network that needs no steps: to all training samples at once, in one process."""

import time
from dataclasses import replace

from mmbase.names import SPLITS
from mmtrain.data.order import derive_seed
from mmtrain.observer import EpochPosition, TrainingObserver
from mmtrain.precision import parameter_dtype
from mmtrain.reduced_rows import gather
from mmtrain.state import Run
from mmtrain.stopping import TrainingStopped
from mmtrain.task import sample_losses
from mmtrain.waiting import WaitClock


def fit_at_once(run: Run, observer: TrainingObserver) -> None:
    """Put the fitted network in the place of the run's; the run's task then has its shape.

    Every sample is read once at most, as it is: copies, drawing of classes and dropped batches belong to epochs. Of
    each no more is kept than the network asks for.

    Raises
    ------
    TrainingStopped
        A signal asked for it before the fit began.
    """
    task, part = run.task, run.progress.part
    fitting = task.architecture.fit
    assert fitting is not None
    members = task.cohort.members("train")
    observer.on_step(EpochPosition(epoch=1, steps=0, num_steps=1, samples=0, num_samples=len(members)))
    started, clock = time.perf_counter(), WaitClock(task.device)
    training, validation, _ = gather(task, SPLITS, clock)
    if run.stop.made:
        raise TrainingStopped
    seed = derive_seed(task.config.optimisation.seed, "fit") % (1 << 32)  # as much as scikit-learn takes
    fitted = fitting.fit(task.shape, training, validation, task.targets, seed)
    network = fitted.network.to(task.device, parameter_dtype(task.dtype)).eval()
    run.task = replace(task, shape=fitted.shape)
    run.learner = replace(run.learner, network=network, replica=network)
    outputs_NK = fitted.outputs_NK.detach().to(parameter_dtype(task.dtype))
    part.loss_sum = sample_losses(task, outputs_NK, members).sum().item()
    part.num_samples = len(members)
    part.wait_seconds, part.seconds = clock.take_seconds(), time.perf_counter() - started
