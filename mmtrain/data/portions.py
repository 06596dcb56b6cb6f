"""What one rank reads in an epoch: a portion of every batch, in the same order for any number of ranks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmtrain.config.optimisation import MIN_PART
from mmtrain.config.run import RunConfig
from mmtrain.data.cohort import Cohort
from mmtrain.data.order import balance_classes, choose_copies, divide, epoch_batches
from mmtrain.data.stream import BatchRequest
from mmtrain.errors import TrainError
from mmtrain.targets.registry import load_kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Portion:
    """Samples of one part of a batch that one rank computes."""

    request: BatchRequest
    start: int
    """First of them within the part."""
    part_size: int
    """Samples of the part over all ranks."""
    batch_size: int
    """Samples of the batch over all ranks and parts."""
    begins_step: bool
    ends_step: bool


def epoch_portions(
    cohort: Cohort, config: RunConfig, epoch: int, *, num_copies: int, rank: int, size: int
) -> list[Portion]:
    """Return what one rank reads in one epoch, `accumulate` portions for each step.

    Parameters
    ----------
    epoch
        Counted from 1.
    num_copies
        Augmented copies of every sample that has any.
    rank, size
        Which of how many ranks.
    """
    optimisation = config.optimisation
    order = config.augmentation.copy_order
    copies = choose_copies(cohort.sample_ids, num_copies, order=order, seed=optimisation.seed, epoch=epoch)
    copies[~cohort.is_augmented] = 0
    batches = epoch_batches(
        epoch_members(cohort, config, epoch),
        optimisation.batch_size,
        seed=optimisation.seed,
        epoch=epoch,
        drop_last=optimisation.drop_last,
    )
    return [portion for batch in batches for portion in _portions_of(batch, cohort, copies, config, rank, size)]


def epoch_members(cohort: Cohort, config: RunConfig, epoch: int) -> NDArray[np.int64]:
    """Return the positions of the samples that an epoch trains on, before they are shuffled."""
    members = cohort.members("train")
    if config.data.balance != "undersample" or len(config.data.targets) > 1:
        return members
    classes = load_kind(config.kind).classes(cohort.labels_NT[members, 0])
    if classes is None:
        return members
    return balance_classes(members, classes, seed=config.optimisation.seed, epoch=epoch)


def request_samples(
    cohort: Cohort, positions: NDArray[np.int64], copies: NDArray[np.int64] | None = None
) -> BatchRequest:
    """Ask for samples by their positions in the cohort; without copies, for the volumes themselves."""
    return BatchRequest(
        positions=positions,
        rows=cohort.rows[positions],
        copies=np.zeros(len(positions), np.int64) if copies is None else copies,
    )


def require_portions(cohort: Cohort, config: RunConfig, size: int) -> None:
    """Refuse batches too small to be divided among ranks.

    Raises
    ------
    TrainError
        A part of a batch has not enough samples for batch normalisation on every rank.
    """
    least = size if config.optimisation.sync_batch_norm else size * MIN_PART
    for portion in epoch_portions(cohort, config, 1, num_copies=0, rank=0, size=size):
        if portion.part_size < max(least, MIN_PART):
            raise TrainError(
                f"A batch of {portion.batch_size} samples in {config.optimisation.accumulate} parts is too small for "
                f"{size} ranks: each part needs {max(least, MIN_PART)}.",
                "Use fewer --gpus, a larger --batch-size or less --accumulate.",
            )


def _portions_of(
    batch: NDArray[np.int64],
    cohort: Cohort,
    copies: NDArray[np.int64],
    config: RunConfig,
    rank: int,
    size: int,
) -> list[Portion]:
    parts = divide(batch, config.optimisation.accumulate, size)
    return [
        Portion(
            request=request_samples(cohort, shares[rank], copies[shares[rank]]),
            start=sum(map(len, shares[:rank])),
            part_size=sum(map(len, shares)),
            batch_size=len(batch),
            begins_step=index == 0,
            ends_step=index == len(parts) - 1,
        )
        for index, shares in enumerate(parts)
    ]
