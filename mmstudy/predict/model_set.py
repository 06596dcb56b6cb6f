"""The models that were asked for, and what they take together."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from mmbase.names import CONNECTIVITY
from mmdata.study import Study
from mmdata.volume.connectome import CONNECTOMES
from mmstudy.models.contract import InputContract
from mmstudy.models.find import FoundModel, find_model
from mmstudy.own_stores import ArrayKey
from mmstudy.predict.inputs import WantedInputs
from mmtrain.errors import TrainError
from mmtrain.models.card import ModelCard

_FLOAT_BYTES = 4


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
            features=tuple(dict.fromkeys(name for model in self.found for name in model.card.features.shown_names)),
            of_models=tuple(frozenset(model.card.shape.inputs) for model in self.found),
            needed_features=tuple(
                dict.fromkeys(name for model in self.found for name in model.card.features.required_names)
            ),
        )


def find_models(study: Study | None, names: Sequence[str]) -> ModelSet:
    """Find models that are to predict together.

    Raises
    ------
    TrainError
        One is not there, cannot be used, or does not go with the others.
    """
    found = tuple(find_model(study, name) for name in names)
    require_together(found)
    for model in found:
        _require_made(model)
    return ModelSet(found)


def require_together(models: Sequence[FoundModel]) -> None:
    """Refuse models that do not predict the same of inputs that are made alike.

    Raises
    ------
    TrainError
        Names two of them, and in what they differ.
    """
    for one, other in combinations(models, 2):
        for what, ours, theirs in _to_be_alike(one, other):
            if ours != theirs:
                raise TrainError(
                    f"The models {one.name} and {other.name} have different {what}: their predictions have no mean.",
                    "Predict with one after the other.",
                )


def arrays_of(card: ModelCard) -> tuple[ArrayKey, ...]:
    """Return the modalities that a model reads, each with the side of its rows."""
    volumes = [(modality, card.shape.side) for modality in card.shape.volumes]
    return (*volumes, *([(CONNECTIVITY, 0)] if card.shape.num_edges else []))


def sample_bytes(arrays: Collection[ArrayKey], connectivity: str) -> int:
    """Return the bytes of one sample's rows, as networks take them.

    Parameters
    ----------
    connectivity
        Name of the connectivity.
    """
    num_edges = CONNECTOMES[connectivity].num_edges
    return sum((side**3 if side else num_edges) * _FLOAT_BYTES for _, side in arrays)


def _to_be_alike(one: FoundModel, other: FoundModel) -> Iterator[tuple[str, object, object]]:
    """Yield what two models must have alike: their targets, and how the inputs that both have are made."""
    yield "targets", one.card.targets, other.card.targets
    for what, ours, theirs in (
        ("preprocessing of volumes", one.contract.volumes, other.contract.volumes),
        ("connectivity", one.contract.connectivity, other.contract.connectivity),
    ):
        if None not in (ours, theirs):
            yield what, ours, theirs
    for name in one.contract.fields.keys() & other.contract.fields.keys():
        yield f"definitions of {name}", one.contract.fields[name], other.contract.fields[name]


def _require_made(model: FoundModel) -> None:
    """Refuse a model whose contract does not say how its volumes are made."""
    shape, volumes = model.card.shape, model.contract.volumes
    if shape.volumes and (volumes is None or shape.side not in volumes.sides):
        raise TrainError(
            f"The contract of {model.name} does not say how volumes of side {shape.side} are made, which it takes.",
            "Export or import the model again.",
        )
