"""Look at what a run is asked for before anything slow is loaded; `mmstudy.runs.plan` looks at all of it again."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from catalog.fields import find_target
from mmbase.names import METADATA
from mmdata.study import Study
from mmstudy.dictionary import study_dictionary
from mmtrain.config.data import DataConfig
from mmtrain.config.optimisation import OptimisationConfig
from mmtrain.config.presets import preset_settings
from mmtrain.config.run import parse_run_config

_DEFAULTS_THAT_APPLY = {field.name for section in (DataConfig, OptimisationConfig) for field in fields(section)}
"""To every run; whether the study's others do, depends on the network."""


def parse_targets(text: str) -> list[str]:
    """Return the targets in a text with commas.

    >>> parse_targets("age, sex")
    ['age', 'sex']
    """
    return [name.strip() for name in text.split(",")]


def require_arguments(
    study: Study, targets: Sequence[str], given: Mapping[str, Any], preset: str | None = None
) -> None:
    """Refuse targets and presets that are not known, and settings that are wrong by themselves.

    Parameters
    ----------
    given
        Settings that come before the study's own, by their names in study.toml.

    Raises
    ------
    CatalogError, TrainError
        Names one, and suggests the nearest.
    """
    dictionary = study_dictionary(study)
    kinds = [find_target(dictionary, target).kind if target else "" for target in targets]
    defaults = {name: value for name, value in study.config.train.items() if name in _DEFAULTS_THAT_APPLY}
    settings = {"inputs": list(study.config.volumes.modalities), **defaults, **preset_settings(preset), **given}
    if METADATA not in settings["inputs"] and "metadata_blocks" not in given:
        settings.pop("metadata_blocks", None)
    named = [{"name": target, "kind": kind} for target, kind in zip(targets, kinds, strict=True)]
    parse_run_config({**settings, "targets": named})
