import time
from collections.abc import Iterator

import pytest
import torch

from mmtrain.waiting import WaitClock


def slow_batches(num: int, seconds: float) -> Iterator[int]:
    for number in range(num):
        time.sleep(seconds)
        yield number


@pytest.fixture
def _time_passes_in_sleep_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])


@pytest.mark.usefixtures("_time_passes_in_sleep_alone")
def test_the_time_between_batches_counts_and_the_time_with_them_does_not() -> None:
    clock = WaitClock(torch.device("cpu"))
    for _ in clock.watch(slow_batches(5, 0.01)):
        time.sleep(0.03)
    assert clock.take_seconds() == pytest.approx(0.05)


@pytest.mark.usefixtures("_time_passes_in_sleep_alone")
def test_what_was_taken_does_not_count_again() -> None:
    clock = WaitClock(torch.device("cpu"))
    watched = clock.watch(slow_batches(2, 0.02))
    next(watched)
    assert clock.take_seconds() == pytest.approx(0.02)
    assert clock.take_seconds() == 0
    next(watched)
    assert clock.take_seconds() == pytest.approx(0.02)


class Event:
    """A mark in the queue of a GPU that is always done at once; its clock says milliseconds."""

    clock_ms = 0.0

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing

    def record(self, stream: str) -> None:
        assert stream == "computing"
        self.at_ms = Event.clock_ms

    def elapsed_time(self, end: "Event") -> float:
        return end.at_ms - self.at_ms


def test_on_a_gpu_its_own_marks_tell_and_it_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: "computing")
    monkeypatch.setattr(torch.cuda, "synchronize", waits.append)

    def arrive() -> Iterator[int]:
        for number in range(4):
            Event.clock_ms += 250  # the GPU has nothing to do
            yield number

    clock = WaitClock(torch.device("cuda"))
    for _ in clock.watch(arrive()):
        Event.clock_ms += 1000
    assert waits == []
    assert clock.take_seconds() == 1.0
    assert len(waits) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_that_has_work_queued_does_not_wait() -> None:
    device = torch.device("cuda")
    matrix = torch.rand(4096, 4096, device=device)
    clock = WaitClock(device)
    for _ in clock.watch(slow_batches(5, 0.001)):
        for _ in range(20):
            matrix = torch.nn.functional.normalize(matrix @ matrix)
    busy = clock.take_seconds()
    for _ in clock.watch(slow_batches(5, 0.05)):
        matrix = matrix + 1
    assert busy < 0.05
    assert clock.take_seconds() > 0.2
