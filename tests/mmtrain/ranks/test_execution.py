"""The ranks that `mm train --gpus` starts read where to compute from the run's execution.json."""

import json
from typing import Any

import pytest
import torch

from mmdata.study import load_study
from mmstudy.runs import train as runs
from mmstudy.runs.train import find_unfinished, train_on_ranks
from mmtrain.errors import TrainError
from mmtrain.ranks.environment import LAUNCHED
from mmtrain.run import RunDirectory, read_execution, write_execution

CONNECTIVITY = {"inputs": ("connectivity",), "device": "auto"}


def start(tiny: Any, monkeypatch: pytest.MonkeyPatch, run: RunDirectory, **given: Any) -> list[str]:
    """Start two ranks of a run with other settings of execution; return the words that each is started with."""
    words: list[str] = []

    def launch(arguments: list[str], num_ranks: int, device: torch.device) -> None:
        assert (num_ranks, device.type) == (2, "cpu")
        words.extend(arguments)
        run.metrics.write_text("{}")

    monkeypatch.setattr(runs, "launch_ranks", launch)
    study = load_study(tiny.layout.root)
    _, config = find_unfinished(study, run.run_id, given)
    train_on_ranks(study, run, config, 2, as_json=False)
    run.metrics.unlink()
    return words


def test_ranks_get_the_settings_that_the_command_was_given_and_no_options(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny.begin(**CONNECTIVITY)
    words = start(tiny, monkeypatch, run, device="cpu", hang_seconds=7.0, prefetch_bytes=1 << 20)
    assert words == ["--study", str(tiny.layout.root), "train", "--resume", run.run_id]
    monkeypatch.setenv(LAUNCHED, "1")
    _, config = find_unfinished(load_study(tiny.layout.root), run.run_id, {})
    assert (config.execution.device, config.execution.hang_seconds, config.execution.prefetch_bytes) == (
        "cpu",
        7,
        1 << 20,
    )
    assert config.execution == read_execution(run)
    assert config.optimisation == tiny.configure(**CONNECTIVITY).optimisation


def test_later_commands_and_somebodys_own_torchrun_do_not_meet_them(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tiny.begin(**CONNECTIVITY)
    start(tiny, monkeypatch, run, device="cpu")
    for variables in ({}, {"TORCHELASTIC_RUN_ID": "own", "RANK": "0"}):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert find_unfinished(load_study(tiny.layout.root), run.run_id, {})[1].execution.device == "auto"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"execution\.json cannot be read"),
        ("{", r"execution\.json cannot be read"),
        (json.dumps({"device": "tpu"}), r"execution\.json of the run cannot be used: device: .*got 'tpu'"),
        (json.dumps({"epochs": 3}), r"execution\.json of the run cannot be used: epochs: .*got 3"),
    ],
)
def test_settings_that_cannot_be_read_are_refused_in_one_line(tiny: Any, content: str | None, message: str) -> None:
    run = tiny.begin(**CONNECTIVITY)
    if content is not None:
        run.execution.write_text(content)
    with pytest.raises(TrainError, match=message) as caught:
        read_execution(run)
    assert "\n" not in str(caught.value)


def test_settings_survive_the_file(tiny: Any) -> None:
    run = tiny.begin(**CONNECTIVITY)
    execution = tiny.configure(inputs=("t1",), device="cpu", stores="s3://bucket/x", checkpoint_minutes=0.5).execution
    write_execution(run, execution)
    assert read_execution(run) == execution
