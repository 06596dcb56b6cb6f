"""Explain batches of one model by one method."""

from dataclasses import dataclass
from typing import Literal, get_args

from mmtrain.errors import TrainError
from mmtrain.explain.attribution import Attribution
from mmtrain.explain.gradients import integrate_gradients
from mmtrain.explain.inputs import Inputs
from mmtrain.explain.occlusion import occlude
from mmtrain.explain.scalar import TargetScalar
from mmtrain.models.card import ModelCard
from mmtrain.models.protocol import NetworkShape
from mmtrain.models.registry import load_architecture
from mmtrain.models.trained import TrainedModel

Method = Literal["integrated-gradients", "occlusion"]
METHODS: tuple[Method, ...] = get_args(Method)
DEFAULT_STEPS = 32
CUBES_ALONG = 8
"""Cubes along an edge of the volume unless another size is asked for: 24 mm each on the default grid."""
PASS_VOXELS = 1 << 20
"""Of one volume modality in one pass through the network: 32 samples at side 32, 4 at side 64, 1 at side 128."""
PASS_SAMPLES = 256
"""In one pass where there are no volumes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainSettings:
    """How a model is explained."""

    method: Method = "integrated-gradients"
    steps: int = DEFAULT_STEPS
    """Points of the quadrature of integrated gradients."""
    cube: int | None = None
    """Edge length in voxels of the cubes of occlusion; None: an eighth of the volume's."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise TrainError(f"Expected the method to be {' or '.join(METHODS)}, got {self.method!r}.")
        if self.steps < 2 or (self.cube is not None and self.cube < 1):
            raise TrainError(f"Expected at least 2 steps and cubes of at least 1 voxel, got {self.steps}, {self.cube}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Explainer:
    """A model with what it is explained by."""

    model: TrainedModel
    target: int
    """Its index."""
    baseline: Inputs
    """A batch of one."""
    settings: ExplainSettings

    @property
    def batch_size(self) -> int:
        """Return how many samples to explain at once: as many as fill one pass through the network."""
        size = pass_size(self.model.card.shape)
        return max(1, size // self.settings.steps) if self.settings.method == "integrated-gradients" else 1

    @property
    def cube(self) -> int:
        """Return the edge length of the cubes of occlusion, in voxels."""
        return self.settings.cube or max(1, self.model.card.shape.side // CUBES_ALONG)

    def explain(self, inputs: Inputs) -> Attribution:
        """Explain a batch."""
        scalar = TargetScalar(self.model, self.target, inputs)
        scaler, size = self.model.card.features, pass_size(self.model.card.shape)
        if self.settings.method == "occlusion":
            return occlude(scalar, inputs, self.baseline, scaler, cube=self.cube, pass_size=size)
        steps = self.settings.steps
        return integrate_gradients(scalar, inputs, self.baseline, scaler, steps=steps, pass_size=size)


def require_explainable(card: ModelCard, settings: ExplainSettings) -> None:
    """Refuse a wiring check, and gradients of a model that has none.

    Raises
    ------
    TrainError
        Says what to do.
    """
    if card.trained_on.get("diagnostic"):
        raise TrainError("This run is a wiring check: its inputs were the labels, so there is nothing to explain.")
    if settings.method == "integrated-gradients" and not load_architecture(card.network).has_gradients:
        raise TrainError(
            f"The model {card.network} has no gradients: it answers in steps, and gradients would be 0 everywhere.",
            "Give --method occlusion.",
        )


def find_target(card: ModelCard, name: str | None) -> int:
    """Return the index of a target.

    Raises
    ------
    TrainError
        There is none of that name, or several and none was named.
    """
    names = [target.name for target in card.targets]
    if name is None and len(names) == 1:
        return 0
    if name not in names:
        got = "none" if name is None else name
        raise TrainError(f"Expected one of the model's targets, {', '.join(names)}, got {got}.", "Give it as --target.")
    return names.index(name)


def pass_size(shape: NetworkShape) -> int:
    """Return how many samples go through a network at once, so that memory is bounded.

    >>> pass_size(NetworkShape(volumes=("t1",), side=64, num_outputs=1))
    4
    """
    return max(1, PASS_VOXELS // shape.side**3) if shape.volumes else PASS_SAMPLES
