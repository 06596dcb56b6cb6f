"""A study that grows, mixes its sources, or loses its catalogue."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import Result

RunMm = Callable[..., Result]
VIEWS = ("participants", "samples", "splits", "scans", "features")


def views(root: Path) -> dict[str, list[tuple[Any, ...]]]:
    with duckdb.connect(str(root / "catalog.duckdb"), read_only=True) as connection:
        return {view: sorted(connection.execute(f"FROM {view}").fetchall(), key=repr) for view in VIEWS}


def test_a_lost_catalogue_is_filled_again_with_the_same(study: Path, run_mm: RunMm, tmp_path: Path) -> None:
    root = Path(shutil.copytree(study, tmp_path / "study"))
    (root / "catalog.duckdb").unlink()
    result = run_mm("--study", root, "ingest", "ukb", "--workers", 0, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["read_now"] == 0
    assert views(root) == views(study)


def test_samples_that_were_never_read_keep_their_rows_too(
    make_study: Callable[..., Path], run_mm: RunMm, tmp_path: Path
) -> None:
    """Only connectivity is stored, so some visits have no scan of a stored modality and no scan receipt."""
    root = make_study(tmp_path / "study", "volumes.modalities=['dwi']", "connectivity.enabled=false")
    assert run_mm("--study", root, "ingest", "ukb", "--workers", 0).exit_code == 0
    before = views(root)
    (root / "catalog.duckdb").unlink()
    assert run_mm("--study", root, "ingest", "ukb", "--workers", 0).exit_code == 0
    assert views(root) == before


@pytest.mark.parametrize("kind", ["bids", "folder"])
def test_a_source_of_another_kind_joins_and_moves_nobody(kind: str, study: Path, run_mm: RunMm, tmp_path: Path) -> None:
    other = tmp_path / "other"
    words = ("--participants", 5, "--seed", 7, "--voxel-mm", 4, "--workers", 0)
    assert run_mm("synth", kind, other, *words).exit_code == 0
    root = Path(shutil.copytree(study, tmp_path / "study"))
    result = run_mm("--study", root, "ingest", kind, other, "--workers", 0, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["new_samples"] >= 4
    before, after = views(study), views(root)
    for view in VIEWS:
        assert set(map(repr, before[view])) <= set(map(repr, after[view])), view
    again = run_mm("--study", root, "ingest", "ukb", "--workers", 0, "--json")
    assert json.loads(again.stdout)["read_now"] == 0 and views(root) == after


def test_a_preview_changes_nothing(study: Path, run_mm: RunMm, tmp_path: Path) -> None:
    root = Path(shutil.copytree(study, tmp_path / "study"))
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    words = ("ingest", "ukb", "--register", "affine", "--dry-run", "--json")
    assert json.loads(run_mm("--study", root, *words).stdout)["scans"] >= 0
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_rejected_scans_are_tried_again_when_a_remedy_comes(study: Path, run_mm: RunMm, tmp_path: Path) -> None:
    root = Path(shutil.copytree(study, tmp_path / "study"))
    result = run_mm("--study", root, "ingest", "ukb", "--register", "affine", "--workers", 0, "--json")
    assert result.exit_code == 0, result.output
    assert 0 < json.loads(result.stdout)["read_now"] < 10
    assert 'register = "affine"' in (root / "study.toml").read_text()
