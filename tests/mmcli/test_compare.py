"""`mm compare` on a table in the published columns: tables, pictures and what to beware of."""

import json
from pathlib import Path

import polars as pl
import pytest

from catalog.fields import load_dictionary
from mmstudy.comparison.published_table import published_csv_of_scores
from mmstudy.comparison.scores import SCORES
from mmstudy.sweep.grid import reference_cells
from tests.conftest import RunMm

TARGETS = ("age", "sex", "Hb", "HDL")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up scores of the reference's cells of four targets; those with T1 are better by 0.1."""
    dictionary = load_dictionary()
    rows = []
    for number, cell in enumerate(reference_cells(dictionary, TARGETS)):
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


def test_a_table_becomes_tables_and_pictures(table: Path, run_mm: RunMm, tmp_path: Path) -> None:
    result = run_mm("compare", "--table", table, "--output", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["models"] == 2 * 7 + 2 * 32
    assert {best["target"]: "t1" in best["inputs"] for best in told["best"]} == dict.fromkeys(TARGETS, True)
    assert "chosen on the test scores" in told["notes"][0]
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(told["files"])
    for name in ("grid-published", "training-time-published", "effects-published"):
        assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (tmp_path / "out" / f"{name}.svg").read_bytes()
    assert (tmp_path / "out" / "results.csv").read_text() == table.read_text()


def test_pictures_that_no_longer_hold_are_removed(table: Path, run_mm: RunMm, tmp_path: Path) -> None:
    (tmp_path / "optimism-published.png").touch()
    refused = run_mm("compare", "--table", table, "--output", tmp_path)
    assert refused.exit_code == 1
    assert "no empty folder" in refused.output
    result = run_mm("compare", "--table", table, "--output", tmp_path, "--overwrite")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "optimism-published.png").exists()
    assert "hours of training in all" in result.output


def test_a_table_needs_a_folder_to_write_to(table: Path, run_mm: RunMm) -> None:
    assert run_mm("compare", "--table", table).exit_code == 2
