"""Losses and predictions of a whole split, each rank computing its share; exact, for no sample comes twice."""

import numpy as np
import torch
from numpy.typing import NDArray

from mmtrain.data.portions import request_samples
from mmtrain.model import FusionNet
from mmtrain.precision import parameter_dtype
from mmtrain.task import Task, forward, sample_losses, stream_task, to_predictions


@torch.inference_mode()
def evaluate(task: Task, network: FusionNet, split: str) -> tuple[float, NDArray[np.float64]]:
    """Return the mean loss and the predictions of one split, in the target's unit or as probabilities of class 1.

    Every rank gets all of it, in the order of the cohort.
    """
    network.eval()
    members = task.cohort.members(split)
    share = np.array_split(members, task.ranks.size)[task.ranks.rank]
    batches = np.array_split(share, -(-len(share) // max(1, task.config.batch_size // task.ranks.size)) or 1)
    requests = [request_samples(task.cohort, positions) for positions in batches if len(positions)]
    outputs = [forward(task, network, batch).cpu() for batch in stream_task(task, requests)]
    width = 1 if task.target_scaler is not None else 2
    whole = task.ranks.gather(
        torch.cat([torch.empty((0, width), dtype=parameter_dtype(task.dtype)), *outputs])
    ).double()
    return sample_losses(task, whole, members).mean().item(), to_predictions(task, whole.numpy())
