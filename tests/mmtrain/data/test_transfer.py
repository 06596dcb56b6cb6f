"""Copies to a device as slow as may be: it does what it was asked to only when somebody waits for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from mmtrain.data.stream import BatchRequest, StoredBatch
from mmtrain.data.transfer import transfer_batches

SIZES = (3, 3, 2, 4, 1, 3, 3)


class LateStream:
    """A GPU's queue that works only while somebody waits for it."""

    computing: "LateStream"
    chosen: "LateStream | None" = None

    def __init__(self, _: object = None) -> None:
        self.work: list[Callable[[], None]] = []
        self.done = 0

    def run(self, until: int) -> None:
        while self.done < until:
            self.done += 1
            self.work[self.done - 1]()

    def wait_stream(self, other: "LateStream") -> None:
        until = len(other.work)
        self.work.append(lambda: other.run(until))

    def synchronize(self) -> None:
        self.run(len(self.work))


class LateDevice(TorchFunctionMode):
    """Keep "device" tensors in the host's memory, and put copies into the chosen stream."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty_like:
            kwargs.pop("device")
        if func is torch.Tensor.copy_ and LateStream.chosen is not None:
            assert kwargs == {"non_blocking": True}
            LateStream.chosen.work.append(lambda: func(*args))
            return args[0]
        return func(*args, **kwargs)


@pytest.fixture
def late_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    LateStream.computing = LateStream()

    @contextmanager
    def choose(stream: LateStream) -> Iterator[None]:
        LateStream.chosen = stream
        yield
        LateStream.chosen = None

    monkeypatch.setattr(torch.cuda, "Stream", LateStream)
    monkeypatch.setattr(torch.cuda, "stream", choose)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: LateStream.computing)
    with LateDevice():
        yield torch.device("cuda")


def stream_numbers() -> Iterator[StoredBatch]:
    """Yield batch k full of k, in a buffer that is filled with the next one as soon as that is asked for."""
    buffer = torch.zeros(max(SIZES), 2, dtype=torch.uint8)
    for number, size in enumerate(SIZES):
        buffer.fill_(number)
        request = BatchRequest(np.arange(size), np.arange(size), np.zeros(size, np.int64))
        yield StoredBatch(request, {"t1": buffer[:size]})
    buffer.fill_(255)


def test_every_batch_arrives_whole_however_late_the_device_works(late_device: torch.device) -> None:
    seen: list[list[list[int]]] = []
    for batch in transfer_batches(stream_numbers(), late_device):
        LateStream.computing.work.append(lambda stored=batch.stored["t1"]: seen.append(stored.tolist()))
    LateStream.computing.synchronize()
    assert seen == [[[number] * 2] * size for number, size in enumerate(SIZES)]


def test_the_next_batch_is_being_copied_while_one_is_computed_with(late_device: torch.device) -> None:
    asked: list[int] = []

    def note(batches: Iterator[StoredBatch]) -> Iterator[StoredBatch]:
        for number, batch in enumerate(batches):
            asked.append(number)
            yield batch

    arrived = transfer_batches(note(stream_numbers()), late_device)
    for number in range(len(SIZES) - 1):
        next(arrived)
        assert asked[-1] == number + 1


def test_a_copy_that_is_under_way_is_waited_for_when_nobody_wants_more(late_device: torch.device) -> None:
    arrived = transfer_batches(stream_numbers(), late_device)
    next(arrived)
    arrived.close()
    before = len(LateStream.computing.work)
    assert before
    LateStream.computing.synchronize()  # holds the wait for the copies, so later work finds them ended


def test_on_the_processor_batches_are_passed_on_as_they_are() -> None:
    batches = list(stream_numbers())
    assert all(a is b for a, b in zip(transfer_batches(batches, torch.device("cpu")), batches, strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gets_every_batch_whole() -> None:
    device = torch.device("cuda")

    def pinned() -> Iterator[StoredBatch]:
        buffer = torch.zeros(4, 1 << 20, dtype=torch.uint16).pin_memory()
        for number in range(20):
            buffer.copy_(torch.full_like(buffer, number))
            yield StoredBatch(BatchRequest(np.arange(4), np.arange(4), np.zeros(4, np.int64)), {"t1": buffer})

    sums = [batch.stored["t1"].to(torch.int64).sum() for batch in transfer_batches(pinned(), device)]
    assert [int(total) for total in sums] == [number << 22 for number in range(20)]
