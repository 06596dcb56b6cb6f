"""Losses and predictions of a whole split, each rank computing its share; exact, for no sample comes twice."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mmtrain.data.portions import request_samples
from mmtrain.data.stream import BatchRequest, StoredBatch
from mmtrain.errors import TrainError
from mmtrain.precision import parameter_dtype
from mmtrain.reduced_rows import gather
from mmtrain.task import NetworkInputs, Task, forward, network_inputs, run_network, sample_losses, stream_task
from mmtrain.waiting import WaitClock


@torch.inference_mode()
def evaluate(task: Task, network: nn.Module, split: str) -> tuple[float, NDArray[np.float64]]:
    """Return the mean loss and the predictions (N, T) of one split, in the unit of each target or as probabilities.

    Every rank gets all of it, in the order of the cohort. The network's penalty is part of the loss only where
    `penalty_in_validation` asked for it.
    """
    network.eval()
    members = task.cohort.members(split)
    whole = task.ranks.gather(_outputs(task, network, split)).double()
    loss = sample_losses(task, whole, members).mean().item()
    if task.config.optimisation.penalty_in_validation and task.architecture.penalty is not None:
        loss += task.architecture.penalty(network, task.config.model).item()
    return loss, task.targets.predictions(whole.numpy())


def _outputs(task: Task, network: nn.Module, split: str) -> torch.Tensor:
    """Return the network's outputs for this rank's share of a split, shape (N, K)."""
    if task.architecture.fit is not None:
        (samples,) = gather(task, [split], WaitClock(task.device))
        return task.architecture.fit.outputs(network, samples).cpu()
    outputs = [forward(task, network, batch).cpu() for batch in stream_task(task, split_requests(task, split))]
    nothing = torch.empty((0, task.shape.num_outputs), dtype=parameter_dtype(task.dtype))
    return torch.cat([nothing, *outputs])


@torch.inference_mode()
def predict_from_subsets(
    task: Task,
    network: nn.Module,
    split: str,
    subsets: Sequence[Collection[str]],
    on_progress: Callable[[int, int], None],
) -> list[NDArray[np.float64]]:
    """Return the predictions (N, T) of one split from each subset of the inputs; what is stored is read once.

    Parameters
    ----------
    network
        In evaluation mode; one that can do without inputs, unless each subset is all of them.
    on_progress
        Called with how many samples are done, of how many.

    Raises
    ------
    TrainError
        The split has no samples: all of them have withdrawn.
    """
    outputs: list[list[torch.Tensor]] = [[] for _ in subsets]
    requests = split_requests(task, split)
    if not requests:
        raise TrainError(f"There are no {split} samples left to predict.", "Choose another run, or another --split.")
    ends = accumulate(len(request.positions) for request in requests)
    num_samples = len(task.cohort.members(split))
    for end, batch in zip(ends, stream_task(task, requests), strict=True):
        inputs = network_inputs(task, batch)
        for of_subset, subset in zip(outputs, subsets, strict=True):
            of_subset.append(run_network(task, network, _only(task, inputs, subset, batch)).cpu())
        on_progress(end, num_samples)
    return [task.targets.predictions(torch.cat(of_subset).double().numpy()) for of_subset in outputs]


def _only(task: Task, inputs: NetworkInputs, subset: Collection[str], batch: StoredBatch) -> NetworkInputs:
    """Return a batch of which the network is given some inputs."""
    given = [name in subset for name in task.shape.inputs]
    if all(given):
        return inputs
    return replace(inputs, given_BI=torch.tensor(given, device=task.device).expand(len(batch.request.positions), -1))


def split_requests(task: Task, split: str) -> list[BatchRequest]:
    """Return what this rank reads of a split."""
    share = np.array_split(task.cohort.members(split), task.ranks.size)[task.ranks.rank]
    batch_size = max(1, task.config.optimisation.batch_size // task.ranks.size)
    batches = np.array_split(share, -(-len(share) // batch_size) or 1)
    return [request_samples(task.cohort, positions) for positions in batches if len(positions)]
