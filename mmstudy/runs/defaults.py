"""The settings of runs that a study has, as far as they apply to the run that is asked for.

What the user gives has to apply; a default of the study that does not is left out.
"""

from collections.abc import Mapping
from typing import Any

from mmbase.names import METADATA
from mmbase.settings import settings_of
from mmdata.study import Study
from mmtrain.config.augmentation import READING_COPIES, AugmentationConfig
from mmtrain.config.model import ModelConfig
from mmtrain.config.run import SECTIONS
from mmtrain.errors import TrainError
from mmtrain.models.registry import load_architecture


def applicable_defaults(study: Study, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the study's own settings of runs that apply beside those given.

    Raises
    ------
    TrainError
        The network is not known.
    """
    defaults = study.config.train
    return settings_that_apply(defaults, {**defaults, **given})


def settings_that_apply(settings: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some settings that apply to a run.

    Parameters
    ----------
    asked
        All that is known of the run; its inputs, network and augmentation decide.

    Raises
    ------
    TrainError
        The network is not known.
    """
    ignored: set[str] = set()
    if METADATA not in asked.get("inputs", ()):
        ignored.add("metadata_blocks")
    if asked.get("augment", AugmentationConfig().augment) not in READING_COPIES:
        ignored.add("copies")
    architecture = load_architecture(asked.get("model", ModelConfig().model))
    if architecture.fit is not None:
        ignored.add("regression")
    ignored |= {setting.name for setting in settings_of(ModelConfig)} - {"model", *architecture.settings}
    return {name: value for name, value in settings.items() if name not in ignored}


def require_known(given: Mapping[str, Any]) -> None:
    """Refuse settings that are not known, or that the program works out for itself.

    Raises
    ------
    TrainError
        Names one.
    """
    known = {setting.name for setting in settings_of(*SECTIONS.values()) if setting.option.is_option}
    if unknown := sorted(given.keys() - known):
        raise TrainError(f"There is no setting {unknown[0]}.", f"There are {', '.join(sorted(known))}.")


def require_network_settings(given: Mapping[str, Any], model: str) -> None:
    """Refuse settings that the network does not have.

    Raises
    ------
    TrainError
        Names one.
    """
    own = {setting.name for setting in settings_of(ModelConfig)} - {"model"}
    if others := sorted(own.intersection(given) - {*load_architecture(model).settings}):
        raise TrainError(f"The network {model} has no setting {others[0]}.", "Leave it out, or choose another --model.")
