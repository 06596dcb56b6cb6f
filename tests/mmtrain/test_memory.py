import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import mmtrain.epoch
from mmtrain.config.run import RunConfig, parse_run_config
from mmtrain.errors import TrainError
from mmtrain.memory import advise, explain_exhaustion
from mmtrain.run import find_run
from mmtrain.train import train


def make(**changes: Any) -> RunConfig:
    return parse_run_config(
        {"target": "age", "kind": "regression", "unit": "years", "inputs": ("t1",), "side": 64} | changes
    )


@pytest.mark.parametrize(
    ("changes", "num_ranks", "expected"),
    [
        (
            {"batch_size": 64},
            1,
            r"^The device's memory does not hold 64 samples at side 64\. Try --accumulate 2, which computes the same "
            r"batch of 64 in parts half as large, or --batch-size 32\.$",
        ),
        ({"batch_size": 64, "accumulate": 4}, 4, r"does not hold 4 samples .* --accumulate 8, .* or --batch-size 32\."),
        ({"batch_size": 6, "accumulate": 2}, 1, r"does not hold 3 samples .*memory\."),
        ({"batch_size": 8}, 4, r"does not hold 2 samples .* a smaller --side, or on a device with more memory\."),
    ],
)
def test_the_advice_names_what_may_help(changes: dict[str, Any], num_ranks: int, expected: str) -> None:
    assert re.search(expected, advise(make(**changes), num_ranks))


@pytest.mark.parametrize(("cache", "told"), [("auto", True), ("device", True), ("host", False), ("none", False)])
def test_rows_that_may_lie_on_the_gpu_are_told_of(cache: str, *, told: bool) -> None:
    assert ("--cache host" in advise(make(cache=cache), 1, is_gpu=True)) == told
    assert "--cache" not in advise(make(cache=cache), 1)


@given(st.integers(3, 80), st.integers(1, 20), st.sampled_from([1, 2, 3, 8]))
def test_advice_can_be_followed_and_needs_less_memory(batch_size: int, accumulate: int, num_ranks: int) -> None:
    assume(accumulate * 2 <= batch_size)
    config = make(batch_size=batch_size, accumulate=accumulate)
    for option, value in re.findall(r"--(accumulate|batch-size) (\d+)", advise(config, num_ranks)):
        changed = make(**{"batch_size": batch_size, "accumulate": accumulate, option.replace("-", "_"): int(value)})
        before, after = (c.batch_size / c.accumulate for c in (config.optimisation, changed.optimisation))
        assert after <= before / 2
        assert changed.optimisation.batch_size // changed.optimisation.accumulate >= num_ranks


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_an_allocation_that_fails_in_a_step_ends_in_advice(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    run = tiny.begin(inputs=("t1",))

    def exhaust(*_: Any) -> torch.Tensor:
        raise error

    monkeypatch.setattr(mmtrain.epoch, "take_step", exhaust)
    with pytest.raises(TrainError, match=r"does not hold 8 samples at side 8\. Try --accumulate 2"):
        train(run, tiny.layout, find_run(tiny.layout.runs, run.run_id)[1])


def test_an_allocation_that_really_fails_is_explained() -> None:
    with pytest.raises(TrainError, match="does not hold"), explain_exhaustion(make(), 1):
        torch.empty(1 << 60, dtype=torch.uint8)


def test_samples_that_do_not_fit_together_are_explained() -> None:
    with pytest.raises(TrainError, match="does not hold the training samples"), explain_exhaustion(make(), 1):
        np.empty(1 << 45)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), explain_exhaustion(make(), 1):
        raise RuntimeError("shapes do not fit")
