"""The workers of a sweep on this machine: processes that are started, watched, replaced when they die, and stopped."""

import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from mmdata.study import Study
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.worker_process import STOPPED, WorkerOrder, last_words, start_worker
from mmtrain.data.cache_plan import free_bytes
from mmtrain.device import choose_device
from mmtrain.errors import TrainError

MAX_DEATHS = 3
"""Of one worker without a job done between: something is wrong beside the jobs."""
_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 120.0
"""For workers to write their checkpoints before they are killed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where one worker computes."""

    device: str
    threads: int | None = None
    """Of the processor; None: as many as PyTorch takes."""
    num_beside: int = 0
    """Other workers on the same device."""


@dataclass(slots=True)
class _Process:
    order: WorkerOrder
    process: subprocess.Popen[bytes]
    deaths: int = 0
    done_before: int = 0


@dataclass(slots=True)
class Workers:
    """Processes that do the jobs of a sweep."""

    study: Study
    sweep: SweepDirectory
    places: Sequence[Place]
    num_done: Callable[[], int]
    """How many jobs have ended."""
    execution: Mapping[str, Any]
    """Settings of execution of every run, beside the device."""
    command: str = field(default_factory=lambda: uuid.uuid4().hex)
    _running: list[_Process] = field(default_factory=list)

    def run(self, look: Callable[[], None]) -> None:
        """Let workers work until nothing is left that they could begin.

        Parameters
        ----------
        look
            Called again and again meanwhile.

        Raises
        ------
        TrainError
            A worker dies again and again without a job done, or ends because of something that is no job's fault.
        KeyboardInterrupt
            From the terminal; workers have written their checkpoints.
        """
        before = {
            number: signal.signal(number, _interrupt)
            for number in (signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(number) is not signal.SIG_IGN  # nohup
        }
        try:
            self._running = [self._start(place, number) for number, place in enumerate(self.places)]
            while self._running:
                self._running = [running for worker in self._running if (running := self._look_at(worker)) is not None]
                look()
                time.sleep(_LOOK_SECONDS)
        finally:
            self._stop_all()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start(self, place: Place, number: int) -> _Process:
        order = WorkerOrder(
            root=self.study.layout.root,
            sweep=self.sweep.name,
            execution=self._execution_at(place),
            command=self.command,
            log=self.sweep.logs / f"worker-{number}.log",
            threads=place.threads,
        )
        return _Process(order, start_worker(order), done_before=self.num_done())

    def _execution_at(self, place: Place) -> dict[str, Any]:
        execution = {**self.execution, "device": place.device}
        if place.num_beside and "cache_bytes" not in {**self.study.config.train, **execution}:
            execution["cache_bytes"] = free_bytes(choose_device(place.device)) // 2 // (place.num_beside + 1)
        return execution

    def _look_at(self, worker: _Process) -> _Process | None:
        """Return a worker that works on, perhaps in a new process; None of one that has ended."""
        code = worker.process.poll()
        if code is None:
            return worker
        if code in (0, STOPPED):
            return None
        if code > 0:
            raise TrainError(
                f"A worker of the sweep has ended with exit code {code}: {last_words(worker.order.log)}",
                f"Its log is {worker.order.log}.",
            )
        done = self.num_done()
        worker.deaths = worker.deaths + 1 if done == worker.done_before else 1
        worker.done_before = done
        if worker.deaths > MAX_DEATHS:
            raise TrainError(
                f"A worker of the sweep was killed {worker.deaths} times by signal {-code}, no model done between.",
                f"Its log is {worker.order.log}. Where memory is short, use fewer --workers.",
            )
        worker.process = start_worker(worker.order)
        return worker

    def _stop_all(self) -> None:
        """Ask all to stop, and kill those that do not."""
        for worker in self._running:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for worker in self._running:
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()


def _interrupt(number: int, _: object) -> None:
    raise KeyboardInterrupt(number)


def places_here(device: str, num_workers: int | None) -> list[Place]:
    """Return where workers of this machine compute: one on each GPU, or some that share the processor.

    Parameters
    ----------
    device
        As a run's setting: auto, cpu, cuda or cuda:N.
    num_workers
        None: one for each GPU; on the processor one.

    Raises
    ------
    TrainError
        There is no such device.
    """
    chosen = choose_device(device)
    if chosen.type == "cpu":
        number = num_workers or 1
        threads = None if number == 1 else max(1, torch.get_num_threads() // number)
        return [Place(device="cpu", threads=threads, num_beside=number - 1)] * number
    if device.startswith("cuda:"):
        number = num_workers or 1
        return [Place(device=device, num_beside=number - 1)] * number
    num_gpus = torch.cuda.device_count()
    number = num_workers or num_gpus
    devices = [index % num_gpus for index in range(number)]
    return [Place(device=f"cuda:{gpu}", num_beside=devices.count(gpu) - 1) for gpu in devices]
