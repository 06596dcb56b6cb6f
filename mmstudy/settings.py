"""A study's study.toml with its section `[train]`, whose settings are those of `mmtrain.config`."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from mmbase.names import METADATA
from mmbase.settings import REQUIRED, Setting, settings_of
from mmbase.suggestion import did_you_mean
from mmdata import study as study_files
from mmdata.errors import StudyError
from mmdata.study import Study, StudyConfig, render_config
from mmtrain.config.model import ModelConfig
from mmtrain.config.run import SECTIONS, parse_run_config
from mmtrain.errors import TrainError
from mmtrain.models.names import require_network

COMMENT_WIDTH = 100
"""Of explanations in study.toml."""
MAX_SHOWN = 60
"""Characters of a name that is not known."""
_SOME_TARGET = {"target": "any", "kind": "regression"}


def train_settings() -> tuple[Setting, ...]:
    """Return every setting that `[train]` of study.toml can have."""
    return tuple(setting for setting in settings_of(*SECTIONS.values()) if setting.option.is_setting)


def load_study(root: Path) -> Study:
    """Open the study in a directory.

    Raises
    ------
    StudyError
        There is none, or its settings cannot be used.
    """
    study = study_files.load_study(root)
    require_train_settings(study.config, str(study.layout.config))
    return study


def create_study(root: Path, config: StudyConfig) -> Study:
    """Make a study directory with its explained settings.

    Raises
    ------
    StudyError
        A setting cannot be used, there is a study already, or the directory holds other things.
    """
    require_train_settings(config, "--set")
    return study_files.create_study(root, config, render_study(config))


def require_train_settings(config: StudyConfig, where: str) -> None:
    """Refuse a section `[train]` with which no run could begin.

    Parameters
    ----------
    where
        Where the settings come from, for the message.

    Raises
    ------
    StudyError
        A setting is not known, is wrong, or the side is not stored.
    """
    known = {setting.name for setting in train_settings()}
    if unknown := sorted(config.train.keys() - known):
        raise StudyError(
            f"{where}: train.{unknown[0][:MAX_SHOWN]}: there is no such setting.{did_you_mean(unknown[0], known)}",
            f"There are {', '.join(sorted(known))}.",
        )
    _require_minima(config, where)
    try:
        side = parse_run_config({**_consistent_inputs(config.train), **_SOME_TARGET}).data.side
        require_network(config.train.get("model", ModelConfig().model))
    except TrainError as error:
        raise StudyError(f"{where}: [train]: {error}") from error
    if side not in config.volumes.sides:
        raise StudyError(f"{where}: train.side is {side}, not one of volumes.sides {config.volumes.sides}")


def _require_minima(config: StudyConfig, where: str) -> None:
    for setting in train_settings():
        value = config.train.get(setting.name)
        if setting.option.minimum is None or not isinstance(value, int | float):
            continue
        least = setting.option.minimum * setting.option.factor
        if value < least:
            raise StudyError(f"{where}: train.{setting.name} must be at least {least:g}, got {value}.")


def _consistent_inputs(train: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with inputs that go together: whether a run's do is looked at when it is planned."""
    given = (train.get("inputs", ["t1"]), train.get("metadata_blocks", []))
    if not all(isinstance(names, list | tuple) for names in given):
        return dict(train)  # for whoever validates them to refuse
    inputs, blocks = map(list, given)
    if blocks and METADATA not in inputs:
        inputs.append(METADATA)
    return {**train, "inputs": inputs, "metadata_blocks": blocks or ["any"] * (METADATA in inputs)}


def render_study(config: StudyConfig) -> str:
    """Return the text of study.toml: every setting under the sentence that explains it."""
    document = tomlkit.parse(render_config(config))
    document["train"] = _explained(config.train)
    return tomlkit.dumps(document)


def _explained(given: Mapping[str, Any]) -> Any:
    """Return the section `[train]`: settings that have no value stand in a comment."""
    section = tomlkit.table()
    section.add(tomlkit.comment("Defaults of `mm train` for this study; an option on the command line comes first."))
    for setting in train_settings():
        for line in textwrap.wrap(setting.help, COMMENT_WIDTH):
            section.add(tomlkit.comment(line))
        value = given.get(setting.name, setting.default)
        if value is None or value is REQUIRED:
            section.add(tomlkit.comment(f"{setting.name} = ..."))
        else:
            section.add(setting.name, list(value) if isinstance(value, tuple) else value)
    return section
