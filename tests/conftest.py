"""A small synthetic release and a study made from it, through the command line, once for all tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli import app

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


@pytest.fixture(scope="session")
def run_mm() -> RunMm:
    """Run one command line of mm in this process."""

    def run(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)

    return run


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory, run_mm: RunMm) -> Path:
    """24 participants at 4 mm, with every deliberate fault."""
    folder = tmp_path_factory.mktemp("release") / "ukb"
    result = run_mm("synth", "ukb", folder, "--participants", 24, "--voxel-mm", 4, "--workers", 0)
    assert result.exit_code == 0, result.output
    return folder


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
def study(tmp_path_factory: pytest.TempPathFactory, run_mm: RunMm, make_study: Callable[..., Path]) -> Path:
    """The release, ingested and augmented. Tests must not change it."""
    root = make_study(tmp_path_factory.mktemp("study") / "study")
    for words in (("ingest", "ukb"), ("precompute-augs", "--copies", 2)):
        result = run_mm("--study", root, *words, "--workers", 0)
        assert result.exit_code == 0, result.output
    return root


@pytest.fixture(scope="session")
def status(run_mm: RunMm, study: Path) -> dict[str, Any]:
    """What `mm status --json` says of the study."""
    result = run_mm("--study", study, "status", "--json")
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)
    return content
