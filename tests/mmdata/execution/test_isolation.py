import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mmdata.errors import ScanRejected
from mmdata.execution.isolation import ProcessCrashed, run_isolated

ROOT = Path(__file__).parents[3]
SLEEPS_IN_A_CHILD = """
import sys
from mmdata.execution.isolation import run_isolated
from tests.mmdata.execution.test_isolation import run_program
run_isolated(run_program, sys.argv[1], timeout_s=60)
"""


@pytest.fixture(autouse=True)
def _this_file_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


class PickyError(Exception):
    def __init__(self, *, cause: str) -> None:
        super().__init__(cause)


def own_pid(_: None) -> int:
    return os.getpid()


def shout(num_lines: int) -> int:
    printf = ctypes.CDLL(None).printf
    for _ in range(num_lines):
        printf(b"noise on stdout\n")
    ctypes.CDLL(None).fflush(None)
    sys.stdout.write("more noise")
    sys.stdout.flush()
    return num_lines


def read_input(_: None) -> str:
    return sys.stdin.read()


def reject(reason: str) -> None:
    raise ScanRejected(reason, "expected a brain")


def run_program(started: str) -> None:
    subprocess.run(["sh", "-c", 'touch "$0" && sleep 600', started], check=True)


def crash_beside_a_program(started: str) -> None:
    subprocess.Popen(["sh", "-c", 'touch "$0" && sleep 600', started])
    wait_for(Path(started))
    ctypes.string_at(0)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def processes_that_mention(path: Path) -> list[psutil.Process]:
    return [found for found in psutil.process_iter() if str(path).encode() in command_line(found)]


def command_line(process: psutil.Process) -> bytes:
    try:
        return Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except OSError:
        return b""


def raise_what_does_not_unpickle(_: None) -> None:
    raise PickyError(cause="secret")


def test_result_comes_from_another_process() -> None:
    assert run_isolated(own_pid, None, timeout_s=60) not in (os.getpid(), None)


def test_what_is_printed_does_not_mix_with_the_result(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_isolated(shout, 1000, timeout_s=60) == 1000
    assert capfd.readouterr() == ("", "")


def test_calls_and_results_larger_than_a_pipe_come_through() -> None:
    large = bytes(range(256)) * 40_000
    assert run_isolated(bytes.upper, large, timeout_s=60) == large.upper()


def test_standard_input_is_at_its_end() -> None:
    assert run_isolated(read_input, None, timeout_s=60) == ""


def test_error_of_the_function_comes_out() -> None:
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        run_isolated(math.sqrt, -1.0, timeout_s=60)


def test_rejection_keeps_its_reason_and_detail() -> None:
    with pytest.raises(ScanRejected) as rejection:
        run_isolated(reject, "no-brain", timeout_s=60)
    assert (rejection.value.reason, rejection.value.detail) == ("no-brain", "expected a brain")


def test_error_that_does_not_unpickle_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"^PickyError in an isolated process$"):
        run_isolated(raise_what_does_not_unpickle, None, timeout_s=60)


@pytest.mark.parametrize(
    ("function", "argument", "cause"),
    [
        (ctypes.string_at, 0, "killed by SIGSEGV"),
        (signal.raise_signal, signal.SIGKILL, "killed by SIGKILL"),
        (os._exit, 3, "exited with code 3"),
        (os._exit, 0, "exited with code 0"),
    ],
)
def test_a_death_says_what_by(function: object, argument: int, cause: str) -> None:
    with pytest.raises(ProcessCrashed, match=f"^{cause}$"):
        run_isolated(function, argument, timeout_s=60)  # type: ignore[arg-type]


def test_a_process_that_takes_too_long_is_killed_with_what_it_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    for timeout_s in (1, 10, 100):
        with pytest.raises(ProcessCrashed, match=rf"^stopped after {timeout_s} s$"):
            run_isolated(run_program, str(started), timeout_s=timeout_s)
        if started.exists():  # it had time to start a program
            break
    assert started.exists()
    _, alive = psutil.wait_procs(processes_that_mention(started), timeout=120)
    assert alive == []


def test_nothing_that_a_crashed_process_started_goes_on(tmp_path: Path) -> None:
    started = tmp_path / "started"
    with pytest.raises(ProcessCrashed, match="SIGSEGV"):
        run_isolated(crash_beside_a_program, str(started), timeout_s=60)
    assert started.exists()
    _, alive = psutil.wait_procs(processes_that_mention(started), timeout=120)
    assert alive == []


def test_the_child_and_what_it_started_die_with_a_killed_parent(tmp_path: Path) -> None:
    started = tmp_path / "started"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", SLEEPS_IN_A_CHILD, str(started)], env=environment) as parent:
        wait_for(started)
        family = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    assert len(family) >= 2
    _, alive = psutil.wait_procs(family, timeout=120)
    assert alive == []
