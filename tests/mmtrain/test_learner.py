"""One step, against the same step written out."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import mmtrain.epoch
from mmtrain.config.model import ModelConfig
from mmtrain.learner import Learner, build_learner, take_step
from mmtrain.models.networks.fusion import weight_penalty
from mmtrain.run import find_run
from mmtrain.task import Task, forward, sample_losses, stream_task, training_portions
from mmtrain.train import train

PENALTIES = ModelConfig(weight_penalty=1e-4, connectivity_penalty=1e-3)
CLASSES = {"target": "sex", "kind": "classification", "balance": "none"}


def prepare(tiny: Any, **settings: Any) -> tuple[Task, Learner]:
    """Return a task and its learner in float64, without dropout and batch moments, so that parts add up."""
    task = tiny.prepare(**{"inputs": ("connectivity",), "precision": "float64"} | settings)
    learner = build_learner(task)
    learner.network.eval()
    return task, learner


def step(task: Task, learner: Learner, num_steps: int = 1) -> list[float]:
    """Take the first steps of the first epoch; return the sum of losses of each portion."""
    portions = training_portions(task, 1)[: num_steps * task.config.optimisation.accumulate]
    batches = stream_task(task, [portion.request for portion in portions])
    return [take_step(task, learner, *both, 1).item() for both in zip(portions, batches, strict=True)]


def gradients(task: Task, learner: Learner) -> dict[str, torch.Tensor]:
    """Return the gradients that the first step is taken with."""
    seen: dict[str, torch.Tensor] = {}

    def look(*_: Any) -> None:
        seen.update({name: p.grad.clone() for name, p in learner.network.named_parameters() if p.grad is not None})

    learner.optimizer.register_step_pre_hook(look)
    step(task, learner)
    return seen


@pytest.mark.parametrize("settings", [{}, CLASSES], ids=["regression", "classification"])
def test_a_step_follows_the_gradient_of_the_mean_loss_and_the_penalty(tiny: Any, settings: dict[str, Any]) -> None:
    task, learner = prepare(tiny, **settings)
    portion = training_portions(task, 1)[0]
    batch = next(stream_task(task, [portion.request]))
    outputs = learner.network(None, batch.stored["connectivity"].double(), None)
    truth = task.cohort.labels_NT[portion.request.positions, 0]
    if settings:
        labels = torch.tensor(np.stack([1 - truth, truth], axis=1))
        expected = functional.binary_cross_entropy_with_logits(outputs, labels, reduction="none").mean(1)
    else:
        expected = (outputs[:, 0] - torch.from_numpy(task.targets.kinds[0].scale(truth))) ** 2
    whole = expected.mean() + weight_penalty(learner.network, PENALTIES)
    names, parameters = zip(*learner.network.named_parameters(), strict=True)
    by_hand = dict(zip(names, torch.autograd.grad(whole, parameters), strict=True))
    assert step(task, prepare(tiny, **settings)[1])[0] == pytest.approx(expected.sum().item())
    for name, gradient in gradients(task, learner).items():
        torch.testing.assert_close(gradient, by_hand[name])


@pytest.mark.parametrize("accumulate", [2, 3])
@pytest.mark.parametrize("inputs", [("connectivity",), ("t1", "flair")])
def test_the_gradients_of_parts_add_up_to_those_of_the_batch(
    tiny: Any, inputs: tuple[str, ...], accumulate: int
) -> None:
    whole = gradients(*prepare(tiny, inputs=inputs))
    parts = gradients(*prepare(tiny, inputs=inputs, accumulate=accumulate))
    assert whole.keys() == parts.keys()
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name])


def test_a_step_is_taken_once_for_all_parts_and_begins_without_gradients(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, learner = prepare(tiny, accumulate=2)
    taken: list[int] = []
    learner.optimizer.register_step_post_hook(lambda *_: taken.append(1))
    assert len(step(task, learner, num_steps=3)) == 6
    assert len(taken) == 3
    assert all(parameter.grad is None for parameter in learner.network.parameters())


def test_every_step_draws_dropout_of_its_own_and_its_parts_one_after_the_other(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny.begin(inputs=("connectivity",), epochs=2, accumulate=2)
    states: list[tuple[int, bytes]] = []

    def note_and_step(*words: Any) -> torch.Tensor:
        states.append((torch.initial_seed(), torch.get_rng_state().numpy().tobytes()))
        return take_step(*words)

    monkeypatch.setattr(mmtrain.epoch, "take_step", note_and_step)
    train(run, tiny.layout, find_run(tiny.layout.runs, run.run_id)[1])
    assert len(states) == len(set(states)) == 2 * 4 * 2
    assert len({seed for seed, _ in states}) == 2 * 4


@pytest.mark.parametrize("clip_norm", [1e-3, 0.05])
def test_a_long_gradient_is_shortened_to_the_norm_and_keeps_its_direction(tiny: Any, clip_norm: float) -> None:
    free = gradients(*prepare(tiny))
    clipped = gradients(*prepare(tiny, clip_norm=clip_norm))
    before, after = (torch.cat([g.flatten() for g in grads.values()]) for grads in (free, clipped))
    assert before.norm() > clip_norm
    assert after.norm().item() == pytest.approx(clip_norm, rel=1e-3)
    assert torch.dot(before, after).item() == pytest.approx((before.norm() * after.norm()).item())


def test_a_short_gradient_is_left_alone(tiny: Any) -> None:
    free, clipped = gradients(*prepare(tiny)), gradients(*prepare(tiny, clip_norm=1e6))
    assert all(torch.equal(free[name], clipped[name]) for name in free)


def test_balance_by_weight_gives_both_classes_the_same_say(tiny: Any) -> None:
    task, _ = prepare(tiny, **CLASSES | {"balance": "weight"})
    plain, _ = prepare(tiny, **CLASSES)
    members = task.cohort.members("train")
    labels = task.cohort.labels_NT[members, 0]
    outputs = torch.zeros((len(members), 2), dtype=torch.float64)
    losses = sample_losses(task, outputs, members).numpy()
    by_hand = np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1 - labels.mean())) * np.log(2)
    np.testing.assert_allclose(losses, by_hand)
    assert losses[labels == 1].sum() == pytest.approx(losses[labels == 0].sum())
    assert losses.mean() == pytest.approx(sample_losses(plain, outputs, members).mean().item())
    assert sum(len(portion.request.positions) for portion in training_portions(task, 1)) == len(members)


def test_undersampling_leaves_losses_as_they_are(tiny: Any) -> None:
    task, _ = prepare(tiny, **CLASSES | {"balance": "undersample"})
    assert task.targets.kinds[0].class_weights == (1.0, 1.0)
    labels = np.concatenate([task.cohort.labels_NT[p.request.positions, 0] for p in training_portions(task, 1)])
    assert (labels == 1).sum() == (labels == 0).sum() > 0


def test_validation_is_not_changed_on_the_device(tiny: Any) -> None:
    task, learner = prepare(tiny, inputs=("t1",), augment="on-device", copies=0)
    batch = next(stream_task(task, [training_portions(task, 1)[0].request]))
    plain = [forward(task, learner.network, batch) for _ in range(2)]
    assert torch.equal(*plain)
    assert not torch.equal(plain[0], forward(task, learner.network, batch, 1))
    assert not torch.equal(forward(task, learner.network, batch, 2), forward(task, learner.network, batch, 1))
