"""Measure on a machine with a GPU that is lent for minutes: ``python -m benchmarks.device FOLDER [PART ...]``.

Terms
-----
part     one question, answered by a process of its own within a time limit of its own, the most important first
         (`benchmarks.device_parts`).
finding  one answer of a part, in ``FOLDER/device.json`` as soon as it is there: a part that fails or is stopped keeps
         what it has found.

It needs what `mmtrain` imports and the parts use (docs/training.md), and no more: no database, no image reader, no
scheduler. mm need not be installed.
"""

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks.device_parts import PARTS, Findings, Scale, full_scale, small_scale
from benchmarks.machine import describe_machine
from mmbase.files import write_json

PACKAGES = ("torch", "triton", "numpy", "tensorstore", "numcodecs", "polars")
REPOSITORY = Path(__file__).resolve().parents[1]


def main(words: Sequence[str]) -> None:
    """Measure the parts that are named, or those by default."""
    parser = argparse.ArgumentParser(prog="benchmarks/device.sh", description="Measure on this machine's GPU.")
    parser.add_argument("folder", type=Path, help="where device.json is written")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--small", action="store_true", help="tiny shapes: shows that everything runs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_intermixed_args(words)
    unknown = sorted({*given.parts} - {*PARTS})
    if unknown:
        parser.error(f"There is no part {', '.join(unknown)}; there are {', '.join(PARTS)}.")
    if given.device == "cpu" and not given.small:
        parser.error("There is no GPU here. Add --small to let the processor run everything with tiny shapes.")
    names = given.parts or [name for name, part in PARTS.items() if part.is_default]
    given.folder.mkdir(parents=True, exist_ok=True)
    measure_parts(names, (small_scale if given.small else full_scale)(given.device), given.folder / "device.json")


def measure_parts(names: Sequence[str], scale: Scale, results: Path) -> None:
    """Measure parts one after the other, and write whatever each finds at once."""
    found: dict[str, Any] = {"machine": describe_device(scale), "parts": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            measured = found["parts"][name] = {"limit_s": PARTS[name].limit_s}
            started = time.monotonic()
            answer = partial(PARTS[name].measure, scale, Path(folder))
            for finding, value in answer_in_time(answer, PARTS[name].limit_s):
                measured[finding] = value
                measured["seconds"] = round(time.monotonic() - started, 2)
                write_json(results, found)
            print(f"{name}: {json.dumps(measured)}", flush=True)


def answer_in_time(answer: Callable[[], Findings], limit_s: float) -> Findings:
    """Yield what is found in a process of its own, which is killed with all that it has started at the limit.

    Parameters
    ----------
    answer
        Yields findings; it is brought to the process by pickle.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(answer, theirs))
    process.start()
    theirs.close()
    ends = time.monotonic() + limit_s
    try:
        while ours.poll(max(0.0, ends - time.monotonic())):
            yield ours.recv()
        yield "stopped_at_limit", True
    except EOFError:
        process.join()
        if process.exitcode:
            yield "exit_code", process.exitcode
    finally:
        _kill_group(process)


def describe_device(scale: Scale) -> dict[str, Any]:
    """Return the machine, the GPU and what its libraries are, and the commit."""
    machine = describe_machine(PACKAGES)
    if scale.device != "cpu":
        properties = torch.cuda.get_device_properties(0)
        machine |= {
            "gpus": torch.cuda.device_count(),
            "gpu_gigabytes": round(properties.total_memory / 1e9, 1),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return {**machine, "device": scale.device, "side": scale.coarse.side, "commit": _commit()}


def _answer(answer: Callable[[], Findings], connection: Connection) -> None:
    os.setpgrp()  # so that what it starts ends with it
    try:
        for finding in answer():
            connection.send(finding)
    except Exception:
        connection.send(("failed", traceback.format_exc(limit=-3)))
    connection.close()


def _kill_group(process: multiprocessing.process.BaseProcess) -> None:
    if process.is_alive() and process.pid is not None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:  # killed before it had a group of its own
            process.kill()
    process.join()


def _commit() -> str | None:
    """Return the commit of the checkout; None where it is a copy without its history."""
    try:
        command = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


if __name__ == "__main__":
    main(sys.argv[1:])
