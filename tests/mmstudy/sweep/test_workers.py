"""The workers of one machine: what each is told, and what becomes of the others when one dies."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from mmdata.study import Study
from mmstudy.sweep import workers as module
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.jobs import Job
from mmstudy.sweep.losses import MAX_LOSSES
from mmstudy.sweep.state import JobState, write_state
from mmstudy.sweep.worker_process import BROKEN, STOPPED, WorkerOrder
from mmstudy.sweep.workers import WorkerDevice, Workers, worker_devices
from mmtrain.errors import TrainError

JOB = Job(name="job", targets=("age",), inputs=("t1",), seed=1)
DEVICES = [WorkerDevice(name="cuda:0"), WorkerDevice(name="cuda:1")]


@dataclass(frozen=True)
class Process:
    """A process that has ended as soon as it is started."""

    code: int

    def poll(self) -> int:
        return self.code

    def wait(self, timeout: float) -> int:
        del timeout
        return self.code


@dataclass
class Starter:
    """Starts such processes: each ends as the device says."""

    codes: dict[str, list[int]]
    """Of each device; the last one again and again."""
    orders: list[WorkerOrder] = field(default_factory=list)

    def __call__(self, order: WorkerOrder) -> Any:
        self.orders.append(order)
        order.log.write_text("what it met\n")
        codes = self.codes[order.terms.execution["device"]]
        return Process(codes.pop(0) if len(codes) > 1 else codes[0])


@pytest.fixture
def sweep(own_study: Study) -> SweepDirectory:
    sweep = SweepDirectory(own_study.layout.sweeps / "sweep")
    sweep.make()
    return sweep


@pytest.fixture
def workers(own_study: Study, sweep: SweepDirectory, monkeypatch: pytest.MonkeyPatch) -> Workers:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.0)
    return Workers(own_study, sweep, {JOB.name: JOB}, DEVICES, {"cache": "host"})


def run(workers: Workers, monkeypatch: pytest.MonkeyPatch, codes: dict[str, list[int]]) -> Starter:
    starter = Starter(codes)
    monkeypatch.setattr(module, "start_worker", starter)
    workers.run(lambda: None)
    return starter


def test_each_is_told_with_how_many_it_shares_the_machine_and_its_device(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = run(workers, monkeypatch, {"cuda:0": [0], "cuda:1": [STOPPED]})
    assert [(of.terms.num_on_machine, of.terms.num_on_device) for of in starter.orders] == [(2, 1), (2, 1)]
    assert [of.terms.execution for of in starter.orders] == [
        {"cache": "host", "device": "cuda:0"},
        {"cache": "host", "device": "cuda:1"},
    ]


def test_workers_of_several_machines_write_to_no_log_together(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = []
    for host in ("node1", "node2"):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        logs += [order.log for order in run(workers, monkeypatch, {"cuda:0": [0], "cuda:1": [0]}).orders]
    assert len(set(logs)) == 4


@pytest.mark.parametrize("code", [-9, BROKEN])
def test_one_that_dies_is_started_again(workers: Workers, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    starter = run(workers, monkeypatch, {"cuda:0": [*[code] * MAX_LOSSES, 0], "cuda:1": [0]})
    assert len(starter.orders) == 2 + MAX_LOSSES


def test_one_that_is_killed_again_and_again_ends_the_sweep(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainError, match=r"killed 4 times by signal 9, and no model came further"):
        run(workers, monkeypatch, {"cuda:0": [-9], "cuda:1": [0]})


def test_one_whose_device_is_broken_is_given_up_and_told_of_at_the_end(
    workers: Workers, sweep: SweepDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = {"cuda:0": [BROKEN], "cuda:1": [*[-9] * MAX_LOSSES, 0]}
    with pytest.raises(TrainError, match="ended 4 times because it cannot train: what it met"):
        run(workers, monkeypatch, codes)
    write_state(sweep, JOB.name, JobState(outcome="finished"))  # by the other
    run(workers, monkeypatch, {"cuda:0": [BROKEN], "cuda:1": [0]})


def test_one_that_fails_for_another_reason_ends_the_sweep_at_once(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrainError, match="exit code 1: what it met"):
        run(workers, monkeypatch, {"cuda:0": [1], "cuda:1": [0]})


def test_workers_on_the_processor_share_its_cores_and_its_memory() -> None:
    assert [of.num_sharing for of in worker_devices("cpu", 3)] == [3, 3, 3]
    assert worker_devices("cpu", None) == [WorkerDevice(name="cpu")]


def test_workers_are_dealt_out_to_the_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [(of.name, of.num_sharing) for of in worker_devices("auto", 3)] == [
        ("cuda:0", 2),
        ("cuda:1", 1),
        ("cuda:0", 2),
    ]
    assert [of.name for of in worker_devices("cuda", None)] == ["cuda:0", "cuda:1"]
    assert [(of.name, of.num_sharing) for of in worker_devices("cuda:1", 2)] == [("cuda:1", 2)] * 2
