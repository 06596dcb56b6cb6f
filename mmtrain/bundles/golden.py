"""Golden examples: made-up inputs with what a model gave for them where it was exported.

Whoever computes them again elsewhere sees whether the model still predicts the same. They are drawn from a seed and
from the model card, never from people: a smooth random field inside an ellipsoid stands for a brain.

Volumes are kept at `COARSE_SIDE` voxels or fewer along each edge; each voxel stands for a block of the card's side.
Nothing is interpolated, so every machine sees the same numbers. Of a model that takes samples without some of its
inputs, outputs are kept also of the same examples without each of these.

Legend of shapes: B examples, S the card's side, C the coarse side, E edges.
"""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from safetensors import SafetensorError
from safetensors.numpy import load, save
from scipy import ndimage

from mmbase.checksums import write_checked
from mmbase.files import to_json
from mmbase.json_text import EXACT, Finite
from mmbase.names import CONNECTIVITY, METADATA
from mmdata.volume.geometry import largest_divisor
from mmtrain.bundle import BundleDirectory
from mmtrain.bundles.part import read_part
from mmtrain.errors import TrainError
from mmtrain.models.card import ModelCard
from mmtrain.models.trained import TrainedModel
from mmtrain.run import environment
from mmtrain.targets.protocol import TargetKind
from mmtrain.unchanged import require_unchanged

GOLDEN_VERSION = 1
NUM_EXAMPLES = 4
COARSE_SIDE = 32
TOLERANCE = 1e-4
"""Largest difference, as a share of the target's scale, with which a model counts as predicting the same."""
_SEED = 14
_RADII = (0.62, 0.78, 0.65)
"""Of the ellipsoid, along R, A, S, as shares of half the grid: the proportions of a brain."""
_DARKEST, _BRIGHTEST = 40, 255
_VOLUME, _FEATURE, _EDGES = "volume.", "feature.", "connectivity"


@dataclass(frozen=True, kw_only=True, slots=True)
class GoldenInputs:
    """The inputs of `NUM_EXAMPLES` examples."""

    coarse: Mapping[str, NDArray[np.uint8]]
    """Modality to volumes, shape (B, C, C, C)."""
    connectivity: NDArray[np.float16] | None
    """Shape (B, E), from -1 to 1."""
    features: Mapping[str, NDArray[np.float64]]
    """Shown feature to values, shape (B,), in its own unit; NaN where missing."""

    def first(self, num: int) -> "GoldenInputs":
        """Return some of the examples."""
        return GoldenInputs(
            coarse={name: volumes[:num] for name, volumes in self.coarse.items()},
            connectivity=None if self.connectivity is None else self.connectivity[:num],
            features={name: values[:num] for name, values in self.features.items()},
        )

    def lacking(self, name: str) -> "GoldenInputs":
        """Return the examples without one of their inputs."""
        return GoldenInputs(
            coarse={modality: volumes for modality, volumes in self.coarse.items() if modality != name},
            connectivity=None if name == CONNECTIVITY else self.connectivity,
            features={} if name == METADATA else self.features,
        )

    def of_side(self, side: int) -> dict[str, Any]:
        """Return the arguments of `TrainedModel.predict`, volumes with a side of so many voxels."""
        return {
            "volumes": {name: _enlarge(volumes, side) for name, volumes in self.coarse.items()},
            "connectivity": self.connectivity,
            "features": dict(self.features),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class GoldenOutputs:
    """What a model gave for the golden inputs, and where."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    predictions: dict[str, list[Finite]]
    """Target to the prediction of each example: in its unit, or the probability of class 1."""
    scales: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    """Target to what differences are compared with: the width of its scaling, 1 for probabilities."""
    versions: dict[str, str]
    """Of the program and the libraries that computed."""
    machine: str
    """Its kind of processor, e.g. x86_64."""
    device: str
    """Kind of device that computed, e.g. cpu."""
    lacking: dict[str, dict[str, list[Finite]]] = field(default_factory=dict)
    """Input to the predictions for the examples without it; of each that a sample may lack."""
    schema_version: int = GOLDEN_VERSION

    def first(self, num: int) -> "GoldenOutputs":
        """Return those of some of the examples, with all their inputs."""
        predictions = {name: values[:num] for name, values in self.predictions.items()}
        return replace(self, predictions=predictions, lacking={})


def draw_inputs(card: ModelCard) -> GoldenInputs:
    """Return examples for a model, the same for equal cards.

    Features lie at the training mean, or a standard deviation off it. Of standardised features, which have a column
    for gaps, one value in eight is missing. Where the mean is not known, 0 stands for it.
    """
    rng = np.random.default_rng(_SEED)
    shape, scaler = card.shape, card.features
    side = largest_divisor(shape.side, COARSE_SIDE)
    coarse = {name: np.stack([_draw_volume(rng, side) for _ in range(NUM_EXAMPLES)]) for name in shape.volumes}
    edges = rng.normal(0.0, 0.3, (NUM_EXAMPLES, shape.num_edges)).clip(-1.0, 1.0).astype(np.float16)
    features: dict[str, NDArray[np.float64]] = {}
    for name, mean, std, is_shown in zip(scaler.names, scaler.means, scaler.stds, scaler.shown, strict=True):
        values = (mean or 0.0) + std * rng.integers(-1, 2, NUM_EXAMPLES).astype(np.float64)
        gaps = rng.random(NUM_EXAMPLES) < 0.125
        if is_shown and shape.num_features:
            features[name] = np.where(gaps, np.nan, values) if scaler.scaling == "standardised" else values
    return GoldenInputs(coarse=coarse, connectivity=edges if shape.num_edges else None, features=features)


def compute_outputs(model: TrainedModel, inputs: GoldenInputs) -> GoldenOutputs:
    """Return what a model gives for golden inputs on this machine.

    Raises
    ------
    TrainError
        It gives something that is no number, or cannot take the inputs.
    """
    predicted = _predict(model, inputs)
    without = {name: _predict(model, inputs.lacking(name)) for name in _may_lack(model.card)}
    of_each = [predicted, *without.values()]
    if broken := [name for name in predicted if not all(np.isfinite(values[name]).all() for values in of_each)]:
        raise TrainError(
            f"For made-up inputs the model predicts no number for {', '.join(broken)}, so it cannot be passed on.",
            "Its weights are likely to hold numbers that are not finite. Train it again.",
        )
    kinds = dict(zip(model.card.fitted.names, model.card.fitted.kinds, strict=True))
    return GoldenOutputs(
        predictions=_listed(predicted),
        scales={name: _scale(kinds[name], values) for name, values in predicted.items()},
        versions=environment(),
        machine=platform.machine(),
        device=model.device.type,
        lacking={name: _listed(values) for name, values in without.items()},
    )


def compare_outputs(model: TrainedModel, inputs: GoldenInputs, expected: GoldenOutputs) -> dict[str, float]:
    """Compute golden outputs again on this machine; return the largest differences, as `largest_differences` does.

    Raises
    ------
    TrainError
        The model cannot take the inputs.
    """
    found = [largest_differences(expected, _predict(model, inputs))]
    for name, predictions in expected.lacking.items():
        without = replace(expected, predictions=predictions)
        found.append(largest_differences(without, _predict(model, inputs.lacking(name))))
    return {target: max(differences[target] for differences in found) for target in expected.predictions}


def largest_differences(expected: GoldenOutputs, got: Mapping[str, Any]) -> dict[str, float]:
    """Return for each target the largest difference over all examples, as a share of the target's scale.

    Infinity stands for predictions that are missing, or no numbers.
    """
    differences = {}
    for name, values in expected.predictions.items():
        found = np.asarray(got.get(name, ()), np.float64)
        is_whole = found.shape == (len(values),) and bool(np.isfinite(found).all())
        difference = float(np.abs(found - values).max()) if is_whole else np.inf
        differences[name] = difference / expected.scales[name]
    return differences


def write_golden(bundle: BundleDirectory, inputs: GoldenInputs, outputs: GoldenOutputs) -> None:
    """Write both files of the golden examples."""
    bundle.golden_inputs.parent.mkdir(exist_ok=True)
    tensors: dict[str, NDArray[Any]] = {_VOLUME + name: volumes for name, volumes in inputs.coarse.items()}
    tensors |= {_FEATURE + name: values for name, values in inputs.features.items()}
    if inputs.connectivity is not None:
        tensors[_EDGES] = inputs.connectivity
    write_checked(bundle.golden_inputs, save(tensors))
    write_checked(bundle.golden_outputs, to_json(asdict(outputs)))


def read_golden(bundle: BundleDirectory) -> tuple[GoldenInputs, GoldenOutputs]:
    """Read the golden examples of a bundle.

    Raises
    ------
    TrainError
        There are none, they are damaged, or a newer version of this program wrote them.
    """
    outputs = read_part(bundle.golden_outputs, GoldenOutputs, GOLDEN_VERSION)
    targets = outputs.predictions.keys()
    if outputs.scales.keys() != targets or any(found.keys() != targets for found in outputs.lacking.values()):
        raise TrainError("outputs.json is damaged (its targets differ).", "Get another copy of the bundle.")
    require_unchanged(bundle.golden_inputs)
    try:
        tensors = load(bundle.golden_inputs.read_bytes())
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:  # also a type that NumPy has not got
        raise TrainError(
            f"{bundle.golden_inputs.name} cannot be read ({type(error).__name__}).", "Get another copy of the bundle."
        ) from error
    return _inputs_of(tensors), outputs


def _inputs_of(tensors: Mapping[str, NDArray[Any]]) -> GoldenInputs:
    def named(prefix: str) -> dict[str, NDArray[Any]]:
        return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}

    return GoldenInputs(coarse=named(_VOLUME), connectivity=tensors.get(_EDGES), features=named(_FEATURE))


def _may_lack(card: ModelCard) -> tuple[str, ...]:
    """Return the inputs that examples can lack; there has to be another."""
    inputs = card.shape.inputs
    return tuple(name for name in inputs if name in card.optional_inputs and len(inputs) > 1)


def _predict(model: TrainedModel, inputs: GoldenInputs) -> dict[str, NDArray[np.float64]]:
    return model.predict(**inputs.of_side(model.card.shape.side))


def _listed(predicted: Mapping[str, NDArray[np.float64]]) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in predicted.items()}


def _draw_volume(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Draw a smooth random field inside an ellipsoid, 0 outside, shape (C, C, C)."""
    field = ndimage.gaussian_filter(rng.standard_normal((side, side, side)), sigma=max(1.0, side / 10))
    low, high = field.min(), field.max()
    values = _DARKEST + (_BRIGHTEST - _DARKEST) * (field - low) / (high - low if high > low else 1.0)
    centres = (np.arange(side) + 0.5) / side * 2 - 1
    distances = np.meshgrid(*(centres / radius for radius in _RADII), indexing="ij")
    inside = sum(distance**2 for distance in distances) <= 1
    return np.where(inside, values.round(), 0).astype(np.uint8)


def _enlarge(coarse_BCCC: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Repeat every voxel so that volumes have a side, shape (B, S, S, S)."""
    for axis in (1, 2, 3):
        coarse_BCCC = coarse_BCCC.repeat(side // max(1, coarse_BCCC.shape[axis]), axis=axis)
    return coarse_BCCC


def _scale(kind: TargetKind, values: NDArray[np.float64]) -> float:
    """Return what differences of a target are compared with."""
    if kind.classes(np.empty(0)) is not None:
        return 1.0
    scaling = kind.to_json() or {}
    if {"low", "high"} <= scaling.keys():
        return scaling["high"] - scaling["low"]
    return float(np.abs(values).max()) or 1.0
