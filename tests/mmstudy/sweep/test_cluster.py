"""Workers of a sweep as tasks: of a real Dask cluster on this machine, and with processes and tasks that are played."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from mmdata.execution.pools import LocalPool
from mmdata.study import Study
from mmstudy.settings import load_study
from mmstudy.sweep import cluster
from mmstudy.sweep.begin import begin_sweep
from mmstudy.sweep.cluster import JOB_END, run_on_cluster, work_in_child
from mmstudy.sweep.directory import find_sweep
from mmstudy.sweep.planning import plan_sweep
from mmstudy.sweep.settings import SweepSettings
from mmstudy.sweep.state import JobState, write_state
from mmstudy.sweep.status import num_ended, sweep_status
from mmstudy.sweep.stored_plan import read_plan
from mmstudy.sweep.worker_process import BROKEN, STOPPED, WorkerOrder, WorkerTerms
from mmtrain.errors import TrainError

NOW = 5000.0


@pytest.mark.slow
def test_workers_on_a_cluster_do_every_job_of_a_sweep_once(own_study: Study) -> None:
    train = {"epochs": 1, "channels": (2, 2), "augment": "none"}
    asked = SweepSettings(targets=("age",), input_sets=(("flair",), ("dwi",)), baselines=("constant",), train=train)
    plan = plan_sweep(own_study, asked)
    sweep = begin_sweep(own_study, "sweep", plan, (), retry=False)
    looks: list[int] = []
    run_on_cluster(
        own_study, sweep, LocalPool(processes=2), 2, {"device": "cpu"}, lambda: looks.append(num_ended(sweep, plan))
    )
    status = sweep_status(own_study.layout, sweep, plan)
    assert (status.num_finished, status.failed) == (4, ())
    assert looks == sorted(looks)
    logs = list(sweep.logs.glob("cluster-*.log"))
    assert len(logs) == 2
    ended = [line.split(":")[0] for log in logs for line in log.read_text().splitlines() if "finished" in line]
    assert sorted(ended) == sorted(job.name for job in plan.jobs)


@pytest.fixture
def order(own_study: Study) -> WorkerOrder:
    """The order of a worker of a sweep that was begun."""
    asked = SweepSettings(targets=("age",), input_sets=(("flair",), ("dwi",)), baselines=(), train={"channels": (2, 2)})
    sweep = begin_sweep(own_study, "sweep", plan_sweep(own_study, asked), (), retry=False)
    root, log = own_study.layout.root, sweep.logs / "cluster-0"
    return WorkerOrder(root=root, sweep=sweep.name, terms=WorkerTerms(), command="test", log=log)


def end_with(monkeypatch: pytest.MonkeyPatch, codes: Sequence[int], before: Callable[[], object]) -> list[WorkerOrder]:
    """Let processes of workers end with these codes, one after the other; return what they are started with."""
    left, orders = iter(codes), list[WorkerOrder]()

    def start(order: WorkerOrder) -> SimpleNamespace:
        orders.append(order)
        order.log.write_text("what it met\n")
        before()
        return SimpleNamespace(wait=lambda: next(left))

    monkeypatch.setattr(cluster, "start_worker", start)
    return orders


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([0], ""),
        ([STOPPED], ""),
        ([1], "exit code 1, what it met"),
        ([-9, 0], ""),
        ([-9, -9, -9, -9], "4 times, at last killed by signal 9."),
        ([BROKEN, BROKEN, BROKEN, BROKEN], "4 times, what it met"),
    ],
)
def test_a_worker_that_dies_is_started_again_and_told_of_once_there_is_no_hope(
    order: WorkerOrder, monkeypatch: pytest.MonkeyPatch, codes: list[int], expected: str
) -> None:
    orders = end_with(monkeypatch, codes, lambda: None)
    assert work_in_child(order) == expected
    assert len(orders) == len(codes)


def test_deaths_of_a_worker_are_counted_anew_once_a_job_is_finished(
    order: WorkerOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = find_sweep(load_study(order.root).layout, order.sweep)
    job, *_ = read_plan(sweep)[0].jobs
    starts: list[int] = []

    def end_a_job_at_the_third() -> None:
        starts.append(1)
        if len(starts) == 3:
            write_state(sweep, job.name, JobState(outcome="finished"))

    end_with(monkeypatch, [-9, -9, -9, -9, -9, 0], end_a_job_at_the_third)
    assert work_in_child(order) == ""


class _Left(Exception):  # noqa: N818 - plays what lets a task go to another worker
    pass


@pytest.fixture
def _leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave() -> None:
        raise _Left

    monkeypatch.setattr(cluster, "leave_worker", leave)


@pytest.fixture
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "time", SimpleNamespace(time=lambda: NOW, monotonic=time.monotonic))


@pytest.mark.usefixtures("_leaving", "_clock")
def test_a_worker_whose_slurm_job_ends_leaves_its_task_to_another(
    order: WorkerOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = end_with(monkeypatch, [STOPPED], lambda: None)
    monkeypatch.setenv(JOB_END, str(NOW + 299.0))
    with pytest.raises(_Left):
        work_in_child(replace(order, walltime_seconds=3600.0))
    assert [of.terms.seconds for of in orders] == [299.0 - 300.0]


@pytest.mark.usefixtures("_leaving", "_clock")
@pytest.mark.parametrize(("is_asked", "seconds"), [(False, 3600.0), (True, 0.0)])
def test_a_worker_that_stops_for_another_reason_does_not(
    order: WorkerOrder, monkeypatch: pytest.MonkeyPatch, seconds: float, *, is_asked: bool
) -> None:
    end_with(monkeypatch, [STOPPED], lambda: None)
    if is_asked:
        find_sweep(load_study(order.root).layout, order.sweep).stop.touch()
    monkeypatch.setenv(JOB_END, str(NOW + seconds))
    assert work_in_child(replace(order, walltime_seconds=3600.0)) == ""


@pytest.mark.usefixtures("_clock")
@pytest.mark.parametrize(("walltime_seconds", "spare_seconds"), [(36_000.0, 300.0), (100.0, 25.0)])
def test_without_a_word_of_slurm_a_job_is_taken_to_last_its_walltime_from_its_first_process_on(
    order: WorkerOrder, monkeypatch: pytest.MonkeyPatch, walltime_seconds: float, spare_seconds: float
) -> None:
    monkeypatch.delenv(JOB_END, raising=False)
    orders = end_with(monkeypatch, [0], lambda: None)
    work_in_child(replace(order, walltime_seconds=walltime_seconds))
    own = psutil.Process()
    began = min(of.create_time() for of in (own, own.parent() or own))
    assert [of.terms.seconds for of in orders] == [pytest.approx(began + walltime_seconds - spare_seconds - NOW)]


def test_why_a_worker_has_ended_is_told_and_the_others_are_asked_to_stop(
    own_study: Study, order: WorkerOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = find_sweep(own_study.layout, order.sweep)
    monkeypatch.setattr(cluster, "run_tasks", lambda *_, **__: iter(["", "exit code 1, what it met"]))
    with pytest.raises(TrainError, match="has ended: exit code 1, what it met"):
        run_on_cluster(own_study, sweep, LocalPool(processes=1), 2, {}, lambda: None)
    assert sweep.stop.exists()


@pytest.mark.usefixtures("workers_here")
def test_what_cannot_be_shown_of_a_sweep_stops_no_worker_and_is_told_at_the_end(
    own_study: Study, order: WorkerOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = find_sweep(own_study.layout, order.sweep)
    looks: list[Future[None]] = []

    class Threads(ThreadPoolExecutor):
        def submit(self, *given: Any) -> Future[Any]:  # type: ignore[override]
            looks.append(super().submit(*given))
            return looks[-1]

    def look() -> None:
        raise TrainError("The disk cannot be read.")

    def run_tasks_here(task: Callable[[WorkerOrder], str], orders: Sequence[WorkerOrder], **_: Any) -> Iterator[str]:
        assert isinstance(looks[0].exception(timeout=60), TrainError)  # the look has failed before a task begins
        yield from map(task, orders)

    monkeypatch.setattr(cluster, "ThreadPoolExecutor", Threads)
    monkeypatch.setattr(cluster, "run_tasks", run_tasks_here)
    with pytest.raises(TrainError, match="The disk cannot be read"):
        run_on_cluster(own_study, sweep, LocalPool(processes=1), 1, {"device": "cpu"}, look)
    assert sweep_status(own_study.layout, sweep, read_plan(sweep)[0]).num_finished == 2
