"""The learning rate as a pure function of how far training has come."""

import math

from mmtrain.config.optimisation import Schedule


def learning_rate(schedule: Schedule, peak: float, *, epoch: float, epochs: int, warmup_epochs: float) -> float:
    """Return the learning rate of one step.

    Parameters
    ----------
    peak
        After the warm-up.
    epoch
        How far training has come, in epochs from 0, with the fraction of the one that runs.
    epochs
        At which ``cosine`` and ``linear`` arrive at 0.
    warmup_epochs
        Over which the rate rises evenly from a small part of the peak, so that the first steps, taken from random
        weights, do no harm.

    >>> [learning_rate("linear", 1.0, epoch=e, epochs=10, warmup_epochs=2) for e in (1, 2, 6)]
    [0.5, 1.0, 0.5]
    """
    if epoch < warmup_epochs:
        return peak * max(epoch, 0.01 * warmup_epochs) / warmup_epochs
    share = min(1.0, (epoch - warmup_epochs) / max(epochs - warmup_epochs, 1e-9))
    match schedule:
        case "constant":
            return peak
        case "cosine":
            return peak * 0.5 * (1 + math.cos(math.pi * share))
        case "linear":
            return peak * (1 - share)
