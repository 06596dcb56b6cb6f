"""A small synthetic release and a study made from it, through the command line, once for all tests.

The tests may run in several processes at once (pytest-xdist). What takes long to make is made by the first process that
needs it, in a folder that all share: see `make_once`.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from typer.testing import CliRunner, Result

# Threads of processes that share the cores wait for each other. Read once, when numpy or torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from cli import app

settings.register_profile("mm", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # no clock decides a test
settings.load_profile("mm")

SETTINGS = (
    "salt=salt-of-the-test-study",
    "volumes.sides=[64,32]",
    "volumes.rows_per_shard=8",
    "augment.sides=[32]",
    "splits.val=0.25",
    "splits.test=0.25",
    "train.side=32",
    "train.batch_size=8",
    "train.epochs=2",
)

RunMm = Callable[..., Result]
MakeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Have a folder filled by the first process that asks for it, and return it to all. Tests must not change it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, filled = shared / name, shared / f"{name}.filled"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not filled.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
                folder.mkdir()
                fill(folder)
                filled.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def run_mm() -> RunMm:
    """Run one command line of mm in this process."""

    def run(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)

    return run


@pytest.fixture(scope="session")
def release(make_once: MakeOnce, run_mm: RunMm) -> Path:
    """24 participants at 4 mm, with every deliberate fault."""

    def fill(folder: Path) -> None:
        result = run_mm("synth", "ukb", folder / "ukb", "--participants", 24, "--voxel-mm", 4, "--workers", 0)
        assert result.exit_code == 0, result.output

    return make_once("release", fill) / "ukb"


@pytest.fixture(scope="session")
def make_study(run_mm: RunMm, release: Path) -> Callable[..., Path]:
    """Make an empty study of the release's folder with the tests' settings and others behind them."""

    def make(root: Path, *settings: str, source: Path = release) -> Path:
        options = [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]
        result = run_mm("--study", root, "init", "--source", source, *options)
        assert result.exit_code == 0, result.output
        return root

    return make


@pytest.fixture(scope="session")
def study(
    make_once: MakeOnce, run_mm: RunMm, make_study: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The release, ingested and augmented. Tests must not change it.

    Each process has a copy: even commands that change nothing write their number into the lock files.
    """

    def fill(folder: Path) -> None:
        root = make_study(folder / "study")
        for words in (("ingest", "ukb"), ("precompute-augs", "--copies", 2)):
            result = run_mm("--study", root, *words, "--workers", 0)
            assert result.exit_code == 0, result.output

    made = make_once("study", fill) / "study"
    return Path(shutil.copytree(made, tmp_path_factory.mktemp("study") / "study"))


@pytest.fixture(scope="session")
def status(run_mm: RunMm, study: Path) -> dict[str, Any]:
    """What `mm status --json` says of the study."""
    result = run_mm("--study", study, "status", "--json")
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)
    return content
