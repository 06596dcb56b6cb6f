"""Studies that commands are tried on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

SMALL_TRAINING = ("--inputs", "t1", "--channels", "2,2", "--epochs", 1, "--copies", 0, "--device", "cpu")


@pytest.fixture(scope="session")
def copy(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the study that tests may add to, with enough samples of every split to train on."""
    root = Path(shutil.copytree(study, tmp_path_factory.mktemp("copy") / "study"))
    with duckdb.connect(str(root / "catalog.duckdb")) as catalog:
        catalog.execute(
            "UPDATE sample SET split = CASE first_row % 5 WHEN 0 THEN 'test' WHEN 1 THEN 'val' ELSE 'train' END "
            "FROM (SELECT participant_key, min(row) AS first_row FROM sample GROUP BY participant_key) first "
            "WHERE first.participant_key = sample.participant_key"
        )
    shutil.rmtree(root / "augmented.zarr")  # of those who trained before
    (root / "receipts" / "copies.jsonl").unlink()
    return root


@pytest.fixture
def locked(study: Path, tmp_path: Path) -> Iterator[Path]:
    """A study whose catalogue another process has open to write."""
    root = Path(shutil.copytree(study, tmp_path / "study"))
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(root / "catalog.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield root


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Put back what the command line sets for its process."""
    old = os.umask(0o022)
    os.umask(old)
    yield
    os.umask(old)
