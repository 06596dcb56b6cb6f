import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from mmtrain.config.run import SECTIONS, parse_run_config
from mmtrain.errors import TrainError

BEFORE_SECTIONS = Path(__file__).with_name("config_before_sections.json")
GOOD: dict[str, Any] = {"target": "age", "kind": "regression", "unit": "years", "inputs": ("t1", "connectivity")}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"inputs": ("t2",)}, "Expected inputs among flair, t1, dwi, connectivity, metadata, each once, got t2"),
        ({"inputs": ()}, "got none"),
        ({"inputs": ("t1", "t1")}, "each once, got t1 t1"),
        ({"inputs": ("metadata",)}, "give --metadata-block"),
        ({"epochs": 0}, "epochs must be a positive number, got 0"),
        ({"patience": -1}, "patience must be a positive number, got -1"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive number"),
        ({"learning_rate": float("nan")}, "learning_rate must be a positive number"),
        ({"batch_size": 0}, "batch_size must be a positive number, got 0"),
        ({"batch_size": 1}, "batch normalisation"),
        ({"batch_size": 2}, "batch normalisation"),
        ({"accumulate": 0}, "accumulate must be a positive number, got 0"),
        ({"batch_size": 7, "accumulate": 4}, "batch of 7 cannot be computed in 4 parts: each needs 2 samples"),
        ({"clip_norm": 0.0}, "clip_norm must be a positive number, got 0"),
        ({"warmup_epochs": -1.0}, "warmup_epochs must be 0 to 200, the epochs, got -1"),
        ({"epochs": 5, "warmup_epochs": 6.0}, "warmup_epochs must be 0 to 5"),
        ({"checkpoint_minutes": 0.0}, "checkpoint_minutes must be a positive number"),
        ({"hang_seconds": -1.0}, "hang_seconds must be a positive number"),
        ({"prefetch_bytes": 0}, "prefetch_bytes must be a positive number"),
        ({"cache_bytes": 0}, "cache_bytes must be a positive number, got 0"),
        ({"cache": "disk"}, "cache: .*got 'disk'"),
        ({"precision": "float8"}, "precision: .*got 'float8'"),
        ({"schedule": "step"}, "schedule: .*got 'step'"),
        ({"balance": "oversample"}, "balance: .*got 'oversample'"),
        ({"copies": -1}, "copies must not be negative, got -1"),
        ({"channels": (8, 0)}, "channels must be positive, got 8 0"),
        ({"modality_dropout": 1.0}, "modality_dropout must be 0 or more and less than 1, got 1"),
        ({"modality_dropout": float("nan")}, "modality_dropout must be 0 or more"),
        ({"trunk": ""}, "trunk must be the name of a run, got an empty one"),
        ({"trunk": "age_t1", "modality_dropout": 0.5}, "--modality-dropout hides single volumes, and with --trunk"),
        ({"device": "tpu"}, "device: .*got 'tpu'"),
        ({"epochs": "many"}, "epochs: .*integer.*, got 'many'"),
        ({"channels": ("a", "b")}, "channels.0: .*, got 'a'"),
        ({"epohcs": 3}, "there is no setting epohcs"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_name(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainError, match=message) as caught:
        parse_run_config(GOOD | bad)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"inputs": ("metadata",), "metadata_blocks": ("serology",)},
        {"channels": (4, 8, 8), "side": 32, "copies": 0, "drop_last": True, "learning_rate": 3e-4},
    ],
)
def test_settings_survive_json(settings: dict[str, Any]) -> None:
    config = parse_run_config(GOOD | settings)
    assert parse_run_config(json.loads(json.dumps(config.to_json()))) == config


def test_volumes_come_in_channel_order_whatever_was_typed() -> None:
    config = parse_run_config(GOOD | {"inputs": ("connectivity", "dwi", "t1", "flair")})
    assert config.data.volume_inputs == ("flair", "t1", "dwi")
    assert config.data.modalities == ("flair", "t1", "dwi", "connectivity")


def test_the_defaults_are_the_references() -> None:
    config = parse_run_config(GOOD).optimisation
    assert (config.batch_size, config.learning_rate, config.epochs, config.patience) == (64, 1e-4, 200, 30)


def test_the_settings_of_a_run_from_before_there_were_sections_are_read() -> None:
    stored = json.loads(BEFORE_SECTIONS.read_text())["train"]
    config = parse_run_config(stored)
    assert (config.data.target, config.kind, config.data.targets[0].unit) == ("age", "regression", "years")
    assert config.model.model == "fusion"
    assert stored.items() <= json.loads(json.dumps(config.to_json())).items()
    added = {"model", "volume_scaling", "feature_scaling", "clamp_labels", "keep_imaging", "copy_order", "regression"}
    assert config.to_json().keys() - stored.keys() == added | {
        "cache",
        "cache_bytes",
        "compile_mode",
        "penalty_in_validation",
        "data_size",
        "required_inputs",
        "diagnostic",
        "log",
        "modality_dropout",
        "trunk",
    }


def test_several_faults_are_told_at_once() -> None:
    with pytest.raises(TrainError, match=r"epochs: .*; .*device: .*got 'tpu'"):
        parse_run_config(GOOD | {"epochs": "many", "device": "tpu"})


def test_targets_have_to_be_different_ones() -> None:
    age = {"name": "age", "kind": "regression"}
    with pytest.raises(TrainError, match="one target or several different ones, got age, age"):
        parse_run_config({"inputs": ("t1",), "targets": [age, age]})


def test_every_setting_is_of_one_section() -> None:
    names = [field.name for section in SECTIONS.values() for field in fields(section)]
    assert len(names) == len(set(names))
