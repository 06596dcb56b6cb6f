"""The system calls of real commands: when one ends, no file or folder that it made or changed can be lost any more.

It shows what the watched disk of the campaign beside this file takes for granted: what tensorstore makes sure of.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CALLS = "openat,write,pwrite64,writev,ftruncate,rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir,fsync"
SCRIPT = """
import sys
from pathlib import Path
from tests.power_cuts.study import copies, ingest, init, mm, train, withdraw, write_sources

folder = Path(sys.argv[1])
sources = write_sources(folder)
for command in (init, ingest, copies, train, withdraw):
    done = mm(folder / "made" / "study", *command(sources))
    assert done.exit_code == 0, done.output
    (folder / f"end of {command.__name__}").mkdir()
"""
WRITE = re.compile(r"(?:write|pwrite64|writev|ftruncate)\(\d+<(?P<path>[^>]*)>")
SYNC = re.compile(r"fsync\(\d+<(?P<path>[^>]*)>")
CREATE = re.compile(r'openat\(.*"(?P<path>[^"]*)", [^)]*O_CREAT.*\) = \d')
MOVE = re.compile(r'rename\w*\((?:AT_FDCWD\S* )?"(?P<source>[^"]*)", (?:AT_FDCWD\S* )?"(?P<path>[^"]*)"')
MAKE = re.compile(r'mkdir(?:at)?\((?:AT_FDCWD\S* )?"(?P<path>[^"]*)", \w+\) = 0')
OF_NO_CONSEQUENCE = re.compile(r"lock$|/tensorboard/")
GIVEN = re.compile(r"/catalog\.duckdb(\.wal)?$")
"""DuckDB's own: it makes sure of them in ways of its own."""


def uncertain(trace: Iterator[str], root: str) -> Iterator[tuple[str, set[str]]]:
    """Yield for each command that ended what of the folder a power cut could still take."""
    changed: set[str] = set()
    """Files with bytes that no fsync has made certain."""
    made: set[str] = set()
    """Names that no fsync of their folder has made certain."""
    known: set[str] = set()
    for line in trace:
        if found := MAKE.search(line):
            path = found["path"]
            if name := re.search("/end of (.*)", path):
                there = {path for path in changed | made if path.startswith(root) and Path(path).exists()}
                yield name[1], there
            made.add(path)
            known.add(path)
        elif found := MOVE.search(line):
            source, path = found["source"], found["path"]
            changed = {path if name == source else name for name in changed - {path}}
            made = made - {source} | {path}
            known = known - {source} | {path}
        elif found := CREATE.search(line):
            made |= {found["path"]} - known
            known.add(found["path"])
        elif found := SYNC.search(line):
            path = found["path"]
            changed.discard(path)
            made = {name for name in made if str(Path(name).parent) != path}
        elif found := WRITE.search(line):
            changed.add(found["path"])


def can_trace() -> bool:
    """Return whether strace is here, and allowed to watch a process."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not watch")
def test_when_a_command_ends_nothing_that_it_wrote_can_be_lost(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    strace = ["strace", "-f", "-y", "--seccomp-bpf", "-s", "1", "-o", str(trace), "-e", f"trace={CALLS}"]
    done = subprocess.run(
        [*strace, *command], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    with trace.open(errors="replace") as lines:
        left = dict(uncertain(lines, f"{tmp_path}/made"))
    assert list(left) == ["init", "ingest", "copies", "train", "withdraw"]
    for name, paths in left.items():
        assert {path for path in paths if not OF_NO_CONSEQUENCE.search(path) and not GIVEN.search(path)} == set(), name
