"""Call a function in a Python process of its own, so that a crash costs that call alone.

The child reads a pickled call from its standard input and writes the pickled outcome to what was its standard output;
whatever else is printed there goes nowhere. A pipe that only the parent holds open tells the child, by its end, that
the parent is gone: then the child goes too, and with it the programs it started.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")

_CHILD = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from mmdata.execution.isolation import answer_call; answer_call({parent_alive})"
)


class ProcessCrashed(Exception):  # noqa: N818 - an outcome, as ScanRejected
    """A process died or was stopped before it had a result; the message says by what."""


def run_isolated(function: Callable[[Argument], Result], argument: Argument, *, timeout_s: float) -> Result:
    """Return ``function(argument)``, computed in a fresh Python process.

    Parameters
    ----------
    function
        A module-level function, so that the process can import it.
    argument
        Sent as a pickle, as are the result and what `function` raises.
    timeout_s
        Seconds after which the process is killed.

    Raises
    ------
    ProcessCrashed
        A signal ended the process, it exited by itself, or its time was up.
    Exception
        What `function` raised.
    """
    call = pickle.dumps(sys.path) + pickle.dumps((function, argument), pickle.HIGHEST_PROTOCOL)
    parent_alive, held_open = os.pipe()
    try:
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD.format(parent_alive=parent_alive)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[parent_alive],
            start_new_session=True,
        )
        answer = _exchange(child, call, timeout_s)
    finally:
        os.close(parent_alive)
        os.close(held_open)
    returned, value = pickle.loads(answer)
    if not returned:
        raise value
    result: Result = value
    return result


def run_program(call: tuple[Sequence[str], Path]) -> int:
    """Run a program (its words, and a file for its standard error) and return its exit code.

    Called through `run_isolated`, the program ends with its caller.

    Raises
    ------
    OSError
        The program cannot be started.
    """
    words, errors = call
    with errors.open("wb") as file:
        return subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file, check=False
        ).returncode


def answer_call(parent_alive: int) -> None:
    """Compute the call on standard input and leave the process; `run_isolated` starts its child here.

    Parameters
    ----------
    parent_alive
        File descriptor that reads as ended once the parent is gone.
    """
    threading.Thread(target=_exit_with_parent, args=(parent_alive,), daemon=True).start()
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        function, argument = pickle.load(sys.stdin.buffer)
        answer = _encode(True, function(argument))
    except Exception as error:
        answer = _encode_error(error)
    with os.fdopen(answers, "wb") as file:
        file.write(answer)
    os._exit(0)  # C++ libraries are slow to unload and may crash after all


def _exchange(child: subprocess.Popen[bytes], call: bytes, timeout_s: float) -> bytes:
    """Send the call and return the answer; leave nothing of the child or of what it started where there is none."""
    with child, ExitStack() as unless_answered:
        unless_answered.callback(_kill_group, child.pid)
        try:
            answer, _ = child.communicate(call, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ProcessCrashed(f"stopped after {timeout_s:g} s") from error
        if child.returncode or not answer:
            raise ProcessCrashed(_cause_of_death(child.returncode))
        unless_answered.pop_all()
    return answer


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _exit_with_parent(parent_alive: int) -> None:
    os.read(parent_alive, 1)
    os.killpg(0, signal.SIGKILL)


def _encode(returned: bool, value: Any) -> bytes:
    return pickle.dumps((returned, value), pickle.HIGHEST_PROTOCOL)


def _encode_error(error: Exception) -> bytes:
    """Return the bytes of an error, or of a plain one with its type's name if it would not come back from them."""
    try:
        encoded = _encode(False, error)
        pickle.loads(encoded)
    except Exception:
        return _encode(False, RuntimeError(f"{type(error).__name__} in an isolated process"))
    return encoded


def _cause_of_death(returncode: int) -> str:
    """Return what ended a process.

    >>> _cause_of_death(-11), _cause_of_death(3)
    ('killed by SIGSEGV', 'exited with code 3')
    """
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exited with code {returncode}"
