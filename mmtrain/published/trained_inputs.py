"""What a checkpoint was trained on, as its weights tell.

All four blocks are in every checkpoint, and the imaging network has all three channels. Two signs tell which were used.

- Batch norm counts the training batches that it has seen. In a block that was not an input it has seen none.
- The first convolution's weights for a channel of zeros get no gradient but the penalty's, and fade. Their RMS is
  compared with the RMS of PyTorch's first weights. A tenth or less: the channel was not there. A half or more: it was,
  provided that training was long enough for an absent one to fade to a quarter. Everything else is unclear.

How an absent channel fades follows from the published settings. The penalty ``p mean(w^2)`` of a tensor of n weights
has the gradient ``k w`` with ``k = 2 p / n``. Where its two means follow, Adam steps by ``lr k w / (k w + eps)``. So
from w to ``f w`` it takes ``(eps ln(1/f) + k w (1 - f)) / (lr k)`` steps: at the published widths 2,300 to a quarter,
or eight epochs of 19,000 participants. In truth the mean of squares lags, and a little more than a quarter is left
then, two fifths in a network of two channels; both are less than the half that counts as kept. Another learning rate
or penalty makes another time, which the weights do not tell.

Which columns of metadata were shown cannot be told so: a raw column with large values is made small by training too.

A checkpoint that mm wrote of a run of its own names its inputs, for its weights cannot tell: its counters are those of
the last pass over the training batches, by which the moments were measured. That decides what is unclear, and nothing
else.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from mmbase.names import CONNECTIVITY, INPUTS, METADATA
from mmtrain.published.checkpoint import CHANNELS

Evidence = Literal["trained", "untrained", "unclear"]
LEARNING_RATE, PENALTY, ADAM_EPS = 1e-4, 1e-4, 1e-8
"""Of the published training; the last is PyTorch's default."""
FADED_SHARE, KEPT_SHARE, ABSENT_SHARE = 0.1, 0.5, 0.25
"""Of the RMS of first weights: at most, a channel was absent; at least, it was present; and to which an absent one
must have had the time to fade."""
_FIRST = "cnn.conv_layers.0.weight"
_COUNTER = ".num_batches_tracked"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedInputs:
    """What a checkpoint was trained on."""

    evidence: Mapping[str, Evidence]
    """Every input, in the order of `mmbase.names.INPUTS`, to what the weights say of it."""
    steps: int
    """Training batches that the head has seen; of a checkpoint that was restored, since the first."""

    def of(self, evidence: Evidence) -> tuple[str, ...]:
        """Return the inputs of which the weights say so."""
        return tuple(name for name, said in self.evidence.items() if said == evidence)


def find_trained_inputs(tensors: Mapping[str, torch.Tensor], named: Collection[str] = ()) -> TrainedInputs:
    """Return what a checkpoint was trained on.

    Parameters
    ----------
    tensors
        As `mmtrain.published.checkpoint.PublishedCheckpoint` has them.
    named
        Inputs that the file names; none where it does not say.
    """
    imaging = _of_block(tensors, "cnn")
    steps = _steps(tensors, "cnn")
    said: dict[str, Evidence] = {
        **{
            name: _of_channel(tensors[_FIRST][:, c], imaging, steps, tensors[_FIRST]) for c, name in enumerate(CHANNELS)
        },
        CONNECTIVITY: _of_block(tensors, "mlp_connectivity"),
        METADATA: _of_block(tensors, "mlp_metadata"),
    }
    evidence = {name: _decide(name, said[name], named) for name in INPUTS if name in said}
    return TrainedInputs(evidence=evidence, steps=_steps(tensors, "mlp_logits"))


def steps_to_fade(num_weights: int, first: float, share: float) -> float:
    """Return how many steps of the published training an unused weight takes to fade to a share.

    Parameters
    ----------
    num_weights
        Of the tensor that it belongs to.
    first
        What it was at first.

    Examples
    --------
    >>> round(steps_to_fade(32 * 3 * 27, 0.064, 0.25))
    2277
    """
    pull = 2 * PENALTY / num_weights
    return (ADAM_EPS * math.log(1 / share) + pull * first * (1 - share)) / (LEARNING_RATE * pull)


def _decide(name: str, said: Evidence, named: Collection[str]) -> Evidence:
    """Return what is known of an input; what the file names decides where the weights do not say.

    Weights that look trained although the file does not name the input say nothing: they may be those of the start.
    """
    if not named or said == "untrained":
        return said
    if said == "trained":
        return "trained" if name in named else "unclear"
    return "trained" if name in named else "untrained"


def _of_channel(weights: torch.Tensor, imaging: Evidence, steps: int, tensor: torch.Tensor) -> Evidence:
    """Return what one channel's weights of the first convolution say."""
    if imaging != "trained":
        return imaging
    first = 1 / math.sqrt(3 * tensor[0].numel())  # uniform within 1 / sqrt(fan in)
    share = float(weights.double().square().mean().sqrt()) / first
    if share <= FADED_SHARE:
        return "untrained"
    is_long_enough = steps >= steps_to_fade(tensor.numel(), first, ABSENT_SHARE)
    return "trained" if share >= KEPT_SHARE and is_long_enough else "unclear"


def _of_block(tensors: Mapping[str, torch.Tensor], block: str) -> Evidence:
    counts = _counts(tensors, block)
    return "trained" if min(counts) > 0 else "untrained" if max(counts) == 0 else "unclear"


def _steps(tensors: Mapping[str, torch.Tensor], block: str) -> int:
    return min(_counts(tensors, block))


def _counts(tensors: Mapping[str, torch.Tensor], block: str) -> list[int]:
    return [int(x) for name, x in tensors.items() if name.startswith(f"{block}.") and name.endswith(_COUNTER)]
