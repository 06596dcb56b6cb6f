"""What learns in a run, and one step of it: forward, backward and, with the last part of a batch, the optimiser."""

import os
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmtrain.data.order import derive_seed
from mmtrain.data.portions import Portion
from mmtrain.data.stream import StoredBatch
from mmtrain.models.registry import build_network
from mmtrain.precision import parameter_dtype
from mmtrain.ranks.dropout import BatchPart, share_dropout
from mmtrain.ranks.norm import synchronise
from mmtrain.task import Task, forward, sample_losses


@dataclass(frozen=True, slots=True)
class Learner:
    """A network and its optimiser; the same on all ranks at every step."""

    network: nn.Module
    replica: nn.Module
    """The network, which on several ranks shares its gradients with the others."""
    optimizer: torch.optim.Optimizer
    part: BatchPart
    """What the network's dropout looks at."""

    def sharing(self, shares: bool) -> AbstractContextManager[None]:
        """Let a backward pass share its gradients with the other ranks, or keep them for the next."""
        if isinstance(self.replica, DistributedDataParallel) and not shares:
            context: AbstractContextManager[None] = self.replica.no_sync()
            return context
        return nullcontext()


def build_learner(task: Task) -> Learner:
    """Return the untrained network of a run, ready to learn on this rank's device."""
    config, device = task.config.optimisation, task.device
    _choose_algorithms(config.deterministic)
    torch.manual_seed(derive_seed(config.seed, "weights"))
    dtype, head_alone = parameter_dtype(task.dtype), task.trunk is not None
    network = build_network(task.config.model.model, task.shape, device, dtype, head_alone=head_alone)
    part = share_dropout(network)
    if task.ranks.size > 1 and config.sync_batch_norm:
        synchronise(network, device)
    if config.compile:
        network.compile()
    replica: nn.Module = network
    if task.ranks.size > 1:
        replica = DistributedDataParallel(network, gradient_as_bucket_view=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
    return Learner(network, replica, optimizer, part)


def take_step(task: Task, learner: Learner, portion: Portion, batch: StoredBatch, epoch: int) -> torch.Tensor:
    """Learn from one portion; return the sum of its samples' losses, without penalty, on the device."""
    part = learner.part
    part.start, part.size, part.whole = portion.start, len(portion.request.positions), portion.part_size
    with learner.sharing(portion.ends_step):
        losses = sample_losses(task, forward(task, learner.replica, batch, epoch), portion.request.positions)
        loss = losses.sum() * (task.ranks.size / portion.batch_size)  # the mean over the batch: ranks are averaged
        if portion.ends_step and task.architecture.penalty is not None:
            loss = loss + task.architecture.penalty(learner.network, task.config.model)
        loss.backward()
    if portion.ends_step:
        if task.config.optimisation.clip_norm is not None:
            nn.utils.clip_grad_norm_(learner.network.parameters(), task.config.optimisation.clip_norm)
        learner.optimizer.step()
        learner.optimizer.zero_grad(set_to_none=True)
    return losses.detach().sum()


def _choose_algorithms(deterministic: bool) -> None:
    """Let a GPU use its fastest algorithms, or those alone that give the same bits when repeated.

    PyTorch knows none of the latter for the gradient of pooling, which adds with atomics. Where windows do not overlap,
    as in fusion and sfcn, every sum has one term, so PyTorch may warn and is not to refuse; docs/networks.md has the
    networks whose windows do.
    """
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cudnn.allow_tf32 = False  # else float32 would mean TF32, of 10 bits, on newer GPUs
    if deterministic != torch.are_deterministic_algorithms_enabled():  # to set it imports the compiler, for seconds
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        warnings.filterwarnings("ignore", message="max_pool3d.*does not have a deterministic implementation")
