"""`mm train --resume` and `--finish` as a user mends a run with them."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest

import mmtrain.state
from mmbase.settings import settings_of
from mmtrain.checkpoint import EpochPart, Progress, save_checkpoint
from mmtrain.config.changes import EXECUTION, MENDING, change_settings
from mmtrain.config.run import SECTIONS
from mmtrain.errors import TrainError
from mmtrain.learner import build_learner
from mmtrain.run import RunDirectory, hold_run
from tests.conftest import RunMm
from tests.mmcli.outcome import complaint, complaint_last

SETTINGS = {"inputs": ("connectivity",), "epochs": 2}


def settings_on_disk(run: RunDirectory) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(run.config.read_text())
    return content


def begin_within_an_epoch(tiny: Any) -> RunDirectory:
    """Begin a run whose last checkpoint is after one step of its second epoch."""
    run: RunDirectory = tiny.begin(**SETTINGS)
    learner = build_learner(tiny.prepare(**SETTINGS))
    history = [{"epoch": 1, "train_loss": 1.0, "val_loss": 1e9, "val": {}}]
    part = EpochPart(steps=1, loss_sum=4.0, num_samples=7, seconds=1.0)
    progress = Progress(epoch=1, part=part, best_epoch=1, best_val_loss=1e9, history=history)
    save_checkpoint(run.checkpoint, learner.network, learner.optimizer, progress)
    return run


def test_what_mends_a_run_is_changed_from_its_last_checkpoint_on_and_recorded(tiny: Any, run_mm: RunMm) -> None:
    run = begin_within_an_epoch(tiny)
    before = settings_on_disk(run)
    words = ["--study", tiny.layout.root, "train", "--resume", run.run_id, "--json"]
    options = ["--learning-rate", 1e-4, "--clip-norm", 1, "--accumulate", 2, "--precision", "float64", "--epochs", 3]
    result = run_mm(*words, *options, "--checkpoint-minutes", 7)
    assert result.exit_code == 0, result.output
    assert "learning_rate is 0.0001 instead of 0.003 after epoch 1, step 1" in result.stderr
    after = settings_on_disk(run)
    (change,) = after.pop("changes")
    assert change.pop("time") > "2026"
    assert change == {
        "epoch": 1,
        "step": 1,
        "settings": {
            "epochs": {"before": 2, "after": 3},
            "accumulate": {"before": 1, "after": 2},
            "learning_rate": {"before": 3e-3, "after": 1e-4},
            "clip_norm": {"before": None, "after": 1.0},
            "precision": {"before": "auto", "after": "float64"},
        },
    }
    new = {name: value["after"] for name, value in change["settings"].items()}
    assert after == before | {"train": before["train"] | new}
    assert json.loads(result.stdout)["epochs"] == 3
    assert run_mm(*words, *options).exit_code == 0, "queued again: it is finished, and nothing differs"
    assert "changes" not in settings_on_disk(tiny.begin(**SETTINGS))


def test_a_finished_run_that_is_resumed_says_so_and_is_no_failure(tiny: Any, run_mm: RunMm) -> None:
    run = tiny.train(**SETTINGS)
    written = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    for option in ("--resume", "--finish"):
        result = run_mm("--study", tiny.layout.root, "train", option, run.run_id, "--json")
        assert result.exit_code == 0, result.output
        assert f"Run {run.run_id} is finished already." in result.stderr
        content = json.loads(result.stdout)
        assert (content["run_id"], content["entered"]) == (run.run_id, True)
        assert content["test"] == json.loads(run.metrics.read_text())["test"]
    changed = complaint(run_mm("--study", tiny.layout.root, "train", "--resume", run.run_id, "--epochs", 9))
    assert "is finished" in changed and "Nothing can be changed" in changed
    assert written == {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    for content in ("{", "[]", "[" * 100_000, run.metrics.read_text().replace("1", "2")):
        run.metrics.write_text(content)
        told = complaint(run_mm("--study", tiny.layout.root, "train", "--resume", run.run_id))
        assert told.endswith(f"train --finish {run.run_id}")


def test_a_run_that_is_finished_early_says_when(tiny: Any, run_mm: RunMm, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tiny.train(**SETTINGS)
    run.metrics.unlink()
    result = run_mm("--study", tiny.layout.root, "train", "--finish", run.run_id, "--device", "cpu", "--json")
    assert result.exit_code == 0, result.output
    (change,) = settings_on_disk(run)["changes"]
    assert (change["epoch"], change["finished"]) == (2, True)
    assert json.loads(result.stdout)["epochs"] == 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--inputs", "t1"], "--inputs: it decides what the run learns from"),
        (["--seed", 3, "--channels", "8,8"], "--channels: the weights fit the network"),
        (["--seed", 3, "--channels", "8,8"], "--seed: the batches that are left"),
        (["--copies", 0], "--copies: it decides"),
        (["--copy-order", "by-epoch"], "--copy-order: it decides"),
        (["--volume-scaling", "min-max"], "--volume-scaling: it decides"),
        (["--regression", "bins"], "--regression: it decides"),
        (["--keep-imaging"], "--keep-imaging: the weights fit the network"),
        (["--modality-dropout", 0.5], "--modality-dropout: it decides what the run learns from"),
        (["--penalty-in-validation"], "--penalty-in-validation: the validation losses"),
        (["--clamp-labels"], "--clamp-labels: the metrics of epochs"),
        (["--calibration-samples", 0], "--calibration-samples: the validation losses"),
        (["--batch-size", 4], "step 1 within epoch 2"),
    ],
)
def test_what_cannot_be_changed_is_refused_by_name_with_the_reason(
    tiny: Any, run_mm: RunMm, words: list[Any], reason: str
) -> None:
    run = begin_within_an_epoch(tiny)
    before = run.config.read_bytes()
    assert reason in complaint(run_mm("--study", tiny.layout.root, "train", "--resume", run.run_id, *words))
    assert run.config.read_bytes() == before


def test_every_option_can_be_changed_or_is_refused_with_a_reason(tiny: Any) -> None:
    config = tiny.configure(**SETTINGS)
    others = {"inputs": ("t1",), "schedule": "linear", "precision": "float32", "augment": "none", "balance": "none"}
    others |= {"channels": (8, 8), "metadata_blocks": ("serology",), "model": "other", "stores": "/x"}
    others |= {
        "device": "auto",
        "clip_norm": 1.0,
        "copies": 1,
        "data_size": 20,
        "required_inputs": ("dwi",),
        "accumulate": 2,
        "copy_order": "by-epoch",
        "modality_dropout": 0.5,
        "trunk": "another",
        "cache": "none",
        "cache_bytes": 1,
        "compile_mode": "reduce-overhead",
    }
    others |= {"volume_scaling": "min-max", "feature_scaling": "raw", "log": ("tensorboard",), "regression": "bins"}
    for setting in settings_of(*SECTIONS.values()):
        if setting.option.is_option and setting.name != "metadata_blocks":  # which need an input of the run
            old = config.to_json()[setting.name]
            other = others[setting.name] if setting.name in others else not old if old in (True, False) else old + 1
            given = {setting.name: other}
            if setting.name in (*MENDING, *EXECUTION):
                assert change_settings(config, given) != config
            else:
                with pytest.raises(TrainError, match=r"cannot change --.*: .*--learning-rate"):
                    change_settings(config, given)


def test_a_batch_size_is_changed_between_epochs(tiny: Any, run_mm: RunMm) -> None:
    run = tiny.begin(**SETTINGS)
    result = run_mm("--study", tiny.layout.root, "train", "--resume", run.run_id, "--batch-size", 4)
    assert result.exit_code == 0, result.output
    assert settings_on_disk(run)["train"]["batch_size"] == 4


def test_settings_given_as_they_were_are_no_change(tiny: Any, run_mm: RunMm) -> None:
    run = tiny.begin(**SETTINGS, precision="float32")
    before = run.config.read_bytes()
    words = ["--inputs", "connectivity", "--channels", "4,4", "--learning-rate", 3e-3, "--precision", "auto"]
    assert run_mm("--study", tiny.layout.root, "train", "--resume", run.run_id, *words).exit_code == 0
    assert run.config.read_bytes() == before


def test_a_run_that_another_process_trains_is_not_changed(tiny: Any, run_mm: RunMm) -> None:
    run = tiny.begin(**SETTINGS)
    before = run.config.read_bytes()
    with hold_run(run):
        told = complaint(run_mm("--study", tiny.layout.root, "train", "--resume", run.run_id, "--epochs", 5))
    assert "is being trained already" in told
    assert run.config.read_bytes() == before


@pytest.mark.parametrize("words", [["--finish", "x", "--learning-rate", 1], ["--finish", "x", "--gpus", 2]])
def test_nothing_is_trained_where_a_run_is_finished(tiny: Any, run_mm: RunMm, words: list[Any]) -> None:
    complaint(run_mm("--study", tiny.layout.root, "train", *words), exit_code=2)


@pytest.mark.parametrize("option", ["--resume", "--finish"])
def test_a_full_disk_names_the_run_to_continue(
    tiny: Any, run_mm: RunMm, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    run = tiny.train(**SETTINGS)
    run.metrics.unlink()

    def fill(path: Path, *_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("mmbase.checksums.write_bytes", fill)
        told = complaint_last(run_mm("--study", tiny.layout.root, "train", option, run.run_id))
    assert "free some space, then run: mm " in told and told.endswith(f" train {option} {run.run_id}")
    assert run_mm("--study", tiny.layout.root, "train", option, run.run_id).exit_code == 0


def test_a_disk_that_fills_while_a_checkpoint_is_written_costs_one_epoch(
    tiny: Any, run_mm: RunMm, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, run = tiny.train(**SETTINGS), tiny.begin(**SETTINGS)
    save, calls = mmtrain.state.save_checkpoint, []

    def save_once(*words: Any) -> None:
        if calls:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        calls.append(save(*words))

    with monkeypatch.context() as patch:
        patch.setattr(mmtrain.state, "save_checkpoint", save_once)
        told = complaint_last(run_mm("--study", tiny.layout.root, "train", "--resume", run.run_id))
    assert told.endswith(f" train --resume {run.run_id}")
    assert run_mm("--study", tiny.layout.root, "train", "--resume", run.run_id).exit_code == 0
    assert tiny.epochs(run) == tiny.epochs(whole)
