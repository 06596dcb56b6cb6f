"""float16 with loss scaling, on the processor, which emulates it."""

from typing import Any

import pytest
import torch

import mmtrain.learner
from mmtrain.checkpoint import Progress, load_checkpoint
from mmtrain.errors import TrainError
from mmtrain.learner import Learner, build_learner, take_step
from mmtrain.run import RunDirectory, find_run
from mmtrain.state import Run, checkpoint
from mmtrain.stopping import StopRequest
from mmtrain.task import Task, stream_task, training_portions
from mmtrain.train import train
from tests.mmtrain.conftest import StopAfter

SETTINGS = {"inputs": ("t1", "connectivity"), "precision": "float16", "epochs": 3}


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scalers begin where gradients overflow, and grow after every third step."""

    def make(*_: Any) -> torch.amp.GradScaler:
        return torch.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=3)

    monkeypatch.setattr(mmtrain.learner, "make_scaler", make)


def take_steps(task: Task, learner: Learner, num_steps: int) -> None:
    portions = training_portions(task, 1)[:num_steps]
    batches = stream_task(task, [portion.request for portion in portions])
    for portion, batch in zip(portions, batches, strict=True):
        take_step(task, learner, portion, batch, 1)


def gradients(task: Task, learner: Learner) -> dict[str, torch.Tensor]:
    """Return the gradients that the first step is taken with, without its scale."""
    seen: dict[str, torch.Tensor] = {}

    def look(*_: Any) -> None:
        names = learner.network.named_parameters()
        seen.update({name: p.grad / learner.scaler.get_scale() for name, p in names if p.grad is not None})

    learner.optimizer.register_step_pre_hook(look)
    learner.network.eval()
    take_steps(task, learner, 1)
    return seen


def test_a_step_in_float16_follows_the_gradients_of_float32_to_rounding(tiny: Any) -> None:
    exact, rounded = (tiny.prepare(**SETTINGS | {"precision": name}) for name in ("float32", "float16"))
    expected, found = (gradients(task, build_learner(task)) for task in (exact, rounded))
    assert found.keys() == expected.keys()
    whole, of_float16 = (torch.cat([g.flatten() for g in grads.values()]) for grads in (expected, found))
    assert 0 < (of_float16 - whole).norm() / whole.norm() < 0.02


def test_a_step_whose_gradients_overflow_is_left_out_and_the_next_is_scaled_less(tiny: Any, restless: None) -> None:
    task = tiny.prepare(**SETTINGS)
    learner = build_learner(task)
    before = {name: value.clone() for name, value in learner.network.named_parameters()}
    take_steps(task, learner, 1)
    assert learner.scaler.get_scale() == 2.0**23
    assert all(torch.equal(value, before[name]) for name, value in learner.network.named_parameters())


def test_a_clipped_step_is_clipped_without_its_scale(tiny: Any) -> None:
    task = tiny.prepare(**SETTINGS, clip_norm=0.05)
    learner = build_learner(task)
    of_step = [gradient * learner.scaler.get_scale() for gradient in gradients(task, learner).values()]
    assert torch.cat([gradient.flatten() for gradient in of_step]).norm().item() == pytest.approx(0.05, rel=1e-3)


def test_a_run_that_is_resumed_scales_as_if_it_had_never_stopped(tiny: Any, restless: None) -> None:
    whole = tiny.train(**SETTINGS)
    run: RunDirectory = tiny.begin(**SETTINGS)
    config = find_run(tiny.layout.runs, run.run_id)[1]
    with pytest.raises(KeyboardInterrupt):
        train(run, tiny.layout, config, observers=[StopAfter(1)])
    learner = build_learner(tiny.prepare(**SETTINGS))
    load_checkpoint(run.checkpoint, learner.network, learner.optimizer, learner.scaler)
    assert learner.scaler.get_scale() != 2.0**24
    train(run, tiny.layout, config, resumed=True)
    assert tiny.epochs(run) == tiny.epochs(whole)
    assert run.model.read_bytes() == whole.model.read_bytes()


def test_a_run_of_another_precision_goes_on_in_float16_with_a_new_scale(tiny: Any) -> None:
    run = tiny.begin(**SETTINGS | {"precision": "float32"})
    config = find_run(tiny.layout.runs, run.run_id)[1]
    with pytest.raises(KeyboardInterrupt):
        train(run, tiny.layout, config, observers=[StopAfter(1)])
    train(run, tiny.layout, config.changed(precision="float16"), resumed=True)
    assert len(tiny.epochs(run)) == SETTINGS["epochs"]


def test_a_run_without_any_finite_gradient_ends_and_says_what_mends_it(tiny: Any) -> None:
    run = tiny.begin(**SETTINGS)
    task = tiny.prepare(**SETTINGS)
    learner = build_learner(task)
    learner.scaler.load_state_dict({**learner.scaler.state_dict(), "scale": 2.0**-15})
    with pytest.raises(TrainError, match=r"the gradient is not a finite number.*--precision float32"):
        checkpoint(Run(run, task, learner, Progress(), StopRequest()))
