from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mmtrain.bench.batches import first_batch, hold, in_mode
from mmtrain.bench.convolutions import find_convolutions, measure_convolutions
from mmtrain.learner import build_learner, take_step
from mmtrain.task import Task
from tests.mmtrain.conftest import TinyStudy, make_tiny_study

CPU = torch.device("cpu")
CONVOLUTIONS = (torch.ops.aten.convolution, torch.ops.aten.convolution_backward)


def plain(tiny: Any, **settings: Any) -> Task:
    return in_mode(tiny.prepare(**settings), "none")


def flops_of_convolutions(counter: FlopCounterMode) -> int:
    return sum(counter.get_flop_counts()["Global"].get(operation, 0) for operation in CONVOLUTIONS)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> TinyStudy:
    """Volumes that every network takes."""
    splits = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    return make_tiny_study(tmp_path_factory.mktemp("wide") / "study", splits, side=32)


@pytest.mark.parametrize("network", [{"model": "fusion"}, {"model": "sfcn", "channels": ()}])
def test_the_calls_that_are_found_have_all_operations_of_a_step_in_convolutions(
    wide: TinyStudy, network: dict[str, Any]
) -> None:
    task = plain(wide, inputs=("flair", "t1"), **network)
    portion = first_batch(task)[0]
    batch, learner = hold(task, portion), build_learner(task)
    learner.network.train()
    with FlopCounterMode(display=False) as of_step:
        take_step(task, learner, portion, batch, 1)
    calls = find_convolutions(task, portion, batch)
    with FlopCounterMode(display=False) as of_calls:
        for call, number in calls.items():
            for _ in range(number):
                call.prepare(CPU)()
    assert flops_of_convolutions(of_calls) == flops_of_convolutions(of_step) > 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_calls_have_the_samples_and_the_type_of_the_run_and_no_gradient_that_nobody_wants(
    tiny: Any, precision: str
) -> None:
    task = plain(tiny, inputs=("flair", "t1"), precision=precision)
    portion = first_batch(task)[0]
    calls = find_convolutions(task, portion, hold(task, portion))
    for call in calls:
        assert {operand.shape[0] for operand in call.of_samples} == {len(portion.request.rows)}
        assert {operand.dtype for operand in (*call.of_samples, call.weight)} == {task.dtype}
    wanted = [call.gradients for call in calls if call.of_samples[-1].shape[1] == 2 and call.gradients]
    assert wanted and not any(of_volumes for of_volumes, _ in wanted)


def test_calls_have_the_memory_format_of_the_run(tiny: Any) -> None:
    task = plain(tiny, inputs=("flair", "t1"))
    portion = first_batch(task)[0]
    for call in find_convolutions(task, portion, hold(task, portion)):
        assert call.of_samples[-1].draw(CPU).is_contiguous(memory_format=torch.channels_last_3d)


def test_what_comes_twice_takes_twice_as_long(monkeypatch: pytest.MonkeyPatch, tiny: Any) -> None:
    task = plain(tiny, inputs=("t1",))
    portion = first_batch(task)[0]
    calls = find_convolutions(task, portion, hold(task, portion))
    monkeypatch.setattr("mmtrain.bench.convolutions._seconds_of", lambda call, device, seconds: seconds)
    assert measure_convolutions(dict.fromkeys(calls, 2), CPU, 3.0) == pytest.approx(6.0)


def test_a_network_without_convolutions_has_no_calls(tiny: Any) -> None:
    task = plain(tiny, inputs=("connectivity",))
    portion = first_batch(task)[0]
    assert not find_convolutions(task, portion, hold(task, portion))
