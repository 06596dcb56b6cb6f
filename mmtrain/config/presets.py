"""Named sets of settings, in the place between a study's own defaults and what the user gives."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mmbase.json_text import shortened
from mmbase.suggestion import did_you_mean
from mmtrain.errors import TrainError

REFERENCE = "reference"
"""What the published study's trainer does, as far as it is known: docs/reference.md."""
_OF_REFERENCE: Mapping[str, Any] = MappingProxyType(
    {
        "keep_own_block": False,
        "balance": "undersample",
        "volume_scaling": "min-max",
        "feature_scaling": "raw",
        "clamp_labels": True,
        "model": "fusion",
        "channels": (),
        "weight_penalty": 1e-4,
        "connectivity_penalty": 1e-3,
        "keep_imaging": True,
        "epochs": 999_999,
        "patience": 50,  # of its code; its text says 30, and which of the two made the published models is not known
        "batch_size": 64,
        "accumulate": 1,
        "learning_rate": 1e-4,
        "schedule": "constant",
        "warmup_epochs": 0.0,
        "clip_norm": None,
        "drop_last": True,
        "sync_batch_norm": False,
        "calibration_samples": 0,
        "penalty_in_validation": True,
        "precision": "float32",
        "seed": 1337,
        "augment": "precomputed",
        "copy_order": "by-epoch",
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType({REFERENCE: _OF_REFERENCE})
"""Name to settings, by their flat names."""


def preset_settings(name: str | None) -> Mapping[str, Any]:
    """Return the settings of a preset; none where no preset is named.

    Raises
    ------
    TrainError
        There is none of that name.
    """
    if name is None:
        return {}
    if name not in PRESETS:
        hint = did_you_mean(name, PRESETS)
        raise TrainError(f"Expected the preset to be one of {', '.join(PRESETS)}, got {shortened(name)}.{hint}")
    return PRESETS[name]
