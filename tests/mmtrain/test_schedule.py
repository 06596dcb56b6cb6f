import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmtrain.config.run import parse_run_config
from mmtrain.epoch import rate_of_step
from mmtrain.schedule import Schedule, learning_rate

schedules = st.sampled_from(["constant", "cosine", "linear"])


def rate(schedule: Schedule, epoch: float, epochs: int = 10, warmup: float = 2.0, peak: float = 0.8) -> float:
    return learning_rate(schedule, peak, epoch=epoch, epochs=epochs, warmup_epochs=warmup)


@pytest.mark.parametrize(
    ("schedule", "epoch", "expected"),
    [
        ("constant", 2.0, 0.8),
        ("constant", 9.9, 0.8),
        ("linear", 2.0, 0.8),
        ("linear", 4.0, 0.6),
        ("linear", 10.0, 0.0),
        ("cosine", 2.0, 0.8),
        ("cosine", 4.0, 0.8 * (1 + math.sqrt(0.5)) / 2),
        ("cosine", 6.0, 0.4),
        ("cosine", 10.0, 0.0),
        ("constant", 0.0, 0.008),
        ("linear", 0.5, 0.2),
        ("cosine", 1.0, 0.4),
    ],
)
def test_rates_worked_by_hand(schedule: Schedule, epoch: float, expected: float) -> None:
    assert rate(schedule, epoch) == pytest.approx(expected, abs=1e-12)


@given(schedules, st.integers(1, 300), st.floats(0, 1), st.floats(0, 1))
def test_a_rate_rises_to_its_peak_and_never_again(schedule: Schedule, epochs: int, share: float, at: float) -> None:
    warmup = share * epochs
    epoch = at * epochs
    now, later = rate(schedule, epoch, epochs, warmup), rate(schedule, min(epochs, epoch * 1.01), epochs, warmup)
    assert 0 <= now <= 0.8
    if epoch * 1.01 < warmup:
        assert 0 < now <= later
    elif epoch >= warmup:
        assert later <= now


@given(schedules, st.integers(2, 100), st.floats(0.05, 0.9), st.floats(0, 1))
def test_a_rate_never_jumps(schedule: Schedule, epochs: int, share: float, at: float) -> None:
    small = epochs * 1e-6
    one, other = (rate(schedule, at * epochs + e, epochs, share * epochs) for e in (0.0, small))
    assert abs(one - other) <= 0.8 * 1e-6 * math.pi * 2 / min(share, 1 - share)


@given(schedules, st.floats(0.001, 1))
def test_without_warm_up_training_begins_at_the_peak(schedule: Schedule, peak: float) -> None:
    assert learning_rate(schedule, peak, epoch=0.0, epochs=5, warmup_epochs=0.0) == pytest.approx(peak)


def test_the_rate_of_a_step_counts_epochs_from_one_and_goes_on_over_their_borders() -> None:
    given = {"target": "age", "kind": "regression", "unit": "", "inputs": ("connectivity",), "epochs": 4}
    config = parse_run_config(given | {"schedule": "linear", "learning_rate": 1.0})
    rates = [rate_of_step(config.optimisation, epoch, step / 5) for epoch in range(1, 5) for step in range(5)]
    assert rates == pytest.approx([1 - i / 20 for i in range(20)])
