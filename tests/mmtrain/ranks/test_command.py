"""`mm train --gpus N` as a user meets it: several processes, and what becomes of them when something goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from mmtrain.run import RunDirectory, find_run
from mmtrain.train import train

MM = str(Path(sys.executable).with_name("mm"))
ENDLESS = {"inputs": ("connectivity",), "epochs": 10**6, "patience": 10**6}
HANG_SECONDS = 10
START_SECONDS = 600
END_SECONDS = 300
"""torchrun gives its ranks 30 s to end before it kills them."""
OF_A_SMALLER_ONE = pytest.mark.slow
"""What becomes of the others is tested in test_group.py, what is said of the cause in test_launch.py."""


@dataclass
class Command:
    """`mm train` on several ranks, as a process."""

    process: subprocess.Popen[str]
    run: RunDirectory

    def ranks(self) -> list[psutil.Process]:
        """Return the processes of the ranks, in order, once they train."""
        deadline = time.monotonic() + START_SECONDS
        while not (self.run.epochs.exists() and self.run.epochs.read_text()):
            assert time.monotonic() < deadline and self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)
        started = psutil.Process(self.process.pid).children(recursive=True)
        ranks = [child for child in started if "--resume" in child.cmdline()]
        return sorted(ranks, key=lambda rank: int(rank.environ()["RANK"]))

    def end(self, ranks: list[psutil.Process]) -> list[str]:
        """Return what it said on stderr beside its epochs, when it has ended and left no process behind."""
        _, messages = self.process.communicate(timeout=END_SECONDS)
        _, left = psutil.wait_procs(ranks, timeout=END_SECONDS)
        assert not left
        said = [line for line in messages.splitlines() if not line.startswith(("epoch ", "run "))]
        assert self.process.returncode == 1, messages
        return said


def start(tiny: Any, run: RunDirectory, *words: str) -> Command:
    line = [MM, "--study", str(tiny.layout.root), "train", "--resume", run.run_id, "--device", "cpu", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    return Command(process, run)


def test_a_run_is_stopped_by_ctrl_c_and_resumed_to_the_end_of_one_that_one_process_trains(tiny: Any) -> None:
    settings = {"inputs": ("connectivity",), "precision": "float64", "learning_rate": 1e-5, "epochs": 30}
    whole, run = tiny.begin(**settings), tiny.begin(**settings)
    command = start(tiny, run, "--gpus", "2")
    ranks = command.ranks()
    os.killpg(command.process.pid, signal.SIGINT)  # as a terminal does
    assert command.end(ranks) == [
        "error: The run was stopped. Resume it from its last checkpoint with: "
        f"mm --study {tiny.layout.root} train --resume {run.run_id} --gpus 2"
    ]
    assert run.checkpoint.exists() and not run.metrics.exists()
    done = len(tiny.epochs(run))

    again = start(tiny, run, "--gpus", "2", "--json")
    printed, messages = again.process.communicate(timeout=START_SECONDS)
    assert again.process.returncode == 0, messages
    report = json.loads(printed)
    assert report["run_id"] == run.run_id
    assert sum(line.startswith("epoch ") for line in messages.splitlines()) == 30 - done
    expected = train(whole, tiny.layout, find_run(tiny.layout.runs, whole.run_id)[1])
    assert {"val": report["val"], "test": report["test"]} == {
        "val": pytest.approx(expected["val"], rel=1e-9),
        "test": pytest.approx(expected["test"], rel=1e-9),
    }


@OF_A_SMALLER_ONE
def test_a_rank_that_is_killed_is_named(tiny: Any) -> None:
    command = start(tiny, tiny.begin(**ENDLESS), "--gpus", "2")
    ranks = command.ranks()
    ranks[0].kill()
    assert command.end(ranks) == ["error: Rank 0 of 2 was killed by SIGKILL. Did its memory run out?"]


def test_ranks_do_not_outlive_a_command_that_is_killed(tiny: Any) -> None:
    command = start(tiny, tiny.begin(**ENDLESS), "--gpus", "2")
    ranks = command.ranks()
    command.process.kill()
    _, left = psutil.wait_procs(ranks, timeout=END_SECONDS)
    assert not left
    _, messages = command.process.communicate(timeout=END_SECONDS)
    assert all(line.startswith(("run ", "epoch ")) for line in messages.splitlines())


@OF_A_SMALLER_ONE
def test_damage_that_one_rank_meets_is_told_in_one_line(fresh_tiny: Any) -> None:
    # Of the seven validation samples on rows 26 to 32, rank 1 reads the last, which begins a shard.
    run = fresh_tiny.begin(**ENDLESS)
    (shard,) = fresh_tiny.layout.connectivity_array("glasser360").glob("c/4/0")
    content = bytearray(shard.read_bytes())
    content[3] ^= 1
    content[len(content) // 4] ^= 1
    shard.write_bytes(content)
    command = start(fresh_tiny, run, "--gpus", "2")
    (line,) = command.end([])
    assert line.startswith("error: ") and "connectivity" in line and "Traceback" not in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--gpus", "2"], "PyTorch finds no GPU here. With --device cpu, --gpus 2 processes share the processor."),
        (["--gpus", "0", "--device", "cpu"], "--gpus must be at least 1, got 0."),
        (["--gpus", "2", "--device", "cuda"], "--device cuda was asked for, but PyTorch finds no GPU here."),
    ],
)
def test_ranks_that_cannot_be_placed_are_refused_in_one_line_before_any_starts(
    tiny: Any, run_mm: Any, monkeypatch: pytest.MonkeyPatch, words: list[str], expected: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    run = tiny.begin(inputs=("connectivity",), device="auto")
    result = run_mm("--study", tiny.layout.root, "train", "--resume", run.run_id, *words)
    assert result.exit_code == 1
    assert result.output.startswith(f"error: {expected}") and result.output.count("\n") == 1
    assert not list(run.path.glob("checkpoints/*"))


@OF_A_SMALLER_ONE
def test_a_rank_that_hangs_is_named_and_the_command_ends(tiny: Any) -> None:
    command = start(tiny, tiny.begin(**ENDLESS, hang_seconds=HANG_SECONDS), "--gpus", "2")
    ranks = command.ranks()
    ranks[1].send_signal(signal.SIGSTOP)
    ended = command.end(ranks[:1])
    with suppress(psutil.NoSuchProcess):  # torchrun may have killed it
        ranks[1].kill()
    assert ended == [f"error: Rank 1 of 2 hangs: no rank began a batch for {HANG_SECONDS} s, and it does not answer."]
