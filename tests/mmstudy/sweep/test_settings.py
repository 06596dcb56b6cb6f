"""What a sweep is asked for, from a file or from options."""

from pathlib import Path
from typing import Any

import pytest

from mmstudy.sweep.settings import SweepSettings, parse_sweep_settings, read_sweep_toml
from mmtrain.errors import TrainError


def test_a_file_says_what_is_swept(tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text('targets = ["age"]\ninput_sets = [["t1", "serology"]]\nmethods = ["frozen"]\n[train]\nepochs = 3\n')
    settings = read_sweep_toml(file)
    assert settings == SweepSettings(
        targets=("age",), input_sets=(("t1", "serology"),), methods=("frozen",), train={"epochs": 3}
    )
    assert parse_sweep_settings(settings.to_json(), "plan.json") == settings


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"method": ["shared"]}, "method"),
        ({"methods": ["sharde"]}, "methods.0"),
        ({"networks": ["fusoin"]}, "fusion"),
        ({"seeds": [1, 1]}, "Expected each of seeds once"),
        ({"folds": 2}, "at least 3"),
        ({"methods": [], "baselines": []}, "nothing to train"),
        ({"train": {"inputs": ["t1"]}}, "decides inputs"),
        ({"train": {"epoch": 3}}, "no setting 'epoch'"),
    ],
)
def test_what_cannot_be_swept_is_refused_by_name(given: dict[str, Any], told: str) -> None:
    with pytest.raises(TrainError, match=told):
        parse_sweep_settings(given, "sweep.toml")


@pytest.mark.parametrize("content", [b"targets = [", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_bytes(content)
    with pytest.raises(TrainError, match=r"sweep.toml cannot be read"):
        read_sweep_toml(file)
    with pytest.raises(TrainError, match=r"No such file"):
        read_sweep_toml(tmp_path / "none.toml")
