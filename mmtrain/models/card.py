"""The model card: everything beside the weights that is needed to predict from arrays, and what a model was trained on.

It names no person. `write_card` and `read_card` are the two ends of model.json.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmbase.checksums import write_checked
from mmbase.files import to_json
from mmbase.names import CONNECTIVITY, METADATA, VOLUME_MODALITIES
from mmtrain.config.data import TargetConfig
from mmtrain.data.scaling import FeatureScaler
from mmtrain.errors import TrainError
from mmtrain.models.protocol import NetworkShape
from mmtrain.targets.registry import load_kind
from mmtrain.targets.several import Targets
from mmtrain.unchanged import require_unchanged

CARD_VERSION = 2
"""Version 1 lacks the network's name and the sizes of its inputs, which the weights tell."""


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
    features: FeatureScaler
    """Tabular features in the order of the network's columns; none where metadata is not an input."""
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
            "network": {"name": self.network, **shape.pop("parameters"), **shape, "volumes": list(self.shape.volumes)},
            "targets": [
                {**asdict(target), "scaling": kind.to_json()}
                for target, kind in zip(self.targets, self.fitted.kinds, strict=True)
            ],
            "features": self.features.to_json(),
            "stores": {modality: dict(attributes) for modality, attributes in self.stores.items()},
            "trained_on": dict(self.trained_on),
            "versions": dict(self.versions),
        }


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
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["schema_version"]
        if version == 1:
            content = _from_version_1(content, weight_shapes)
        elif version != CARD_VERSION:
            raise TrainError(
                f"{path} has schema_version {version}; this mm reads up to {CARD_VERSION}.", "Use a newer mm."
            )
        return parse_card(content)
    except FileNotFoundError as error:
        raise TrainError(f"There is no model card {path}, so it is not known what the weights expect.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainError(f"The model card {path} is damaged: {error!r}.") from error


def parse_card(content: Mapping[str, Any]) -> ModelCard:
    """Return a card from what `ModelCard.to_json` gave."""
    network = dict(content["network"])
    sizes = {name: int(network.pop(name)) for name in ("side", "num_edges", "num_features", "num_outputs")}
    name, volumes = str(network.pop("name")), tuple(map(str, network.pop("volumes")))
    targets = content["targets"]
    return ModelCard(
        network=name,
        shape=NetworkShape(volumes=volumes, **sizes, parameters=network),
        targets=tuple(TargetConfig(name=t["name"], kind=t["kind"], unit=t["unit"]) for t in targets),
        fitted=Targets(
            names=tuple(target["name"] for target in targets),
            kinds=tuple(load_kind(target["kind"]).from_json(target["scaling"]) for target in targets),
            shares=(1.0,) * len(targets),
        ),
        inputs=tuple(map(str, content["inputs"])),
        features=FeatureScaler.from_json(content["features"]),
        stores=dict(content["stores"]),
        trained_on=dict(content["trained_on"]),
        versions=dict(content["versions"]),
    )


def _from_version_1(content: Mapping[str, Any], weight_shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return a card of version 2 from one of version 1, which knew the network fusion and one target alone."""
    inputs = content["inputs"]
    edges = weight_shapes.get("mlp_connectivity.dense_layers.0.weight", (0, 0))[1]
    network = {
        "name": "fusion",
        "volumes": [modality for modality in VOLUME_MODALITIES if modality in inputs],
        "side": content["network"]["side"],
        "num_edges": edges if CONNECTIVITY in inputs else 0,
        "num_features": 2 * len(content["features"]) if METADATA in inputs else 0,
        "num_outputs": load_kind(content["kind"]).num_outputs,
        "channels": content["network"]["channels"],
    }
    target = {key: content[key] for key in ("kind", "unit")}
    return {
        **content,
        "network": network,
        "targets": [{"name": content["target"], **target, "scaling": content["target_scaling"]}],
        "trained_on": {"augmented_copies": content["augmented_copies"]},
        "versions": {},
    }
