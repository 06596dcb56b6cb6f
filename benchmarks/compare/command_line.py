"""The command line of one commit: `python -m cli` on its source tree, in processes that all have one thread."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS_AT_MOST = 1800
"""For any one command."""
SHOWN_CHARACTERS = 120
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_SAVE_EACH_STEP = ("--checkpoint-minutes", "1e-6")
_FIND_PACKAGES = """
import importlib.util, json, pathlib, sys
top = pathlib.Path(sys.argv[1])
names = ["cli", *(path.parent.name for path in top.glob("*/__init__.py"))]
print(json.dumps({name: importlib.util.find_spec(name).origin for name in names}))
"""


class CommandFailed(Exception):  # noqa: N818 - a word of the report
    """A command ended otherwise than it should."""

    def __init__(self, what: str, messages: str = "") -> None:
        super().__init__(f"{what}\n{messages[-2000:]}".strip())
        self.messages = messages
        """What it wrote on stderr."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandLine:
    """`mm` as one commit has it."""

    label: str
    """Which commit: before or after."""
    source: Path
    """Its source tree."""
    python: Path
    """The interpreter, with the packages that both commits need."""

    def require_own_code(self) -> None:
        """Make sure that no other copy of the packages, such as an installed one, comes first.

        Raises
        ------
        CommandFailed
            One does.
        """
        found = json.loads(self._finish([str(self.python), "-P", "-c", _FIND_PACKAGES, str(self.source)]))
        strange = {name: origin for name, origin in found.items() if not Path(origin).is_relative_to(self.source)}
        if strange:
            raise CommandFailed(f"{self.label}: expected packages in {self.source}, got {strange}.")

    def run(self, *words: object) -> str:
        """Run a command; return what it wrote on stdout.

        Raises
        ------
        CommandFailed
            It failed; says what it wrote on stderr.
        """
        return self._finish(self._line(words))

    def run_json(self, *words: object) -> dict[str, Any]:
        """Run a command with ``--json``; return the object."""
        content: dict[str, Any] = json.loads(self.run(*words, "--json"))
        return content

    def train(self, study: Path, *words: object) -> Path:
        """Train a new run to its end; return its directory."""
        known = set((study / "runs").iterdir())
        self.run("--study", study, "train", *words)
        (run,) = set((study / "runs").iterdir()) - known
        return run

    def train_and_stop(self, study: Path, *words: object) -> Path:
        """Begin a run and stop it within an epoch, by SIGTERM after its first step; return its directory.

        Raises
        ------
        CommandFailed
            It did not stop, or said that it failed.
        """
        known = set((study / "runs").iterdir())
        line = self._line(("--study", study, "train", *words, *_SAVE_EACH_STEP))
        process = subprocess.Popen(
            line, env=environment(self.source, os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            deadline = time.monotonic() + SECONDS_AT_MOST
            while process.poll() is None and time.monotonic() < deadline:
                begun = set((study / "runs").iterdir()) - known
                if any(list(run.glob("checkpoints/**/*.safetensors")) for run in begun):
                    break
                time.sleep(0.002)
            process.send_signal(signal.SIGTERM)
            _, messages = process.communicate(timeout=SECONDS_AT_MOST)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
        begun = set((study / "runs").iterdir()) - known
        if process.returncode != 1 or len(begun) != 1 or any((run / "metrics.json").exists() for run in begun):
            raise CommandFailed(f"{self.label}: expected that a run stops within an epoch, got", messages)
        return begun.pop()

    def _line(self, words: tuple[object, ...]) -> list[str]:
        return [str(self.python), "-P", "-m", "cli", *map(str, words)]

    def _finish(self, line: list[str]) -> str:
        """Run a command line to its end and say on stderr how long it took."""
        started = time.monotonic()
        done = subprocess.run(
            line,
            env=environment(self.source, os.environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS_AT_MOST,
        )
        said = " ".join(["mm", *line[4:]])
        if done.returncode:
            raise CommandFailed(f"{self.label}: {said}\nended with {done.returncode}:", done.stderr)
        print(f"{self.label}: {_shorten(said)} ({time.monotonic() - started:.1f} s)", file=sys.stderr)
        return done.stdout


def _shorten(said: str) -> str:
    """Return a command line without the folders of its paths.

    >>> _shorten("mm --study /tmp/compare/study status --json")
    'mm --study study status --json'
    """
    return re.sub(r"/\S*/", "", said)[:SHOWN_CHARACTERS]


def environment(source: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command: the same for both commits but for the source tree.

    One thread, so that sums are taken in one order. Python's hash seed stays random: what depends on it should show.

    >>> environment(Path("/tree"), {"MM_STUDY": "study"})["PYTHONPATH"]
    '/tree'
    """
    kept = {name: value for name, value in inherited.items() if not name.startswith(("MM_", "PYTHON"))}
    return {**kept, **dict.fromkeys(_THREADS, "1"), "PYTHONPATH": str(source)}
