"""The workers of a sweep on this machine: processes that are started, watched, replaced when they die, and stopped."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mmdata.study import Study
from mmstudy.sweep.directory import SweepDirectory
from mmtrain.data.cache_plan import free_bytes
from mmtrain.device import choose_device
from mmtrain.errors import TrainError

COMMAND, STOPPED = "MM_SWEEP_COMMAND", 75
"""Environment variable that tells a worker whose it is; exit code of one that was asked to stop."""
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
    """Other workers whose memory is the same."""


@dataclass(slots=True)
class _Process:
    place: Place
    log: Path
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
        before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
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
        log = self.sweep.logs / f"worker-{number}.log"
        return _Process(place, log, self._spawn(place, log), done_before=self.num_done())

    def _spawn(self, place: Place, log: Path) -> subprocess.Popen[bytes]:
        execution = {**self.execution, "device": place.device}
        if place.num_beside and "cache_bytes" not in execution:
            execution["cache_bytes"] = free_bytes(choose_device(place.device)) // 2 // (place.num_beside + 1)
        words = ["--study", str(self.study.layout.root), "sweep", "work", self.sweep.name, json.dumps(execution)]
        threads = {} if place.threads is None else {"OMP_NUM_THREADS": str(place.threads)}
        with open(log, "ab", opener=_open_private) as file:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "cli", *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, **threads, COMMAND: self.command},
                start_new_session=True,  # Ctrl-C is for the command, which then asks its workers to stop
            )

    def _look_at(self, worker: _Process) -> _Process | None:
        """Return a worker that works on, perhaps in a new process; None of one that has ended."""
        code = worker.process.poll()
        if code is None:
            return worker
        if code in (0, STOPPED):
            return None
        if code > 0:
            raise TrainError(
                f"A worker of the sweep has ended with exit code {code}: {_last_line(worker.log)}",
                f"Its log is {worker.log}.",
            )
        done = self.num_done()
        worker.deaths = worker.deaths + 1 if done == worker.done_before else 1
        worker.done_before = done
        if worker.deaths > MAX_DEATHS:
            raise TrainError(
                f"A worker of the sweep was killed {worker.deaths} times by signal {-code}, no model done between.",
                f"Its log is {worker.log}. Where memory is short, use fewer --workers.",
            )
        worker.process = self._spawn(worker.place, worker.log)
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


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-1:]
    return lines[0][:500] if lines else "it said nothing."


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


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
    return [Place(device=f"cuda:{index % num_gpus}", num_beside=number - 1) for index in range(number)]
