"""What to do when the memory of a device does not hold a batch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mmbase.memory import available_bytes
from mmdata.execution.capacity import as_gb
from mmtrain.config.optimisation import MIN_BATCH_SIZE, MIN_PART
from mmtrain.config.run import RunConfig
from mmtrain.data.cohort import Cohort
from mmtrain.errors import TrainError
from mmtrain.models.protocol import Architecture, NetworkShape

_CPU_MESSAGE = "can't allocate memory"


@contextmanager
def explain_exhaustion(config: RunConfig, num_ranks: int) -> Iterator[None]:
    """Turn an allocation that fails into advice.

    Raises
    ------
    TrainError
        Says which settings to try.
    """
    try:
        yield
    except MemoryError as error:  # of a network that is fitted to all samples together
        raise TrainError(
            "The memory of this machine does not hold the training samples.", "Use a smaller --side or fewer --inputs."
        ) from error
    except torch.OutOfMemoryError as error:
        raise TrainError(advise(config, num_ranks, is_gpu=True)) from error
    except RuntimeError as error:
        if _CPU_MESSAGE not in str(error):
            raise
        raise TrainError(advise(config, num_ranks)) from error


def require_memory(model: str, architecture: Architecture, shape: NetworkShape, cohort: Cohort) -> None:
    """Refuse to fit a network at once to more than the memory of this machine holds.

    Parameters
    ----------
    model
        Name of the network.

    Raises
    ------
    TrainError
        Says how much is needed and how much there is.
    """
    if architecture.fit is None:
        return
    num_training, num_samples = cohort.split_sizes["train"], len(cohort.rows)
    needed = architecture.fit.memory_bytes(shape, num_training, num_samples - num_training)
    available = available_bytes()
    if needed > available:
        raise TrainError(
            f"The model {model} needs up to {as_gb(needed)} of memory for {num_training} training and "
            f"{num_samples - num_training} other samples, and {as_gb(available)} are available.",
            "Use fewer --inputs, or a machine with more memory.",
        )


def advise(config: RunConfig, num_ranks: int, *, is_gpu: bool = False) -> str:
    """Say how a batch that does not fit may be made to fit.

    Parameters
    ----------
    is_gpu
        Whether the memory is that of a GPU, which may hold rows beside the batch.
    """
    batch_size, accumulate = config.optimisation.batch_size, config.optimisation.accumulate
    held = -(-batch_size // (accumulate * num_ranks))
    says = f"The device's memory does not hold {held} samples at side {config.data.side}."
    least = num_ranks * MIN_PART
    smaller = batch_size // 2
    choices = []
    if batch_size // (2 * accumulate) >= least:
        choices.append(
            f"--accumulate {2 * accumulate}, which computes the same batch of {batch_size} in parts half as large"
        )
    if smaller // accumulate >= least and smaller >= MIN_BATCH_SIZE:
        choices.append(f"--batch-size {smaller}")
    if is_gpu and config.execution.cache in ("auto", "device"):
        choices.append("--cache host, which leaves no rows on the GPU")
    if not choices:
        return f"{says} Train on a smaller --side, or on a device with more memory."
    return f"{says} Try {', or '.join(choices)}."
