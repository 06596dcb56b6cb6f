"""Losses and predictions of a whole split, each rank computing its share; exact, for no sample comes twice."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mmtrain.data.portions import request_samples
from mmtrain.precision import parameter_dtype
from mmtrain.task import Task, forward, sample_losses, stream_task


@torch.inference_mode()
def evaluate(task: Task, network: nn.Module, split: str) -> tuple[float, NDArray[np.float64]]:
    """Return the mean loss and the predictions (N, T) of one split, in the unit of each target or as probabilities.

    Every rank gets all of it, in the order of the cohort. The network's penalty is part of the loss only where
    `penalty_in_validation` asked for it.
    """
    network.eval()
    members = task.cohort.members(split)
    share = np.array_split(members, task.ranks.size)[task.ranks.rank]
    batch_size = max(1, task.config.optimisation.batch_size // task.ranks.size)
    batches = np.array_split(share, -(-len(share) // batch_size) or 1)
    requests = [request_samples(task.cohort, positions) for positions in batches if len(positions)]
    outputs = [forward(task, network, batch).cpu() for batch in stream_task(task, requests)]
    nothing = torch.empty((0, task.shape.num_outputs), dtype=parameter_dtype(task.dtype))
    whole = task.ranks.gather(torch.cat([nothing, *outputs])).double()
    loss = sample_losses(task, whole, members).mean().item()
    if task.config.optimisation.penalty_in_validation and task.architecture.penalty is not None:
        loss += task.architecture.penalty(network, task.config.model).item()
    return loss, task.targets.predictions(whole.numpy())
