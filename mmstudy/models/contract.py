"""What a model takes for granted of its inputs: how scans and tables become what its network sees.

A run's contract follows from its study. One that is used elsewhere carries it along as contract.json.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict

from catalog.fields import FeatureDefinition
from mmbase.checksums import write_checked
from mmbase.files import to_json
from mmbase.json_text import EXACT
from mmbase.names import CONNECTIVITY
from mmdata.study import Study
from mmdata.volume.settings import ConnectivitySettings, VolumeSettings
from mmstudy.dictionary import study_dictionary
from mmtrain.bundles.part import read_part
from mmtrain.models.card import ModelCard

CONTRACT_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class InputContract:
    """How scans and tables become what a network sees."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    volumes: VolumeSettings | None = None
    """How volumes are made; None where the model has none among its inputs. They lie on this grid from left to right,
    even where the card's own affine runs from right to left."""
    connectivity: ConnectivitySettings | None = None
    """How connectivity is made; None where it is no input."""
    fields: Mapping[str, FeatureDefinition] = field(default_factory=dict)
    """How the targets and the tabular features that the model sees are made of table columns, by name."""
    assumed: Mapping[str, str] = field(default_factory=dict)
    """What whoever trained the model did not publish, and what is taken in its place: a short name to a sentence."""


@dataclass(frozen=True, slots=True)
class _Record:
    """What contract.json holds."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    schema_version: int
    contract: InputContract


def contract_of_study(study: Study, card: ModelCard) -> InputContract:
    """Return the contract of a model that was trained on a study."""
    dictionary = study_dictionary(study)
    named = [*(target.name for target in card.targets), *card.features.shown_names]
    return InputContract(
        volumes=study.config.volumes if card.shape.volumes else None,
        connectivity=study.config.connectivity if CONNECTIVITY in card.inputs else None,
        fields={name: dictionary[name] for name in named if name in dictionary},
    )


def write_contract(path: Path, contract: InputContract) -> None:
    """Write a contract.json, and its checksum."""
    content: dict[str, Any] = {"schema_version": CONTRACT_VERSION, "contract": asdict(contract)}
    write_checked(path, to_json(content))


def read_contract(path: Path) -> InputContract:
    """Read a contract.json.

    Raises
    ------
    TrainError
        There is none, it is damaged or changed, or of another version.
    """
    return read_part(path, _Record, CONTRACT_VERSION).contract
