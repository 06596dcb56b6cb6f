"""What may be changed of a run that has begun: where it computes, how long it learns, and what mends it.

Everything else makes another run of it, or would let the epochs before and after be compared though they cannot.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from mmbase.settings import settings_of
from mmtrain.config.augmentation import AugmentationConfig
from mmtrain.config.data import DataConfig
from mmtrain.config.execution import ExecutionConfig
from mmtrain.config.model import ModelConfig
from mmtrain.config.run import SECTIONS, RunConfig
from mmtrain.errors import TrainError

MENDING = (
    "learning_rate",
    "schedule",
    "warmup_epochs",
    "clip_norm",
    "epochs",
    "patience",
    "batch_size",
    "accumulate",
    "precision",
    "compile",
    "compile_mode",
    "deterministic",
)
"""Settings of optimisation that may be changed; the run's config.json tells of each change."""
EXECUTION = tuple(field.name for field in fields(ExecutionConfig))
"""Settings that change nothing of what is learnt: not recorded as changes."""
_OTHER_LOSSES = "the validation losses before and after, which choose the best epoch, could not be compared"
_WHY_NOT = {
    **{field.name: "it decides what the run learns from" for field in fields(DataConfig)},
    **{field.name: "the weights fit the network that they were learnt in" for field in fields(ModelConfig)},
    "modality_dropout": "it decides what the run learns from",
    **{field.name: "it decides what the run learns from" for field in fields(AugmentationConfig)},
    "seed": "the batches that are left follow from it",
    "drop_last": "the batches that are left follow from it",
    "sync_batch_norm": _OTHER_LOSSES,
    "calibration_samples": _OTHER_LOSSES,
    "penalty_in_validation": _OTHER_LOSSES,
    "clamp_labels": "the metrics of epochs before and after could not be compared",
}


def change_settings(config: RunConfig, given: Mapping[str, Any]) -> RunConfig:
    """Return the settings that a run is resumed with. What is given as it was is no change.

    Nor is ``precision = auto``, which stays what it became where the run began.

    Raises
    ------
    TrainError
        Names each setting that cannot be changed, and why.
    """
    changed = config.changed(**{name: value for name, value in given.items() if (name, value) != ("precision", "auto")})
    refused = [name for name in changes_between(config, changed) if name not in MENDING]
    if refused:
        told = "; ".join(f"{_option(name)}: {_WHY_NOT[name]}" for name in refused)
        changeable = ", ".join(map(_option, (*MENDING, *EXECUTION)))
        raise TrainError(
            f"A run that has begun cannot change {told}.",
            f"Start another run with mm train --target. What a resumed run can change: {changeable}.",
        )
    return changed


def changes_between(before: RunConfig, after: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ, with both values, but of those that say where a run computes."""
    old, new = before.to_json(), after.to_json()
    return {name: (old[name], new[name]) for name in old if name not in EXECUTION and old[name] != new[name]}


def _option(name: str) -> str:
    (setting,) = (setting for setting in settings_of(*SECTIONS.values()) if setting.name == name)
    return setting.option_names[0]
