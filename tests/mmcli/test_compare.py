"""`mm compare` on a table in the published columns: tables, pictures and what to beware of."""

import json
from pathlib import Path

from tests.conftest import RunMm
from tests.mmcli.conftest import TABLE_TARGETS


def test_a_table_becomes_tables_and_pictures(table: Path, run_mm: RunMm, tmp_path: Path) -> None:
    result = run_mm("compare", "--table", table, "--output", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["models"] == 2 * 7 + 2 * 32
    assert {best["target"]: "t1" in best["inputs"] for best in told["best"]} == dict.fromkeys(TABLE_TARGETS, True)
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
