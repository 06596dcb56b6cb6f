"""Observers hear of a run what is on the disk, in order, and nothing of a GPU."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from mmtrain.observer import EpochPosition, RunStart, TrainingObserver
from mmtrain.run import RunDirectory, find_run
from mmtrain.state import EpochEntry
from mmtrain.train import train
from tests.mmtrain.conftest import StopAfter, TinyStudy

SETTINGS = {"inputs": ("connectivity",), "epochs": 2, "augment": "none"}
"""Of 26 samples, in four batches an epoch."""


@dataclass
class Recorder(TrainingObserver):
    """Notes what it hears, and of the disk what observers may rely on."""

    events: list[Any] = field(default_factory=list)
    start: RunStart | None = None

    def on_begin(self, start: RunStart) -> None:
        self.start = start
        self.events.append("begin")

    def on_step(self, position: EpochPosition) -> None:
        self.events.append(("step", position.epoch, position.steps, position.samples))
        assert (position.num_steps, position.num_samples) == (4, 26)

    def on_validation(self, epoch: int) -> None:
        self.events.append(("validation", epoch))

    def on_epoch(self, entry: EpochEntry) -> None:
        assert self.start is not None
        directory = self.start.directory
        assert json.loads(directory.epochs.read_text().splitlines()[-1]) == entry
        assert directory.model.exists() and directory.checkpoint.exists()
        self.events.append(("epoch", entry["epoch"]))

    def on_test(self, epoch: int) -> None:
        self.events.append("test")

    def on_end(self, metrics: Mapping[str, Any]) -> None:
        assert self.start is not None
        assert json.loads(self.start.directory.metrics.read_text()) == metrics
        self.events.append("end")


def go(tiny: TinyStudy, run: RunDirectory, **options: Any) -> list[Any]:
    recorder = Recorder()
    train(run, tiny.layout, find_run(tiny.layout.runs, run.run_id)[1], observers=[recorder], **options)
    return recorder.events


def of_epoch(epoch: int) -> list[Any]:
    """26 samples in batches of 8 at most are even batches of 7, 7, 6 and 6."""
    steps = [("step", epoch, done, samples) for done, samples in enumerate((0, 7, 14, 20, 26))]
    return [*steps, ("validation", epoch), ("epoch", epoch)]


def test_an_observer_hears_of_each_step_and_epoch_once_and_after_it_is_kept(tiny: TinyStudy) -> None:
    assert go(tiny, tiny.begin(**SETTINGS)) == ["begin", *of_epoch(1), *of_epoch(2), "test", "end"]


def test_a_resumed_run_tells_what_is_left(tiny: TinyStudy) -> None:
    run = tiny.begin(**SETTINGS)
    config = find_run(tiny.layout.runs, run.run_id)[1]
    with pytest.raises(KeyboardInterrupt):
        train(run, tiny.layout, config, observers=[StopAfter(1)])
    recorder = Recorder()
    train(run, tiny.layout, config, resumed=True, observers=[recorder])
    assert recorder.events == ["begin", *of_epoch(2), "test", "end"]
    assert recorder.start is not None and recorder.start.resumed
    assert [entry["epoch"] for entry in recorder.start.history] == [1]


def test_a_run_that_is_finished_early_tells_of_its_test_alone(tiny: TinyStudy) -> None:
    run = tiny.begin(**SETTINGS)
    config = find_run(tiny.layout.runs, run.run_id)[1]
    with pytest.raises(KeyboardInterrupt):
        train(run, tiny.layout, config, observers=[StopAfter(1)])
    assert go(tiny, run, finishing=True) == ["begin", "test", "end"]


def test_a_network_without_steps_tells_of_one_epoch(tiny: TinyStudy) -> None:
    class Ends(TrainingObserver):
        def on_begin(self, start: RunStart) -> None:
            assert start.max_epochs == 1

        def on_step(self, position: EpochPosition) -> None:
            assert (position.epoch, position.steps, position.num_steps) == (1, 0, 1)

    run = tiny.begin(**SETTINGS | {"model": "linear", "channels": ()})
    config = find_run(tiny.layout.runs, run.run_id)[1]
    metrics = train(run, tiny.layout, config, observers=[Ends()])
    assert metrics["epochs"] == 1


def test_telling_of_steps_reads_nothing_from_the_device(tiny: TinyStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as without an observer: what is read makes the host wait for a GPU."""
    reads = 0
    item = torch.Tensor.item

    def count(tensor: torch.Tensor) -> Any:
        nonlocal reads
        reads += 1
        return item(tensor)

    monkeypatch.setattr(torch.Tensor, "item", count)
    counted = []
    for observers in ([], [Recorder()]):
        reads = 0
        run = tiny.begin(**SETTINGS)
        train(run, tiny.layout, find_run(tiny.layout.runs, run.run_id)[1], observers=observers)
        counted.append(reads)
    assert counted[0] == counted[1] > 0
