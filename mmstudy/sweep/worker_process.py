"""One worker of a sweep as a process of its own, wherever it is started from."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmbase.json_text import Count

COMMAND, STARTER = "MM_SWEEP_COMMAND", "MM_SWEEP_STARTER"
"""Environment variables that tell a worker whose it is, and which process started it: it may be gone already when the
worker is able to ask."""
STOPPED = 75
"""Exit code of a worker that was asked to stop."""
BROKEN = 76
"""Exit code of a worker whose device or disk is dead, or to whom one job after the other fails."""
_MAX_SAID = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerTerms:
    """What a worker is told on its command line."""

    execution: dict[str, Any] = field(default_factory=dict)
    """Settings of execution of every run."""
    num_on_machine: Count = 1
    """Workers that share the memory of the machine, this one among them."""
    num_on_device: Count = 1
    """Those of them that share its device too."""
    seconds: float | None = None
    """After which it stops with a checkpoint; None: it goes on until nothing is left to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerOrder:
    """What a worker process is started with; its `repr` names nothing of the study."""

    root: Path = field(repr=False)
    """Of the study."""
    sweep: str = field(repr=False)
    terms: WorkerTerms = field(repr=False)
    command: str
    """Whose worker it is."""
    log: Path = field(repr=False)
    threads: int | None = None
    """Of the processor; None: as many as PyTorch takes."""
    walltime_seconds: float | None = None
    """Of the SLURM job that it is started in; None: it is in none."""


def start_worker(order: WorkerOrder) -> subprocess.Popen[bytes]:
    """Start a worker, which writes what it has to say to its log."""
    words = ["--study", str(order.root), "sweep", "work", order.sweep, json.dumps(asdict(order.terms))]
    threads = {} if order.threads is None else {"OMP_NUM_THREADS": str(order.threads)}
    with open(order.log, "ab", opener=_open_private) as file:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "mmcli", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, **threads, COMMAND: order.command, STARTER: str(os.getpid())},
            start_new_session=True,  # Ctrl-C is for the command, which then asks its workers to stop
        )


def log_name(name: str) -> str:
    """Return the name of a worker's log: machines that share a file system write to no file together."""
    return f"{name}-{socket.gethostname()}.log"


def last_words(log: Path) -> str:
    """Return the last line that a worker wrote."""
    lines = log.read_text(errors="replace").splitlines()[-1:]
    return lines[0][:_MAX_SAID] if lines else "it said nothing."


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
