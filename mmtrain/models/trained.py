"""A trained model that predicts from arrays, with no study, cohort or catalogue at hand.

Legend of shapes: B batch, S side in voxels, E edges, T targets.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import nn

from mmbase.names import CONNECTIVITY, METADATA
from mmtrain.algorithms import allow_tf32
from mmtrain.bundle import BundleDirectory
from mmtrain.checkpoint import load_weights
from mmtrain.data.intensity import scale_volumes
from mmtrain.data.scaling import FeatureScaler
from mmtrain.errors import TrainError
from mmtrain.models.card import ModelCard, read_card
from mmtrain.models.registry import build_network, load_architecture
from mmtrain.precision import arithmetic_of, computing_in, memory_format, parameter_dtype
from mmtrain.unchanged import require_unchanged

_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A network with its card, in evaluation mode."""

    card: ModelCard
    network: nn.Module
    device: torch.device
    dtype: torch.dtype
    """Of the arithmetic."""

    @torch.inference_mode()
    def predict(
        self,
        volumes: Mapping[str, NDArray[Any]] | None = None,
        connectivity: NDArray[Any] | None = None,
        features: Mapping[str, Sequence[float] | NDArray[Any]] | None = None,
    ) -> dict[str, NDArray[np.float64]]:
        """Predict every target of a batch.

        Any of `card.optional_inputs` may be left out, though not all inputs: volumes one by one, features together.

        Parameters
        ----------
        volumes
            Modality to an array (B, S, S, S) on the grid of `card.stores`, clamped and skull-stripped: integers as
            they are stored, or floats from 0, the background, to 1.
        connectivity
            Shape (B, E), as stored.
        features
            Name to values of shape (B,), in their own unit, NaN where missing; those of `card.features` that are shown.

        Returns
        -------
        dict
            Target to values of shape (B,), in its unit, or probabilities of class 1.

        Raises
        ------
        TrainError
            An input is missing, is not one of this model's, or has another shape.
        """
        tensors = self.network_inputs(volumes, connectivity, features)
        given = [*(volumes or {}), *[CONNECTIVITY] * (connectivity is not None), *[METADATA] * bool(features)]
        num_samples = next(len(part) for part in tensors if part is not None)
        presence = self._presence(given, num_samples)
        dtype = parameter_dtype(self.dtype)
        with computing_in(self.dtype, self.device):
            outputs = self.network(*tensors, **presence).to(dtype).double().cpu().numpy()
        return dict(zip(self.card.fitted.names, self.card.fitted.predictions(outputs).T, strict=True))

    def network_inputs(
        self,
        volumes: Mapping[str, NDArray[Any]] | None = None,
        connectivity: NDArray[Any] | None = None,
        features: Mapping[str, Sequence[float] | NDArray[Any]] | None = None,
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        """Return volumes, edges and features as the network takes them, on its device; None where it has no such input.

        Parameters and errors are those of `predict`.
        """
        given = (
            self._volumes({name: _native(array) for name, array in (volumes or {}).items()}),
            self._edges(None if connectivity is None else _native(connectivity)),
            self._features(features or {}),
        )
        if all(part is None for part in given):
            raise TrainError(f"Expected one of the inputs {', '.join(self.card.shape.inputs)} at least, got none.")
        dtype = parameter_dtype(self.dtype)
        tensors = (None if part is None else part.to(self.device, dtype) for part in given)
        volumes_BCXYZ, edges_BE, features_BF = tensors
        _require_equal_lengths([part for part in (volumes_BCXYZ, edges_BE, features_BF) if part is not None])
        return volumes_BCXYZ, edges_BE, features_BF

    def _presence(self, given: Collection[str], num_samples: int) -> dict[str, torch.Tensor]:
        """Return what tells the network which inputs a batch has; nothing where it has all, which any network takes."""
        inputs = self.card.shape.inputs
        if set(inputs) == set(given):
            return {}
        is_given = torch.tensor([name in given for name in inputs], device=self.device)
        return {"given_BI": is_given.expand(num_samples, -1)}

    def _volumes(self, volumes: Mapping[str, NDArray[Any]]) -> torch.Tensor | None:
        shape = self.card.shape
        self._require_names("volumes", volumes, shape.volumes)
        if not volumes:
            return None
        for name, array in volumes.items():
            _require_shape(name, array, (shape.side,) * 3)
            _require_fractions(name, array)
        channels = {
            name: scale_volumes(torch.from_numpy(array), torch.empty(array.shape), self.card.volume_scaling)
            for name, array in volumes.items()
        }
        _require_equal_lengths(list(channels.values()))
        absent = torch.zeros_like(next(iter(channels.values())))
        return torch.stack([channels.get(name, absent) for name in shape.volumes], dim=1)

    def _edges(self, connectivity: NDArray[Any] | None) -> torch.Tensor | None:
        num_edges = self.card.shape.num_edges
        self._require_names("inputs", [CONNECTIVITY] * (connectivity is not None), [CONNECTIVITY] * bool(num_edges))
        if connectivity is None:
            return None
        _require_shape(CONNECTIVITY, connectivity, (num_edges,))
        if not np.isfinite(connectivity).all():
            raise TrainError("Expected finite numbers in connectivity, got NaN or infinity.")
        return torch.from_numpy(connectivity)

    def _features(self, features: Mapping[str, Any]) -> torch.Tensor | None:
        if not self.card.shape.num_features:
            self._require_names("features", features, ())
            return None
        if not features and METADATA in self.card.optional_inputs:
            return None
        scaler = self.card.features
        shown = scaler.shown_names
        self._require_names("features", [name for name in features if name not in scaler.names or name in shown], shown)
        columns = {name: np.asarray(features[name], np.float64) for name in shown}
        for name, column in columns.items():
            _require_shape(name, column, ())
        _require_equal_lengths(list(columns.values()))
        unseen = np.full(len(columns[shown[0]]), np.nan)
        features_NF = np.stack([columns.get(name, unseen) for name in scaler.names], axis=1)
        _require_filled(scaler, features_NF)
        return torch.from_numpy(scaler.scale(features_NF))

    def _require_names(self, what: str, given: Collection[str], wanted: Collection[str]) -> None:
        """Refuse names that are no inputs, and the lack of those that are not optional."""
        optional = self.card.optional_inputs
        if {name for name in wanted if name not in optional} <= set(given) <= set(wanted):
            return
        raise TrainError(
            f"Expected the {what} {', '.join(wanted) or 'none'}, got {', '.join(given) or 'none'}.",
            "A model needs all that it was trained on, and takes nothing else."
            + f" This one can do without {', '.join(optional)}." * bool(optional),
        )


def load_model(run: Path, device: torch.device = _CPU, dtype: torch.dtype = torch.float32) -> TrainedModel:
    """Load the model of a run or a bundle.

    Parameters
    ----------
    run
        The directory, with model.json and model.safetensors.
    device, dtype
        Where and in what to compute: float32, float64, bfloat16 or float16.

    Raises
    ------
    TrainError
        There is no card or no weights, one is not as it was written, or the two do not fit each other.
    """
    model = model_of_card(read_model_card(run), device, dtype)
    load_weights(BundleDirectory(run).model, model.network)
    return model


def read_model_card(run: Path) -> ModelCard:
    """Read the card of a run's or a bundle's model, and make sure that the weights beside it are those it describes.

    Raises
    ------
    TrainError
        As `load_model`.
    """
    directory = BundleDirectory(run)
    require_unchanged(directory.model)
    shapes = _read_shapes(directory.model)
    card = read_card(directory.model_card, shapes)
    if _described_shapes(card, directory) != shapes:  # before any memory is taken for what a damaged card describes
        raise TrainError(
            f"The weights {directory.model} are not those of its model card.",
            "Put both back from a backup, or train the model again.",
        )
    return card


def model_of_card(card: ModelCard, device: torch.device, dtype: torch.dtype) -> TrainedModel:
    """Return a model with random weights; from now on float32 is not rounded to TF32 in this process."""
    allow_tf32(False)
    layout = memory_format(arithmetic_of(dtype), device)
    network = build_network(card.network, card.shape, device, parameter_dtype(dtype), layout)
    return TrainedModel(card, network.eval(), device, dtype)


def _native(array: Any) -> NDArray[Any]:
    """Return numbers as PyTorch takes them: in C order, in this machine's byte order, in memory of their own."""
    numbers = np.asarray(array)
    return np.array(numbers, dtype=numbers.dtype.newbyteorder("="), order="C")


def _read_shapes(weights: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(weights, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise TrainError(f"The weights {weights} cannot be read: {error}.") from error


def _described_shapes(card: ModelCard, directory: BundleDirectory) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of the network that a card describes."""
    try:
        with torch.device("meta"):
            network = load_architecture(card.network).build(card.shape)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise TrainError(
            f"The model card {directory.model_card} describes no network that can be built.",
            "Put it back from a backup, or train the model again.",
        ) from error
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _require_equal_lengths(parts: Sequence[Any]) -> None:
    """Refuse inputs of different numbers of samples."""
    if len(lengths := {len(part) for part in parts}) > 1:
        raise TrainError(f"Expected all inputs to have the same number of samples, got {sorted(lengths)}.")


def _require_shape(name: str, array: NDArray[Any], of_sample: tuple[int, ...]) -> None:
    if array.ndim != 1 + len(of_sample) or array.shape[1:] != of_sample:
        expected = f"(B{''.join(f', {size}' for size in of_sample)})"
        raise TrainError(f"Expected {name} of shape {expected}, got {array.shape}.")


def _require_fractions(name: str, volumes: NDArray[Any]) -> None:
    """Refuse intensities that are not what stores hold; a network would make something of any number."""
    if volumes.dtype.kind == "u" or (volumes.dtype.kind == "f" and ((volumes >= 0) & (volumes <= 1)).all()):
        return
    raise TrainError(
        f"Expected {name} as unsigned integers over the whole range of their type, or as floats from 0 to 1, got "
        f"{volumes.dtype} from {volumes.min():g} to {volumes.max():g}."
    )


def _require_filled(scaler: FeatureScaler, features_NF: NDArray[np.float64]) -> None:
    """Refuse a gap where it is not known what was put in its place in training."""
    gaps_NF = scaler.unfilled(features_NF)
    if gaps_NF.any():
        lacking = [name for name, gaps in zip(scaler.names, gaps_NF.T, strict=True) if gaps.any()]
        raise TrainError(
            f"A sample lacks {', '.join(lacking)}, and it is not known what stood for a missing value in training.",
            "Leave out samples that lack one, or give the value.",
        )
