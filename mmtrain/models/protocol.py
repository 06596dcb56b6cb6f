"""What a network is to the trainer.

Legend of shapes: B batch, C channels, X Y Z voxels, E edges, F features, K outputs, N samples, I inputs of
`NetworkShape.inputs`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from mmbase.names import CONNECTIVITY, INPUTS, METADATA
from mmtrain.config.data import FeatureScaling, Regression
from mmtrain.config.model import ModelConfig
from mmtrain.models.samples import Samples
from mmtrain.targets.several import Targets


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkShape:
    """What goes into a network and what comes out of it."""

    volumes: tuple[str, ...]
    """Modalities of the volumes, in the order of their channels; empty: no volumes."""
    side: int
    """Edge length of the volumes, in voxels."""
    num_edges: int = 0
    """Of connectivity; 0: not an input."""
    num_features: int = 0
    """Columns that tabular features are scaled to; 0: not an input."""
    num_outputs: int
    """Outputs of all targets together."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """What else the network depends on: settings by the names of `ModelConfig`, and sizes that a fit has found."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the inputs in the order of what says which of them are given: each volume, connectivity, metadata."""
        others = {CONNECTIVITY: self.num_edges, METADATA: self.num_features}
        return (*self.volumes, *(name for name, size in others.items() if size))


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A network that was fitted at once."""

    shape: NetworkShape
    """That `Architecture.build` makes a network like it of."""
    network: nn.Module
    outputs_NK: torch.Tensor
    """What it returns of the training samples, up to rounding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitting:
    """How a network is fitted to all training samples at once, by one process, where no gradient steps are needed."""

    fit: Callable[[NetworkShape, Samples, Samples, Targets, int], Fitted]
    """Return the network fitted on the training samples.

    What the training samples do not decide, such as a penalty, the validation samples choose. The last argument is a
    seed.
    """
    outputs: Callable[[nn.Module, Samples], torch.Tensor]
    """Return what a fitted network returns of samples, shape (N, K): the same as it returns of their inputs."""
    reads_inputs: bool = True
    """Whether samples have parts; else they have labels alone."""
    memory_bytes: Callable[[NetworkShape, int, int], int]
    """Return the most memory that the fit takes for so many training and so many other samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trunk:
    """The part of a network that turns volumes into embeddings (B, D), and can be that of another run."""

    part: str
    """Its name within the network, which is how the names of its weights begin."""
    build_head: Callable[[NetworkShape], nn.Module]
    """Return the network without it, with random weights; it takes `embeddings_BD` in place of volumes."""


def _any_shape(shape: NetworkShape) -> NetworkShape:
    return shape


def _as_it_is(_: nn.Module, __: torch.memory_format) -> None:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A network that can be chosen by name.

    Its module is called with volumes (B, C, X, Y, Z) from -1, the background, to 1, edges (B, E) and features (B, F),
    each None where it is not an input, and returns (B, K). One that has the setting `modality_dropout` takes, as
    `given_BI`, which of `NetworkShape.inputs` each sample has: booleans (B, I), None where all have all. The values of
    an input that a sample does not have must not matter to its outputs in evaluation. Where no sample has any volume,
    or connectivity, or features, that part may be None too.

    Dropout and batch norm are PyTorch's own modules: the trainer replaces them by ones that give the same result on any
    number of ranks.
    """

    build: Callable[[NetworkShape], nn.Module]
    """Return the module with random weights."""
    inputs: tuple[str, ...] = INPUTS
    """What it can be trained on."""
    feature_scalings: tuple[FeatureScaling, ...] = ("standardised", "raw")
    """How it can take tabular features."""
    regression: Regression = "value"
    """How it learns continuous targets where a run does not say."""
    settings: tuple[str, ...] = ()
    """Those of `ModelConfig` that it has."""
    complete: Callable[[NetworkShape], NetworkShape] = _any_shape
    """Return the shape with parameters that were left out; raises a TrainError for a shape that it cannot have."""
    arrange: Callable[[nn.Module, torch.memory_format], None] = _as_it_is
    """Let volumes lie in a memory format within the network, and weights so that they compute fastest with it."""
    trunk: Trunk | None = None
    """What `--trunk` takes from another run; the module then takes, as `embeddings_BD`, what that has made of the
    volumes, which are None. None: the network has no such part."""
    penalty: Callable[[nn.Module, ModelConfig], torch.Tensor] | None = None
    """Return what is added to the loss of each step."""
    has_gradients: bool = True
    """Whether outputs change smoothly with the inputs, so that their gradients say something; trees have none."""
    fit: Fitting | None = None
    """How it is fitted at once, where no gradient steps are needed; None: it learns in epochs."""
