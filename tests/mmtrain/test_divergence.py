"""A loss that is not finite costs its run the steps since the last checkpoint, and nothing else."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import mmtrain.epoch
import mmtrain.train
from mmbase.files import write_json_lines
from mmtrain.checkpoint import previous_checkpoint, read_progress, save_checkpoint
from mmtrain.divergence import LossWatch, find_non_finite
from mmtrain.errors import TrainError
from mmtrain.learner import Learner, build_learner, take_step
from mmtrain.run import RunDirectory, find_run
from mmtrain.train import train
from tests.mmtrain.conftest import StopAfter

SETTINGS = {"inputs": ("connectivity",), "epochs": 3, "checkpoint_minutes": 1e-9}
"""With a checkpoint after every step."""
NAN = float("nan")


def go(tiny: Any, run: RunDirectory, **options: Any) -> dict[str, Any]:
    """Train, and return the metrics without what differs from time to time."""
    returned = train(run, tiny.layout, find_run(tiny.layout.runs, run.run_id)[1], **options)
    assert returned == json.loads(run.metrics.read_text())
    return tiny.metrics(run)


def spoil(monkeypatch: pytest.MonkeyPatch, epoch: int, step: int, harm: Callable[[Learner, torch.Tensor], Any]) -> None:
    """Let one step do harm to the learner, or to the loss that it returns."""
    steps = Counter[int]()

    def take_step_and_spoil(task: Any, learner: Learner, portion: Any, batch: Any, in_epoch: int) -> torch.Tensor:
        loss = take_step(task, learner, portion, batch, in_epoch)
        steps[in_epoch] += 1
        if (in_epoch, steps[in_epoch]) == (epoch, step):
            with torch.no_grad():
                harm(learner, loss)
        return loss

    monkeypatch.setattr(mmtrain.epoch, "take_step", take_step_and_spoil)


def spoil_loss(_: Learner, loss: torch.Tensor) -> None:
    loss.fill_(NAN)


def spoil_weight(learner: Learner, _: torch.Tensor) -> None:
    next(learner.network.parameters()).view(-1)[0] = float("inf")


def spoil_optimizer(learner: Learner, _: torch.Tensor) -> None:
    next(iter(learner.optimizer.state.values()))["exp_avg_sq"].view(-1)[-1] = NAN


def spoil_moment(learner: Learner, _: torch.Tensor) -> None:
    next(b for name, b in learner.network.named_buffers() if name.endswith("running_var"))[0] = NAN


@pytest.mark.parametrize("harm", [spoil_loss, spoil_weight, spoil_optimizer, spoil_moment])
def test_a_late_nan_stops_the_run_at_its_step_and_what_is_kept_is_finite_and_goes_on(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Learner, torch.Tensor], Any]
) -> None:
    whole, run = tiny.begin(**SETTINGS), tiny.begin(**SETTINGS)
    expected = go(tiny, whole)
    with monkeypatch.context() as patch:
        spoil(patch, 2, 3, harm)
        with pytest.raises(TrainError, match=r"step 3 of epoch 2 .*is not a finite number") as caught:
            go(tiny, run)
    assert f"mm train --resume {run.run_id} --learning-rate 0.0003 --clip-norm 1" in caught.value.what_to_do
    assert f"mm train --finish {run.run_id}" in caught.value.what_to_do
    progress = read_progress(run.checkpoint)
    assert (progress.epoch, progress.part.steps) == (1, 2)
    for path in (run.checkpoint, previous_checkpoint(run.checkpoint), run.model):
        assert all(tensor.isfinite().all() for tensor in load_file(path).values())
    assert go(tiny, run, resumed=True) == expected


def test_a_validation_loss_that_is_not_finite_costs_its_epoch(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tiny.begin(**SETTINGS)
    evaluate, calls = mmtrain.train.evaluate, Counter[str]()

    def evaluate_and_spoil(task: Any, network: Any, split: str) -> tuple[float, Any]:
        loss, predictions = evaluate(task, network, split)
        calls[split] += 1
        return (NAN if calls[split] == 2 else loss), predictions

    monkeypatch.setattr(mmtrain.train, "evaluate", evaluate_and_spoil)
    with pytest.raises(TrainError, match=r"The validation loss of epoch 2 is not a finite number"):
        go(tiny, run)
    assert [entry["epoch"] for entry in tiny.epochs(run)] == [1]


def test_a_run_that_diverges_in_its_first_step_is_resumed_from_its_start(tiny: Any) -> None:
    run = tiny.begin(**SETTINGS | {"learning_rate": 1e30, "checkpoint_minutes": 10.0})
    with pytest.raises(TrainError, match=r"step 2 of epoch 1 .*from its start") as caught:
        go(tiny, run)
    assert "--finish" not in str(caught.value)


def test_every_rank_names_the_step_of_the_one_that_met_it(tiny: Any, start_ranks: Any) -> None:
    run = tiny.begin(**SETTINGS | {"learning_rate": 1e30})
    told = [str(error) for error in start_ranks(2, "train_runs", root=tiny.layout.root, runs=[run.path]).wait()]
    assert len(set(told)) == 1 and "step 2 of epoch 1 is not a finite number" in told[0]


def test_checkpoints_of_earlier_versions_that_are_not_finite_are_passed_over(
    tiny: Any, caplog: pytest.LogCaptureFixture
) -> None:
    whole, run = tiny.begin(**SETTINGS), tiny.begin(**SETTINGS)
    expected = go(tiny, whole)

    with pytest.raises(KeyboardInterrupt):
        go(tiny, run, observers=[StopAfter(2)])
    learner = build_learner(tiny.prepare(**SETTINGS))
    for parameter in learner.network.parameters():
        parameter.grad = torch.full_like(parameter, NAN)
    learner.optimizer.step()
    save_checkpoint(run.checkpoint, learner.network, learner.optimizer, read_progress(run.checkpoint))
    assert go(tiny, run, resumed=True) == expected
    assert "holds numbers that are not finite. The one before is used." in caplog.text

    run.metrics.unlink()
    for _ in range(2):
        save_checkpoint(run.checkpoint, learner.network, learner.optimizer, read_progress(whole.checkpoint))
    with pytest.raises(TrainError, match=rf"not finite.*mm train --finish {run.run_id}"):
        go(tiny, run, resumed=True)
    assert go(tiny, run, finishing=True) == expected


def test_the_best_epoch_is_tested_without_any_checkpoint(tiny: Any) -> None:
    settings = SETTINGS | {"epochs": 6, "learning_rate": 0.3}
    run = tiny.begin(**settings)

    with pytest.raises(KeyboardInterrupt):
        go(tiny, run, observers=[StopAfter(4)])
    for path in run.checkpoint.parent.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(TrainError, match=f"mm train --finish {run.run_id}"):
        go(tiny, run, resumed=True)
    entries = tiny.epochs(run)
    best = min(entries, key=lambda entry: entry["val_loss"])
    metrics = go(tiny, run, finishing=True)
    assert (metrics["epochs"], metrics["best_epoch"]) == (4, best["epoch"])
    assert best["val"].items() <= metrics["val"].items()
    assert metrics["losses"]["val"] == pytest.approx(best["val_loss"])
    assert tiny.epochs(run) == entries


@pytest.mark.parametrize("line", ["3", "[]", "{", '{"epoch": "1", "train_loss": 1, "val_loss": 1}', "[" * 100_000])
def test_epochs_that_are_damaged_are_not_guessed_from(tiny: Any, line: str) -> None:
    run = tiny.train(inputs=("connectivity",), epochs=1)
    run.epochs.write_text(f"{line}\n")
    with pytest.raises(TrainError, match="no finished epoch"):
        go(tiny, run, finishing=True)


def test_an_epoch_whose_loss_was_not_finite_is_not_the_best(tiny: Any) -> None:
    run = tiny.train(inputs=("connectivity",), epochs=2)
    first, second = (json.loads(line) for line in run.epochs.read_text().splitlines())
    write_json_lines(run.epochs, [first | {"val_loss": NAN}, second])
    assert go(tiny, run, finishing=True)["best_epoch"] == 2


def test_a_run_without_a_finished_epoch_has_nothing_to_test(tiny: Any) -> None:
    run = tiny.begin(**SETTINGS)
    with pytest.raises(TrainError, match=rf"no finished epoch.*mm train --resume {run.run_id}"):
        go(tiny, run, finishing=True)


def test_a_network_s_own_infinite_constants_are_no_divergence() -> None:
    network = torch.nn.Linear(2, 1)
    network.register_buffer("mask", torch.tensor([0.0, -float("inf")]))
    assert find_non_finite(network, torch.optim.Adam(network.parameters())) is None


def test_a_loss_is_watched_from_its_first_step_to_its_last() -> None:
    watch = LossWatch(torch.device("cpu"))
    assert watch.failed_step() is None
    for step, value in enumerate([1.0, float("inf"), NAN], start=4):
        watch.note(step, torch.tensor(value))
    assert watch.failed_step() == watch.failed_step() == 5


def test_a_part_of_an_epoch_is_not_continued_with_other_batches(tiny: Any) -> None:
    run = tiny.begin(**SETTINGS)
    task = tiny.prepare(**SETTINGS)
    learner = build_learner(task)
    progress = read_progress(run.checkpoint)
    progress.part.steps, progress.part.num_samples = 2, 12  # of batches of 6
    save_checkpoint(run.checkpoint, learner.network, learner.optimizer, progress)
    with pytest.raises(TrainError, match=r"12 samples in 2 batches.*--batch-size"):
        go(tiny, run, resumed=True)
