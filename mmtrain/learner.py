"""What learns in a run, and one step of it: forward, backward and, with the last part of a batch, the optimiser."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmtrain.algorithms import choose_algorithms, fuse
from mmtrain.data.order import derive_seed
from mmtrain.data.portions import Portion
from mmtrain.data.stream import StoredBatch
from mmtrain.models.registry import build_network
from mmtrain.precision import make_scaler, memory_format, parameter_dtype
from mmtrain.ranks.dropout import BatchPart, share_dropout
from mmtrain.ranks.norm import synchronise
from mmtrain.task import Task, forward, sample_losses


@dataclass(frozen=True, slots=True)
class Learner:
    """A network and its optimiser; the same on all ranks at every step."""

    network: nn.Module
    replica: nn.Module
    """The network as training steps call it: it may be compiled, and on several ranks shares its gradients."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    """Of the loss, in float16; else it does nothing."""
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
    choose_algorithms(task.arithmetic, deterministic=config.deterministic)
    torch.manual_seed(derive_seed(config.seed, "weights"))
    dtype, layout = parameter_dtype(task.dtype), memory_format(task.arithmetic, device)
    head_alone = task.trunk is not None
    network = build_network(task.config.model.model, task.shape, device, dtype, layout, head_alone=head_alone)
    part = share_dropout(network)
    if task.ranks.size > 1 and config.sync_batch_norm:
        synchronise(network, device)
    replica = fuse(network, config.compile_mode) if config.compile else network  # evaluation is not worth the minutes
    if task.ranks.size > 1:
        replica = DistributedDataParallel(replica, gradient_as_bucket_view=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
    return Learner(network, replica, optimizer, make_scaler(task.arithmetic, device), part)


def take_step(task: Task, learner: Learner, portion: Portion, batch: StoredBatch, epoch: int) -> torch.Tensor:
    """Learn from one portion; return the sum of its samples' losses, without penalty, on the device."""
    part = learner.part
    part.start, part.size, part.whole = portion.start, len(portion.request.positions), portion.part_size
    with learner.sharing(portion.ends_step):
        losses = sample_losses(task, forward(task, learner.replica, batch, epoch), portion.request.positions)
        loss = losses.sum() * (task.ranks.size / portion.batch_size)  # the mean over the batch: ranks are averaged
        if portion.ends_step and task.architecture.penalty is not None:
            loss = loss + task.architecture.penalty(learner.network, task.config.model)
        learner.scaler.scale(loss).backward()
    if portion.ends_step:
        if task.config.optimisation.clip_norm is not None:
            learner.scaler.unscale_(learner.optimizer)
            nn.utils.clip_grad_norm_(learner.network.parameters(), task.config.optimisation.clip_norm)
        learner.scaler.step(learner.optimizer)
        learner.scaler.update()
        learner.optimizer.zero_grad(set_to_none=True)
    return losses.detach().sum()
