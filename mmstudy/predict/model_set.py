"""The models that were asked for, and what they take together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from mmbase.names import CONNECTIVITY
from mmdata.study import Study
from mmstudy.models.contract import InputContract
from mmstudy.models.find import FoundModel, find_model
from mmstudy.predict.inputs import WantedInputs
from mmtrain.errors import TrainError
from mmtrain.models.card import ModelCard

ArrayKey: TypeAlias = tuple[str, int]
"""A modality and the side of its rows; 0 of connectivity."""


@dataclass(frozen=True, slots=True)
class ModelSet:
    """Models that predict the same of inputs that are made alike."""

    found: tuple[FoundModel, ...]

    @property
    def contract(self) -> InputContract:
        """Return how all of their inputs are made."""
        contracts = [model.contract for model in self.found]
        return InputContract(
            volumes=next((one.volumes for one in contracts if one.volumes), None),
            connectivity=next((one.connectivity for one in contracts if one.connectivity), None),
            fields={name: definition for one in contracts for name, definition in one.fields.items()},
            assumed={name: sentence for one in contracts for name, sentence in one.assumed.items()},
        )

    @property
    def arrays(self) -> tuple[ArrayKey, ...]:
        """Return the rows that they read."""
        return tuple(dict.fromkeys(key for model in self.found for key in arrays_of(model.card)))

    @property
    def wanted(self) -> WantedInputs:
        """Return the inputs that they take."""
        return WantedInputs(
            every=tuple(dict.fromkeys(name for model in self.found for name in model.card.shape.inputs)),
            needed=frozenset(
                name
                for model in self.found
                for name in model.card.shape.inputs
                if name not in model.card.optional_inputs
            ),
            features=tuple(dict.fromkeys(name for model in self.found for name in shown_features(model.card))),
        )


def find_models(study: Study | None, names: Sequence[str]) -> ModelSet:
    """Find models that are to predict together.

    Raises
    ------
    TrainError
        One is not there, cannot be used, or does not go with the others.
    """
    found = tuple(find_model(study, name) for name in names)
    _require_together(found)
    for model in found:
        _require_made(model)
    return ModelSet(found)


def arrays_of(card: ModelCard) -> tuple[ArrayKey, ...]:
    """Return the modalities that a model reads, each with the side of its rows."""
    volumes = [(modality, card.shape.side) for modality in card.shape.volumes]
    return (*volumes, *([(CONNECTIVITY, 0)] if card.shape.num_edges else []))


def shown_features(card: ModelCard) -> list[str]:
    """Return the tabular features that a model sees."""
    scaler = card.features
    return [name for name, is_shown in zip(scaler.names, scaler.shown, strict=True) if is_shown]


def _require_together(models: Sequence[FoundModel]) -> None:
    """Refuse models that do not predict the same of inputs that are made alike."""
    first, *others = models
    for other in others:
        for what, ours, theirs in (
            ("targets", first.card.targets, other.card.targets),
            ("preprocessing of volumes", first.contract.volumes, other.contract.volumes),
            ("connectivity", first.contract.connectivity, other.contract.connectivity),
        ):
            if ours != theirs and not (what != "targets" and None in (ours, theirs)):
                raise TrainError(
                    f"The models {first.name} and {other.name} have different {what}: their predictions have no mean.",
                    "Predict with one after the other.",
                )


def _require_made(model: FoundModel) -> None:
    """Refuse a model whose contract does not say how its volumes are made."""
    shape, volumes = model.card.shape, model.contract.volumes
    if shape.volumes and (volumes is None or shape.side not in volumes.sides):
        raise TrainError(
            f"The contract of {model.name} does not say how volumes of side {shape.side} are made, which it takes.",
            "Export or import the model again.",
        )
