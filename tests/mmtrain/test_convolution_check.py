"""Convolutions that are wrong or slow on purpose, on the processor."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional

import mmtrain.convolution_check
from mmtrain.convolution_check import (
    LARGEST_ERRORS,
    Case,
    Comparison,
    check_convolutions,
    compare,
    find_cases,
    require_right,
    tell_slowdown,
)
from mmtrain.errors import TrainError
from mmtrain.learner import build_learner
from mmtrain.precision import Arithmetic

CPU = torch.device("cpu")
CASE = Case(
    inputs=(2, 3, 8, 8, 8),
    weight=(4, 3, 3, 3, 3),
    outputs=(2, 4, 8, 8, 8),
    settings=(("stride", (1, 1, 1)), ("padding", (1, 1, 1)), ("dilation", (1, 1, 1)), ("groups", 1)),
)
VOLUMES = {"inputs": ("t1", "connectivity")}


def is_rounded(x: torch.Tensor) -> bool:
    return torch.is_autocast_enabled("cpu") and x.dtype == torch.float32


@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16", "float16"])
def test_a_convolution_that_is_right_differs_by_rounding(arithmetic: Arithmetic) -> None:
    found = compare(CASE, arithmetic, CPU)
    assert 0 < found.error < LARGEST_ERRORS[arithmetic] / 4
    require_right(arithmetic, [found])


class LostWeights(torch.autograd.Function):
    """A convolution whose gradient for its weights lacks a part."""

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor) -> torch.Tensor:
        return weight.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * (torch.arange(len(gradient)) > 0)[:, None, None, None, None]


def wrong_result(x: torch.Tensor, weight: torch.Tensor, **settings: Any) -> torch.Tensor:
    result = functional.conv3d(x, weight, **settings)
    return result.roll(1, dims=1) if is_rounded(x) else result


def wrong_gradient(x: torch.Tensor, weight: torch.Tensor, **settings: Any) -> torch.Tensor:
    return functional.conv3d(x, LostWeights.apply(weight) if is_rounded(x) else weight, **settings)


def not_a_number(x: torch.Tensor, weight: torch.Tensor, **settings: Any) -> torch.Tensor:
    result = functional.conv3d(x, weight, **settings)
    return result * float("nan") if is_rounded(x) else result


@pytest.mark.parametrize("convolve", [wrong_result, wrong_gradient, not_a_number])
def test_a_convolution_that_is_wrong_is_refused_by_its_shape(convolve: Any) -> None:
    found = compare(CASE, "bfloat16", CPU, convolve=convolve)
    with pytest.raises(TrainError, match=r"wrongly in bfloat16: from 3 to 4 channels at side 8.*--precision float32"):
        require_right("bfloat16", [found])


def test_a_convolution_that_is_absurdly_slow_is_told() -> None:
    now = 0.0

    def convolve(x: torch.Tensor, weight: torch.Tensor, **settings: Any) -> torch.Tensor:
        nonlocal now
        now += 120.0 if is_rounded(x) else 2.0
        return functional.conv3d(x, weight, **settings)

    found = compare(CASE, "bfloat16", CPU, convolve=convolve, clock=lambda: now)
    assert found.slowdown == 60
    told = tell_slowdown("bfloat16", found.slowdown)
    assert told.startswith("The GPU's convolutions take 60 times as long in bfloat16 as in float32.")
    assert "--precision float64" in tell_slowdown("float32", 5.0)
    assert tell_slowdown("bfloat16", 0.2) == ""


def test_convolutions_that_are_faster_than_their_launch_are_not_compared_in_speed() -> None:
    now = 0.0

    def convolve(x: torch.Tensor, weight: torch.Tensor, **settings: Any) -> torch.Tensor:
        nonlocal now
        now += 2e-4 if is_rounded(x) else 1e-5
        return functional.conv3d(x, weight, **settings)

    assert compare(CASE, "bfloat16", CPU, convolve=convolve, clock=lambda: now).slowdown == pytest.approx(0.2)


def test_the_convolutions_that_are_checked_are_the_largest_of_the_network_and_leave_it_alone(tiny: Any) -> None:
    task = tiny.prepare(**VOLUMES, channels=(4, 6))
    learner = build_learner(task)
    learner.network.train()
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    state = torch.get_rng_state()
    first, second, third = find_cases(task, learner.network)
    assert torch.equal(torch.get_rng_state(), state)
    assert (first.inputs, first.weight) == ((1, 4, 8, 8, 8), (4, 4, 3, 3, 3))
    assert second.weight == (6, 6, 3, 3, 3) and second.inputs == (1, 6, 4, 4, 4)
    assert first.num_products >= second.num_products >= third.num_products
    assert learner.network.training
    assert all(torch.equal(value, before[name]) for name, value in learner.network.state_dict().items())


@pytest.mark.parametrize("settings", [{"inputs": ("connectivity",)}, {"inputs": ("t1",), "model": "linear"}])
def test_a_network_without_convolutions_has_nothing_to_check(tiny: Any, settings: dict[str, Any]) -> None:
    task = tiny.prepare(**{"channels": (), **settings})
    assert find_cases(task, build_learner(task).network) == []


def test_a_run_on_a_gpu_is_checked_before_it_learns(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task = tiny.prepare(**VOLUMES)
    network = build_learner(task).network
    assert check_convolutions(task, network) == "", "a processor is not checked"
    slow = Comparison(CASE, error=0.0, slowdown=7.0)
    monkeypatch.setattr(mmtrain.convolution_check, "find_cases", lambda *_: [CASE])
    monkeypatch.setattr(mmtrain.convolution_check, "compare", lambda *_: slow)
    on_gpu = replace(task, device=torch.device("cuda"), arithmetic="bfloat16")
    assert "take 7 times as long" in check_convolutions(on_gpu, network)
    monkeypatch.setattr(mmtrain.convolution_check, "compare", lambda *_: replace(slow, error=1.0))
    with pytest.raises(TrainError, match="wrongly"):
        check_convolutions(on_gpu, network)
