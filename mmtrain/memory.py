"""What to do when the memory of a device does not hold a batch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mmtrain.config import MIN_BATCH_SIZE, MIN_PART, TrainConfig
from mmtrain.errors import TrainError

_CPU_MESSAGE = "can't allocate memory"


@contextmanager
def explain_exhaustion(config: TrainConfig, num_ranks: int) -> Iterator[None]:
    """Turn an allocation that fails into advice.

    Raises
    ------
    TrainError
        Says which settings to try.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainError(advise(config, num_ranks)) from error
    except RuntimeError as error:
        if _CPU_MESSAGE not in str(error):
            raise
        raise TrainError(advise(config, num_ranks)) from error


def advise(config: TrainConfig, num_ranks: int) -> str:
    """Say how a batch that does not fit may be made to fit."""
    held = -(-config.batch_size // (config.accumulate * num_ranks))
    says = f"The device's memory does not hold {held} samples at side {config.side}."
    least = num_ranks * MIN_PART
    smaller = config.batch_size // 2
    ways = []
    if config.batch_size // (2 * config.accumulate) >= least:
        ways.append(
            f"--accumulate {2 * config.accumulate}, which computes the same batch of {config.batch_size} in parts "
            "half as large"
        )
    if smaller // config.accumulate >= least and smaller >= MIN_BATCH_SIZE:
        ways.append(f"--batch-size {smaller}")
    if not ways:
        return f"{says} Train on a smaller --side, or on a device with more memory."
    return f"{says} Try {', or '.join(ways)}."
