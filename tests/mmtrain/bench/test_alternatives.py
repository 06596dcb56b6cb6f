from typing import Any

import pytest
import torch

from mmtrain.bench import alternatives
from mmtrain.bench.alternatives import alternatives_of, measure_alternatives
from mmtrain.precision import Arithmetic
from mmtrain.task import Task

NO_TIME = 1e-9


def on_gpu(task: Task, arithmetic: Arithmetic) -> Any:
    """Return what a task on a GPU says of itself."""

    class OnGpu:
        config, device = task.config, torch.device("cuda")

    gpu = OnGpu()
    gpu.arithmetic = arithmetic  # type: ignore[attr-defined]
    return gpu


def test_a_processor_is_asked_only_for_what_it_does_without_being_emulated(tiny: Any) -> None:
    assert alternatives_of(tiny.prepare(inputs=("t1",))) == []
    assert alternatives_of(tiny.prepare(inputs=("t1",), precision="bfloat16")) == [("precision", "auto")]
    assert alternatives_of(tiny.prepare(inputs=("t1",), compile=True)) == [("compile", False)]


def test_a_gpu_is_asked_for_compiled_code_and_for_the_type_it_is_best_at(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny.prepare(inputs=("t1",))
    monkeypatch.setattr(alternatives, "resolve_precision", lambda *_: "bfloat16")
    assert alternatives_of(on_gpu(task, "bfloat16")) == [("compile", True)]
    assert alternatives_of(on_gpu(task, "float32")) == [("precision", "auto"), ("compile", True)]
    monkeypatch.setattr(alternatives, "resolve_precision", lambda *_: "float32")
    assert alternatives_of(on_gpu(task, "float32")) == [("precision", "float16"), ("compile", True)]


def test_an_alternative_is_measured_as_the_step_is(tiny: Any) -> None:
    (measured,) = measure_alternatives(tiny.prepare(inputs=("t1",), precision="float64"), NO_TIME)
    assert (measured.setting, measured.value, measured.problem) == ("precision", "auto", "")
    assert measured.samples_per_second and measured.warm_up_seconds > 0


def test_an_alternative_that_fails_is_told_and_stops_nothing(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no compiler here\nand much more")

    monkeypatch.setattr(alternatives, "measure_step", fail)
    (measured,) = measure_alternatives(tiny.prepare(inputs=("t1",), compile=True), NO_TIME)
    assert (measured.samples_per_second, measured.problem) == (None, "no compiler here")
