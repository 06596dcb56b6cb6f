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
from mmstudy.sweep.jobs import Job
from mmstudy.sweep.losses import Losses, SweepProgress, reached
from mmstudy.sweep.worker_process import (
    BROKEN,
    STOPPED,
    WorkerOrder,
    WorkerTerms,
    last_words,
    log_name,
    start_worker,
)
from mmtrain.device import choose_device
from mmtrain.errors import TrainError

_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 120.0
"""For workers to write their checkpoints before they are killed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerDevice:
    """What one worker computes on."""

    name: str
    """As a run's setting."""
    threads: int | None = None
    """Of the processor; None: as many as PyTorch takes."""
    num_sharing: int = 1
    """Workers on the same device, this one among them."""


@dataclass(slots=True)
class _Process:
    order: WorkerOrder
    process: subprocess.Popen[bytes]
    losses: Losses


@dataclass(slots=True)
class Workers:
    """Processes that do the jobs of a sweep."""

    study: Study
    sweep: SweepDirectory
    jobs: Mapping[str, Job]
    devices: Sequence[WorkerDevice]
    """Of each worker."""
    execution: Mapping[str, Any]
    """Settings of execution of every run, beside the device."""
    command: str = field(default_factory=lambda: uuid.uuid4().hex)
    _running: list[_Process] = field(default_factory=list)
    _given_up: list[TrainError] = field(default_factory=list)
    """Why workers are not started again."""

    def run(self, look: Callable[[], None]) -> None:
        """Let workers work until nothing is left that they could begin.

        Parameters
        ----------
        look
            Called again and again meanwhile.

        Raises
        ------
        TrainError
            A worker is killed again and again while the sweep comes no further, or ends because of something that is
            no job's fault. Where its device is broken, the others do what they can before.
        KeyboardInterrupt
            From the terminal; workers have written their checkpoints.
        """
        before = {
            number: signal.signal(number, _interrupt)
            for number in (signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(number) is not signal.SIG_IGN  # nohup
        }
        try:
            self._running = [self._start(device, number) for number, device in enumerate(self.devices)]
            while self._running:
                self._running = [running for worker in self._running if (running := self._look_at(worker)) is not None]
                look()
                time.sleep(_LOOK_SECONDS)
            if self._given_up and reached(self.study, self.sweep, self.jobs).num_ended < len(self.jobs):
                raise self._given_up[0]
        finally:
            self._stop_all()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start(self, device: WorkerDevice, number: int) -> _Process:
        order = WorkerOrder(
            root=self.study.layout.root,
            sweep=self.sweep.name,
            terms=WorkerTerms(
                execution={**self.execution, "device": device.name},
                num_on_machine=len(self.devices),
                num_on_device=device.num_sharing,
            ),
            command=self.command,
            log=self.sweep.logs / log_name(f"worker-{number}"),
            threads=device.threads,
        )
        losses = Losses(SweepProgress(self.study, self.sweep, self.jobs))
        return _Process(order, start_worker(order), losses)

    def _look_at(self, worker: _Process) -> _Process | None:
        """Return a worker that works on, perhaps in a new process; None of one that has ended."""
        code = worker.process.poll()
        if code is None:
            return worker
        if code in (0, STOPPED):
            return None
        if code > 0 and code != BROKEN:
            raise TrainError(
                f"A worker of the sweep has ended with exit code {code}: {last_words(worker.order.log)}",
                f"Its log is {worker.order.log}.",
            )
        if worker.losses.is_hopeless(code):
            hopeless = _hopeless(worker, code)
            if code != BROKEN:
                raise hopeless
            self._given_up.append(hopeless)  # the others may be well
            return None
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


def _hopeless(worker: _Process, code: int) -> TrainError:
    """Return what to tell of a worker that is not started again."""
    number, log = worker.losses.number, worker.order.log
    if code == BROKEN:
        return TrainError(
            f"A worker of the sweep has ended {number} times because it cannot train: {last_words(log)}",
            f"Its log is {log}.",
        )
    return TrainError(
        f"A worker of the sweep was killed {number} times by signal {-code}, and no model came further between.",
        f"Its log is {log}. Where memory is short, use fewer --workers.",
    )


def _interrupt(number: int, _: object) -> None:
    raise KeyboardInterrupt(number)


def worker_devices(device: str, num_workers: int | None) -> list[WorkerDevice]:
    """Return what each worker of this machine computes on: each on a GPU of its own, or all on the processor.

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
        return [WorkerDevice(name="cpu", threads=threads, num_sharing=number)] * number
    if device.startswith("cuda:"):
        number = num_workers or 1
        return [WorkerDevice(name=device, num_sharing=number)] * number
    num_gpus = torch.cuda.device_count()
    number = num_workers or num_gpus
    gpus = [index % num_gpus for index in range(number)]
    return [WorkerDevice(name=f"cuda:{gpu}", num_sharing=gpus.count(gpu)) for gpu in gpus]
