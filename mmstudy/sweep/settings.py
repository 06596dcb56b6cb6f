"""What a sweep is asked for: from `sweep.toml`, options, or neither."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from mmbase.json_text import shortened
from mmbase.settings import DERIVED, STRICT, Option, settings_of
from mmtrain.config.run import SECTIONS, RunConfig, describe_faults, parse_run_config
from mmtrain.errors import TrainError
from mmtrain.models.names import FITTED_AT_ONCE, require_network

Method = Literal["separate", "shared", "frozen"]
BASELINE_METHOD = "baseline"
FROZEN_METHOD = "frozen"
"""Whose models share trunks."""
NONE = "none"
"""As an option's value: no baselines."""
OF_CELLS = frozenset(
    {"inputs", "metadata_blocks", "keep_own_block", "model", "seed", "required_inputs", "diagnostic", "trunk"}
)
"""Settings of a run that a sweep decides for each of its cells."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepSettings:
    """What is trained, and how; the same for all cells."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    targets: Annotated[tuple[str, ...], Option("--target")] = ()
    """Train models of these targets; left out: the reference study's 25."""
    input_sets: Annotated[tuple[tuple[str, ...], ...], DERIVED] = ()
    """Sets of inputs and groups of tabular features; none: the reference's grid."""
    methods: Annotated[tuple[Method, ...], Option("--method")] = ("separate",)
    """How cells are trained: separate, shared, frozen, or several of them."""
    networks: Annotated[tuple[str, ...], Option("--network")] = ("fusion",)
    """Networks of the method separate; shared and frozen have the network fusion."""
    baselines: tuple[str, ...] = FITTED_AT_ONCE
    """Networks that every cell is compared with; none: leave them out."""
    seeds: tuple[int, ...] = ()
    """Train each model once for each of these seeds; left out: the study's own."""
    folds: int = 0
    """Test every participant once, in so many folds; 0: the study's own split."""
    each_its_own: bool = False
    """Let every model have all samples that it can use; their scores can then not be compared."""
    train: Annotated[dict[str, Any], DERIVED] = field(default_factory=dict)
    """Settings of every run, by their names in study.toml."""

    def __post_init__(self) -> None:
        for network in (*self.networks, *self.baselines):
            require_network(network)
        for name in ("targets", "methods", "networks", "baselines", "seeds"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise TrainError(f"Expected each of {name} once, got {', '.join(map(str, values))}.")
        if not (self.methods or self.baselines):
            raise TrainError("There is nothing to train: neither methods nor baselines.")
        if "separate" in self.methods and not self.networks:
            raise TrainError("There is nothing to train: expected one of networks at least.")
        if "shared" in self.methods and self.train.get("data_size"):
            raise TrainError(
                "data_size takes some of the samples that have a label of any target of a network, so a shared network "
                "would not have the samples of a separate one.",
                "Leave it out, or leave the method shared out.",
            )
        if self.folds and self.folds < 3:
            raise TrainError(f"Expected folds of 0, the study's own split, or at least 3, got {self.folds}.")
        if wrong := sorted(OF_CELLS.intersection(self.train)):
            raise TrainError(f"A sweep decides {', '.join(wrong)} for each of its models.", "Leave it out of [train].")
        known = {setting.name for setting in settings_of(*SECTIONS.values()) if setting.option.is_option}
        if unknown := sorted(self.train.keys() - known):
            raise TrainError(f"There is no setting {shortened(unknown[0])} of runs.")

    def changed(self, **given: Any) -> "SweepSettings":
        """Return the settings with those that were given as options; `train` is added to what there is."""
        train = {**self.train, **given.pop("train", {})}
        return replace(self, **given, train=train)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for `parse_sweep_settings`."""
        return asdict(self)


def parse_sweep_settings(settings: Mapping[str, Any], where: str) -> SweepSettings:
    """Validate settings that were read from a file.

    Parameters
    ----------
    where
        Which file, for messages.

    Raises
    ------
    TrainError
        Names each setting and what came.
    """
    try:
        parsed: SweepSettings = TypeAdapter(SweepSettings).validate_python(dict(settings))
        return parsed
    except ValidationError as error:
        raise TrainError(f"{where} cannot be used: {describe_faults(error)}.") from error


def settings_of_all(train: Mapping[str, Any]) -> RunConfig:
    """Return the settings that all runs of a sweep share, with inputs and a target that are none of theirs.

    Raises
    ------
    TrainError
        One of them is wrong.
    """
    some = {"inputs": ("t1",), "targets": [{"name": "any", "kind": "regression"}]}
    return parse_run_config({**train, **some})


def read_sweep_toml(path: Path) -> SweepSettings:
    """Read a `sweep.toml`.

    Raises
    ------
    TrainError
        It is not there, no TOML, or a setting is wrong.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise TrainError(f"{path.name} cannot be read: {what}.", "docs/sweep.md has an example.") from error
    return parse_sweep_settings(content, path.name)
