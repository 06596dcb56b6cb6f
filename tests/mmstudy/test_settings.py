"""The section [train] of study.toml: its settings are those of a run."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from mmdata.errors import StudyError
from mmdata.study import StudyConfig, load_study, parse_config
from mmstudy import settings
from mmtrain.config.run import parse_run_config

SALT = "salt-of-the-study-in-the-tests"
EVERY: dict[str, Any] = {
    "inputs": ["t1", "metadata"],
    "metadata_blocks": ["serology"],
    "side": 32,
    "model": "linear",
    "clip_norm": 1.5,
    "copies": 2,
    "compile": True,
    "learning_rate": 3e-5,
    "stores": 's3://bucket/a "study"',
}


def config_with(train: dict[str, Any]) -> StudyConfig:
    return parse_config({"salt": SALT, "volumes": {"sides": [64, 32]}, "train": train}, "study.toml")


@pytest.mark.parametrize("train", [{}, EVERY], ids=["defaults", "other"])
def test_settings_of_runs_survive_the_file(train: dict[str, Any], tmp_path: Path) -> None:
    settings.create_study(tmp_path / "study", config_with(train))
    found = settings.load_study(tmp_path / "study").config.train
    given = {"inputs": ["t1"], "target": "age", "kind": "regression"}
    assert parse_run_config(given | found) == parse_run_config(given | train)
    assert load_study(tmp_path / "study").config.train == found


def test_every_setting_is_there_and_explained_in_the_line_above_it() -> None:
    text = settings.render_study(config_with({}))
    lines = text[text.index("[train]") : text.index("[features]")].splitlines()
    names = {setting.name for setting in settings.train_settings()}
    named = {number: line for number, line in enumerate(lines) if line.removeprefix("# ").split(" = ")[0] in names}
    assert len(named) == len(names) > 25
    assert all(lines[number - 1].startswith("# ") for number in named)
    assert max(map(len, lines)) <= settings.COMMENT_WIDTH + len("# ")
    assert tomllib.loads(text)["train"].keys() == names - {"inputs", "cache_bytes", "clip_norm", "copies", "regression"}


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"side": 128}, r"study\.toml: train\.side is 128, not one of volumes\.sides \(64, 32\)"),
        ({"epochs": "many"}, r"study\.toml: \[train\]: .*epochs.*'many'"),
        ({"learning_rate": -1.0}, r"study\.toml: \[train\]: learning_rate must be a positive number, got -1"),
        (
            {"bach_size": 8},
            r"study\.toml: train\.bach_size: there is no such setting\. Did you mean batch_size\? There are accumulate",
        ),
        ({"calibration_samples": -5}, r"train\.calibration_samples must be at least 0, got -5"),
        ({"prefetch_bytes": 5}, r"train\.prefetch_bytes must be at least 1\.04858e\+06, got 5"),
        ({"model": "nope"}, r"study\.toml: \[train\]: Expected the network .* got 'nope'"),
        ({"target": "age"}, r"train\.target: there is no such setting"),
        ({"features": ["sex"]}, r"train\.features: there is no such setting"),
    ],
)
def test_a_setting_with_which_no_run_could_begin_is_refused(train: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message) as caught:
        settings.require_train_settings(config_with(train), "study.toml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "train", [{"metadata_blocks": ["serology"]}, {"inputs": ["t1", "metadata"]}, {"copies": 2, "augment": "none"}]
)
def test_defaults_that_only_some_runs_need_are_accepted(train: dict[str, Any]) -> None:
    settings.require_train_settings(config_with({"side": 32, **train}), "study.toml")


def test_inputs_that_are_no_list_are_refused_by_name() -> None:
    with pytest.raises(StudyError, match=r"study\.toml: \[train\]: .*inputs: Input should be a valid tuple"):
        settings.require_train_settings(config_with({"side": 32, "inputs": 1.5}), "study.toml")


def test_a_study_with_a_wrong_setting_is_neither_made_nor_opened(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"bach_size: there is no such setting\. Did you mean batch_size\?"):
        settings.create_study(tmp_path / "study", config_with({"side": 32, "bach_size": 8}))
    assert not (tmp_path / "study").exists()
    made = settings.create_study(tmp_path / "study", config_with({"side": 32}))
    path = made.layout.config
    path.write_text(path.read_text().replace("epochs = 200", "epochs = 0"))
    with pytest.raises(StudyError, match="epochs must be a positive number, got 0"):
        settings.load_study(tmp_path / "study")
