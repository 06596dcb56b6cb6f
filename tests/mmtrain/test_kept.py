"""Runs of one process that keep the rows they read: the same models, bit for bit, as runs that stream them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file

from mmdata.store.array import open_array
from mmtrain.data import cache_plan
from mmtrain.kept import HOST, Kept, keep_rows
from mmtrain.observer import RunStart, TrainingObserver
from mmtrain.page.live import without_page
from mmtrain.run import RunDirectory
from mmtrain.train import train
from tests.mmtrain.conftest import TinyStudy

RUNS: list[dict[str, Any]] = [
    {"inputs": ("t1",), "copies": 2, "epochs": 4},
    {"inputs": ("t1", "flair", "connectivity"), "copies": 2, "epochs": 4},
    {
        "inputs": ("t1",),
        "target": "sex",
        "kind": "classification",
        "unit": "",
        "augment": "none",
        "copies": 0,
        "epochs": 2,
    },
    {"inputs": ("flair", "connectivity"), "model": "linear"},
]
"""Reading some of the same rows, with augmented copies and without, by steps and at once."""


class Notes(TrainingObserver):
    def __init__(self) -> None:
        self.notes: tuple[str, ...] = ()

    def on_begin(self, start: RunStart) -> None:
        self.notes = start.notes


def train_in_turn(tiny: TinyStudy, kept: Kept | None, **settings: Any) -> list[RunDirectory]:
    runs = []
    for of_run in RUNS:
        run = tiny.begin(**of_run, **settings)
        train(run, tiny.layout, tiny.configure(**of_run, **settings), keep_page=without_page, kept=kept)
        runs.append(run)
    return runs


def weights(run: RunDirectory) -> dict[str, bytes]:
    (path,) = Path(run.path).glob("*.safetensors")
    return {name: values.tobytes() for name, values in load_file(path).items()}


@pytest.fixture(scope="module")
def streamed(tiny: TinyStudy) -> list[RunDirectory]:
    return train_in_turn(tiny, None, cache="none")


@pytest.mark.parametrize("cache_bytes", [1 << 30, 20_000], ids=["all fits", "a part fits"])
def test_runs_from_memory_are_those_from_the_stores_to_the_bit(
    tiny: TinyStudy, streamed: list[RunDirectory], cache_bytes: int
) -> None:
    kept = Kept()
    for run, expected in zip(train_in_turn(tiny, kept, cache="host", cache_bytes=cache_bytes), streamed, strict=True):
        assert tiny.epochs(run) == tiny.epochs(expected)
        assert weights(run) == weights(expected)
        assert tiny.metrics(run) == tiny.metrics(expected)
    assert 0 < kept.rows[HOST].held_bytes <= cache_bytes


def test_a_run_whose_rows_another_has_read_reads_none(tiny: TinyStudy, rows_read: list[int]) -> None:
    kept, settings = Kept(), dict[str, Any]({"inputs": ("t1",), "augment": "none", "copies": 0, "epochs": 1})
    config = tiny.configure(**settings)
    train(tiny.begin(**settings), tiny.layout, config, keep_page=without_page, kept=kept)
    assert sum(rows_read) == len(tiny.splits)
    rows_read.clear()
    train(tiny.begin(**settings), tiny.layout, config, keep_page=without_page, kept=kept)
    assert rows_read == []


@pytest.mark.parametrize(
    ("settings", "is_kept"),
    [
        ({"epochs": 1, "copies": 0}, False),
        ({"epochs": 2, "copies": 0}, True),
        ({"epochs": 3, "copies": 2}, False),  # each epoch reads other copies
        ({"epochs": 4, "copies": 2}, True),
        ({"epochs": 4, "copies": 2, "cache": "none"}, False),
        ({"epochs": 1, "copies": 0, "cache": "host"}, True),
        ({"epochs": 1, "copies": 0, "cache": "device"}, True),  # on a processor, that is the host
        ({"epochs": 4, "copies": 2, "cache_bytes": 1}, False),
    ],
)
def test_rows_are_kept_where_that_pays_or_is_asked_for(
    tiny: TinyStudy, settings: dict[str, Any], *, is_kept: bool
) -> None:
    task, plan = keep_rows(Kept(), tiny.prepare(inputs=("t1",), **settings), runs_follow=False)
    assert (task.rows is not None) == is_kept == (plan.device is not None)


def test_a_run_that_streams_lets_go_of_rows_that_were_erased(fresh_tiny: TinyStudy) -> None:
    kept, settings = Kept(), dict[str, Any]({"inputs": ("t1",), "augment": "none", "copies": 0, "epochs": 1})
    run = fresh_tiny.begin(**settings)
    train(run, fresh_tiny.layout, fresh_tiny.configure(**settings), keep_page=without_page, kept=kept)
    before = kept.rows[HOST].held_bytes
    array = open_array(fresh_tiny.layout.volume_array("t1", fresh_tiny.side))
    array.erase_rows([0])
    keep_rows(kept, fresh_tiny.prepare(**settings, cache="none"), runs_follow=True)
    assert kept.rows[HOST].held_bytes == before - array.rows_per_shard * array.row_bytes


def test_the_bytes_needed_are_those_that_a_run_comes_to(tiny: TinyStudy) -> None:
    settings: dict[str, Any] = {"inputs": ("t1", "connectivity"), "copies": 2, "epochs": 6, "cache": "host"}
    kept, config = Kept(), tiny.configure(**settings)
    run = tiny.begin(**settings)
    _, plan = keep_rows(Kept(), tiny.prepare(**settings), runs_follow=False)
    train(run, tiny.layout, config, keep_page=without_page, kept=kept)
    assert kept.rows[HOST].held_bytes == plan.needed_bytes


def test_the_budget_is_told_before_the_first_step(tiny: TinyStudy) -> None:
    settings: dict[str, Any] = {
        "inputs": ("t1",),
        "augment": "none",
        "copies": 0,
        "epochs": 1,
        "cache": "host",
        "cache_bytes": 20_000,
    }
    notes = Notes()
    config = tiny.configure(**settings)
    train(tiny.begin(**settings), tiny.layout, config, observers=[notes], keep_page=without_page)
    (note,) = notes.notes
    assert "stay in the host's memory, up to 0.00 GB; what does not fit is read from the stores" in note


def test_workers_of_one_machine_share_the_memory_of_the_host_also_where_each_has_its_own_device(
    tiny: TinyStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 800_000_000
    monkeypatch.setattr(cache_plan, "available_bytes", lambda: free)
    settings: dict[str, Any] = {"inputs": ("t1",), "augment": "none", "copies": 0, "cache": "host"}
    allowed = []
    for num_on_machine in (1, 8):
        kept = Kept(num_on_machine=num_on_machine)
        keep_rows(kept, tiny.prepare(**settings), runs_follow=True)
        allowed.append(kept.rows[HOST].allowed_bytes)
    assert allowed == [free // 2, free // 2 // 8]


def test_rows_on_the_device_that_computes_are_put_in_behind_the_transfer(tiny: TinyStudy) -> None:
    settings: dict[str, Any] = {"inputs": ("t1",), "cache": "device", "augment": "none", "copies": 0}
    task, plan = keep_rows(Kept(), tiny.prepare(**settings), runs_follow=True)
    assert task.rows is not None
    assert task.rows.device == torch.device("cpu")
    assert plan.device == "host"
