"""The settings of one run: everything that, with its cohort and its stores, decides what model comes out.

Inside the program they are composed of sections. In files and on the command line they are flat: every name is of one
section alone, so config.json, `[train]` of study.toml and the options of `mm train` share their names.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mmbase.json_text import join_faults, shortened
from mmtrain.config.augmentation import AugmentationConfig
from mmtrain.config.data import DataConfig
from mmtrain.config.execution import ExecutionConfig
from mmtrain.config.model import ModelConfig
from mmtrain.config.optimisation import OptimisationConfig
from mmtrain.errors import TrainError

SECTIONS: dict[str, type] = {
    "data": DataConfig,
    "model": ModelConfig,
    "optimisation": OptimisationConfig,
    "augmentation": AugmentationConfig,
    "execution": ExecutionConfig,
}
"""Section of `RunConfig` to its class, in the order of the options of `mm train`."""
SEVERAL = "several"
"""What stands for the kind of a run with several targets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Settings of one run. The defaults are the reference study's, where it has one."""

    data: DataConfig
    model: ModelConfig
    optimisation: OptimisationConfig
    augmentation: AugmentationConfig
    execution: ExecutionConfig

    @property
    def kind(self) -> str:
        """Return the kind of the target, or `SEVERAL`."""
        targets = self.data.targets
        return targets[0].kind if len(targets) == 1 else SEVERAL

    @property
    def augments_on_device(self) -> bool:
        """Return whether batches are changed on the device."""
        return self.augmentation.changes_batches and bool(self.data.volume_inputs)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain values, for `parse_run_config`."""
        settings = {name: value for section in SECTIONS for name, value in asdict(getattr(self, section)).items()}
        targets = settings.pop("targets")
        one = targets[0] if len(targets) == 1 else {"name": self.data.target, "kind": SEVERAL, "unit": ""}
        several = {"targets": list(targets)} if len(targets) > 1 else {}
        return {"target": one["name"], "kind": one["kind"], "unit": one["unit"], **several, **settings}

    def changed(self, **settings: Any) -> "RunConfig":
        """Return the run with other settings, by their flat names."""
        return parse_run_config({**self.to_json(), **settings})


def parse_run_config(settings: Mapping[str, Any]) -> RunConfig:
    """Validate flat settings that were read from a run's config.json or given as options.

    Raises
    ------
    TrainError
        Names each setting and what came.
    """
    flat = dict(settings)
    one = {"name": flat.pop("target", None), "kind": flat.pop("kind", None), "unit": flat.pop("unit", "")}
    flat.setdefault("targets", [one])
    known = {name for cls in SECTIONS.values() for name in _names(cls)}
    if unknown := sorted(flat.keys() - known):
        raise TrainError(f"The settings of the run cannot be used: there is no setting {', '.join(unknown)}.")
    sections: dict[str, Any] = {}
    faults: list[str] = []
    for section, cls in SECTIONS.items():
        try:
            sections[section] = _adapter(cls).validate_python({n: flat[n] for n in _names(cls) if n in flat})
        except ValidationError as error:
            faults.append(describe_faults(error))
    if faults:
        raise TrainError(f"The settings of the run cannot be used: {'; '.join(faults)}")
    return RunConfig(**sections)


def parse_execution(settings: Mapping[str, Any]) -> ExecutionConfig:
    """Validate the settings of a run's execution.json.

    Raises
    ------
    TrainError
        A setting is unknown or wrong.
    """
    try:
        execution: ExecutionConfig = _adapter(ExecutionConfig).validate_python(dict(settings))
        return execution
    except ValidationError as error:
        raise TrainError(f"execution.json of the run cannot be used: {describe_faults(error)}") from error


@cache
def _adapter(section: type) -> TypeAdapter[Any]:
    """Return what validates a section; it takes tens of milliseconds to make."""
    return TypeAdapter(section)


def describe_faults(error: ValidationError) -> str:
    """Return what is wrong with settings, each with what came."""
    return join_faults(
        [f"{'.'.join(map(str, f['loc']))}: {f['msg']}, got {shortened(f['input'])}" for f in error.errors()]
    )


def _names(cls: type) -> list[str]:
    return [field.name for field in fields(cls)]
