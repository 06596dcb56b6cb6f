"""What the machine lacks is one line with the cause, and any encoding takes what mm prints."""

import errno
import getpass
import io
import os
import resource
import subprocess
import sys

import pytest
from rich.console import Console
from rich.table import Table

from mmbase.errors import MmError
from mmcli import machine
from mmcli.failures import explain
from mmcli.machine import name_user, require_address_space, set_threads, write_any_text

TEXT = "R² – 64 × 64, “sub-é” ≥ 3 … ▂█ 日 \udcff"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_text_and_table_can_be_printed_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    write_any_text()
    table = Table("feature", "R²")
    table.add_row(TEXT, "▁▂▃▄▅▆▇█")
    for console in (Console(width=80), Console(width=80, stderr=True)):
        console.print(TEXT, markup=False)
        console.print(table)
    for stream in streams.values():
        stream.flush()
        printed = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
        assert "64" in printed and "feature" in printed
        if encoding == "ascii":
            assert 'R2 - 64 x 64, "sub-e" >= 3 ... .# ? ?' in printed


@pytest.mark.parametrize(("given", "first"), [("1,2", "1"), (" 4 , 2 ", "4"), ("2,2,1", "2"), ("8", None), ("", None)])
def test_threads_may_be_a_number_or_a_list(given: str, first: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.setenv("NUMEXPR_NUM_THREADS", "")
    monkeypatch.delenv("NUMEXPR_NUM_THREADS")
    set_threads()
    assert os.environ.get("NUMEXPR_NUM_THREADS") == first
    assert os.environ.get("OMP_NUM_THREADS") == (given or None)


@pytest.mark.parametrize("given", ["abc", "0", "1,", "2;2", "-1", "1.5", "1,x", "²"])
def test_threads_that_are_no_numbers_are_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    with pytest.raises(MmError, match=r"OMP_NUM_THREADS is .*Expected a number of threads"):
        set_threads()


@pytest.mark.parametrize("error", [KeyError("uid not found"), OSError("No username set in the environment")])
def test_a_user_without_a_name_is_called_by_number(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr("pwd.getpwuid", fail)
    name_user()
    assert getpass.getuser() == str(os.getuid())


def test_too_little_address_space_is_told_before_anything_is_loaded() -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    command = [sys.executable, "-m", "mmcli", "--study", "nowhere", "status"]
    ended = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: mm needs ") and "2.1 GB (ulimit -v)" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_unlimited_address_space_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "address_space_limit", lambda: None)
    require_address_space()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory. Error code 12 (Cannot allocate memory)"),
        RuntimeError("can't start new thread"),
    ],
)
@pytest.mark.parametrize("limit", [None, 8 << 30])
def test_memory_that_runs_out_is_one_line(error: Exception, limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "address_space_limit", lambda: limit)
    told = explain(error)
    assert told is not None and "\n" not in told and "What was stored is intact" in told
    assert "(ulimit -v)" in told or limit is None or "threads" in told
