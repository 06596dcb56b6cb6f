"""Changes that are drawn ahead of the device, against those that are drawn on the spot."""

import threading
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest
import torch

from mmdata.augment.apply import BatchChanges
from mmdata.augment.changes import map_tensors
from mmtrain.data.augmentation import draw_ahead, draw_changes
from mmtrain.data.stream import BatchRequest, StoredBatch
from mmtrain.task import network_inputs, stream_task, training_portions

PROCESSOR = torch.device("cpu")
REQUESTS = [BatchRequest(np.array([number]), np.array([number]), np.array([0])) for number in range(9)]


def batches() -> Iterator[StoredBatch]:
    return (StoredBatch(request, {}) for request in REQUESTS)


def named(request: BatchRequest) -> Any:
    return f"changes of {request.positions[0]}"


def test_each_batch_comes_with_its_own_changes() -> None:
    drawn = [
        (int(batch.request.positions[0]), batch.changes) for batch in draw_ahead(batches(), REQUESTS, named, PROCESSOR)
    ]
    assert drawn == [(number, f"changes of {number}") for number in range(9)]


def test_drawing_runs_only_a_little_ahead_and_ends_with_whoever_reads() -> None:
    drawn: list[int] = []

    def note(request: BatchRequest) -> Any:
        drawn.append(int(request.positions[0]))
        return named(request)

    ahead = draw_ahead(batches(), REQUESTS, note, PROCESSOR)
    next(ahead)
    ahead.close()  # type: ignore[attr-defined]
    assert 0 in drawn and len(drawn) <= 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("recipes")]


def test_a_failure_to_draw_is_the_readers() -> None:
    def fail(_: BatchRequest) -> BatchChanges:
        raise ValueError("no such sample")

    with pytest.raises(ValueError, match="no such sample"):
        next(draw_ahead(batches(), REQUESTS, fail, PROCESSOR))


def test_recipes_of_a_rank_are_locked_for_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[str, int]] = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: used.append((threading.current_thread().name, index)))

    class Pinnable:
        def pinned(self) -> str:
            return "in page-locked memory"

    ahead = draw_ahead(batches(), REQUESTS, lambda _: cast(Any, Pinnable()), torch.device("cuda"))
    assert {cast(Any, batch.changes) for batch in ahead} == {"in page-locked memory"}
    assert used == [("recipes_0", 3)]


@pytest.mark.parametrize("mode", ["on-device", "hybrid"])
def test_a_stream_draws_what_a_batch_by_itself_draws(tiny: Any, mode: str) -> None:
    task = tiny.prepare(inputs=("t1", "flair"), augment=mode, copies=0)
    requests = [portion.request for portion in training_portions(task, 2)]
    for batch in stream_task(task, requests, 2):
        assert batch.changes is not None
        alone = StoredBatch(batch.request, batch.stored)
        ahead, on_the_spot = (network_inputs(task, each, 2).volumes_BCXYZ for each in (batch, alone))
        assert ahead is not None and on_the_spot is not None
        assert torch.equal(ahead, on_the_spot)
    assert next(stream_task(task, requests)).changes is None


def test_copies_that_were_moved_already_are_not_moved_again(tiny: Any) -> None:
    names = ["one", "another", "a third"]
    moves = {
        mode: draw_changes(tiny.prepare(inputs=("t1",), augment=mode, copies=0).config, names, 1).moves
        for mode in ("on-device", "hybrid")
    }
    assert moves["hybrid"] is None and moves["on-device"] is not None
    assert map_tensors(moves["on-device"], torch.clone).control_NIJK3.shape[0] <= len(names)
