"""The model card: everything beside the weights that is needed to predict from arrays, and what a model was trained on.

It names no person. `write_card` and `read_card` are the two ends of model.json.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mmbase.checksums import write_checked
from mmbase.files import to_json
from mmbase.json_text import Count, parse_content, read_json
from mmbase.names import CONNECTIVITY, METADATA, VOLUME_MODALITIES
from mmtrain.config.data import FeatureScaling, TargetConfig, VolumeScaling
from mmtrain.data.scaling import FeatureScaler
from mmtrain.errors import TrainError
from mmtrain.models.protocol import NetworkShape
from mmtrain.targets.registry import load_kind
from mmtrain.targets.several import Targets
from mmtrain.unchanged import require_unchanged

CARD_VERSION = 4
"""Version 1 lacks the network's name and the sizes of its inputs, which the weights tell. Versions 1 and 2 lack how
volumes and tabular features are scaled: there was one way of each. Versions before 4 lack which inputs may be missing:
none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """What the weights expect as input and what their output means."""

    network: str
    """A name of `mmtrain.models.registry`."""
    shape: NetworkShape
    targets: tuple[TargetConfig, ...]
    fitted: Targets
    """How outputs are scaled, in the order of `targets`."""
    inputs: tuple[str, ...]
    """As they were asked for."""
    optional_inputs: tuple[str, ...] = ()
    """Those of `inputs` that a sample may lack."""
    features: FeatureScaler
    """Tabular features in the order of the network's columns; none where metadata is not an input."""
    volume_scaling: VolumeScaling = "stored"
    """What is done to volumes as they are read."""
    stores: Mapping[str, Mapping[str, Any]]
    """Modality to the attributes of the array that it was trained on: affine, space, intensity."""
    trained_on: Mapping[str, Any]
    """Number of samples of each split, the split, the augmented copies, the seed."""
    versions: Mapping[str, str]
    """Of the program and the libraries that computed."""

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain values, for `parse_card`."""
        shape = asdict(self.shape)
        return {
            "schema_version": CARD_VERSION,
            "target": ",".join(target.name for target in self.targets),
            "inputs": list(self.inputs),
            "optional_inputs": list(self.optional_inputs),
            "network": {"name": self.network, **shape.pop("parameters"), **shape, "volumes": list(self.shape.volumes)},
            "targets": [
                {**asdict(target), "scaling": kind.to_json()}
                for target, kind in zip(self.targets, self.fitted.kinds, strict=True)
            ],
            "features": self.features.to_json(),
            "feature_scaling": self.features.scaling,
            "volume_scaling": self.volume_scaling,
            "stores": {modality: dict(attributes) for modality, attributes in self.stores.items()},
            "trained_on": dict(self.trained_on),
            "versions": dict(self.versions),
        }


@dataclass(frozen=True, slots=True)
class _Versioned:
    schema_version: int


@dataclass(frozen=True, slots=True)
class _Network:
    """The sizes of a network; what else a card says of it are its parameters."""

    name: str
    volumes: list[str]
    side: Count
    num_edges: Count
    num_features: Count
    num_outputs: Count


_NETWORK_FIELDS = frozenset(part.name for part in fields(_Network))


@dataclass(frozen=True, slots=True)
class _Target:
    name: str
    kind: str
    unit: str
    scaling: dict[str, float] | None


@dataclass(frozen=True, slots=True)
class _Card:
    """What model.json holds, as far as it is read again."""

    network: dict[str, Any]
    targets: list[_Target]
    inputs: list[str]
    features: list[dict[str, Any]]
    stores: dict[str, dict[str, Any]]
    trained_on: dict[str, Any]
    versions: dict[str, str]
    feature_scaling: FeatureScaling = "standardised"
    volume_scaling: VolumeScaling = "stored"
    optional_inputs: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _NetworkOfVersion1:
    side: int
    channels: list[int]


@dataclass(frozen=True, slots=True)
class _CardOfVersion1:
    network: _NetworkOfVersion1
    target: str
    kind: str
    unit: str
    target_scaling: dict[str, float] | None
    inputs: list[str]
    features: list[dict[str, Any]]
    augmented_copies: Any


def write_card(path: Path, card: ModelCard) -> None:
    """Write a run's model.json, and its checksum."""
    write_checked(path, to_json(card.to_json()))


def read_card(path: Path, weight_shapes: Mapping[str, tuple[int, ...]]) -> ModelCard:
    """Read a run's model.json.

    Parameters
    ----------
    weight_shapes
        Shape of every tensor of the weights beside it; a card of version 1 needs them.

    Raises
    ------
    TrainError
        There is none, it is damaged or changed, or a newer version of this program wrote it.
    """
    require_unchanged(path)
    try:
        content = read_json(path, dict[str, Any])
        version = parse_content(content, _Versioned).schema_version
        if version == 1:
            content = _from_version_1(parse_content(content, _CardOfVersion1), content, weight_shapes)
        elif not 1 < version <= CARD_VERSION:
            raise TrainError(
                f"{path} has schema_version {version}; this mm reads up to {CARD_VERSION}.", "Use a newer mm."
            )
        return parse_card(content)
    except FileNotFoundError as error:
        raise TrainError(f"There is no model card {path}, so it is not known what the weights expect.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # the last three of a kind that others wrote
        raise TrainError(
            f"The model card {path} is damaged ({error}).", "Put it back from a backup, or train the model again."
        ) from error


def parse_card(content: Mapping[str, Any]) -> ModelCard:
    """Return a card from what `ModelCard.to_json` gave.

    Raises
    ------
    ValueError
        It has another shape.
    TrainError
        It has a kind of target that is not known.
    """
    card = parse_content(content, _Card)
    network = parse_content(card.network, _Network)
    return ModelCard(
        network=network.name,
        shape=NetworkShape(
            volumes=tuple(network.volumes),
            side=network.side,
            num_edges=network.num_edges,
            num_features=network.num_features,
            num_outputs=network.num_outputs,
            parameters={name: value for name, value in card.network.items() if name not in _NETWORK_FIELDS},
        ),
        targets=tuple(TargetConfig(name=t.name, kind=t.kind, unit=t.unit) for t in card.targets),
        fitted=Targets(
            names=tuple(target.name for target in card.targets),
            kinds=tuple(load_kind(target.kind).from_json(target.scaling) for target in card.targets),
            shares=(1.0,) * len(card.targets),
        ),
        inputs=tuple(card.inputs),
        optional_inputs=tuple(card.optional_inputs),
        features=FeatureScaler.from_json(card.features, card.feature_scaling),
        volume_scaling=card.volume_scaling,
        stores=card.stores,
        trained_on=card.trained_on,
        versions=card.versions,
    )


def _from_version_1(
    card: _CardOfVersion1, content: Mapping[str, Any], weight_shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Any]:
    """Return what a card of version 2 has from one of version 1, which knew the network fusion and one target alone."""
    edges = weight_shapes.get("mlp_connectivity.dense_layers.0.weight", (0, 0))[1]
    network = {
        "name": "fusion",
        "volumes": [modality for modality in VOLUME_MODALITIES if modality in card.inputs],
        "side": card.network.side,
        "num_edges": edges if CONNECTIVITY in card.inputs else 0,
        "num_features": 2 * len(card.features) if METADATA in card.inputs else 0,
        "num_outputs": load_kind(card.kind).num_outputs,
        "channels": card.network.channels,
    }
    return {
        **content,
        "network": network,
        "targets": [{"name": card.target, "kind": card.kind, "unit": card.unit, "scaling": card.target_scaling}],
        "trained_on": {"augmented_copies": card.augmented_copies},
        "versions": {},
    }
