"""Studies that commands are tried on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from catalog.fields import load_dictionary
from mmstudy.comparison.published_table import published_csv_of_scores
from mmstudy.comparison.scores import SCORES
from mmstudy.sweep.grid import reference_cells

SMALL_TRAINING = ("--inputs", "t1", "--channels", "2,2", "--epochs", 1, "--copies", 0, "--device", "cpu")
TABLE_TARGETS = ("age", "sex", "Hb", "HDL")


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


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up scores of the reference's cells of four targets; those with T1 are better by 0.1."""
    dictionary = load_dictionary()
    rows = []
    for number, cell in enumerate(reference_cells(dictionary, TABLE_TARGETS)):
        kind = dictionary[cell.target].kind
        score = 0.5 + 0.1 * ("t1" in cell.inputs) + 0.001 * (number % 7)
        known = {"balanced_accuracy": score, "auc": 0.7, "minutes": 10.0 + number % 5}
        values = {} if kind == "binary" else {"r2": score, "r": score**0.5, "mae": 1.0}
        plain = {"cell": cell.name, "target": cell.target, "domain": dictionary[cell.target].block}
        plain |= {
            "inputs": list(cell.inputs),
            "blocks": list(cell.blocks),
            "kind": kind,
        }
        rows.append({**dict.fromkeys(SCORES.names()), **plain, **known, **values})
    path = tmp_path_factory.mktemp("table") / "table.csv"
    path.write_text(published_csv_of_scores(pl.DataFrame(rows, schema=SCORES, orient="row")))
    return path
