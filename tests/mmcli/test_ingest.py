"""`mm ingest` as its user meets it."""

import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunMm
from tests.mmcli.outcome import complaint, snapshot

Usage = namedtuple("Usage", "total used free")


def test_a_source_folder_that_is_missing_is_named(run_mm: RunMm, tmp_path: Path) -> None:
    message = complaint(run_mm("--study", tmp_path / "study", "ingest", "ukb", tmp_path / "nowhere"))
    assert f"{tmp_path / 'nowhere'} is not a folder" in message
    assert not (tmp_path / "study").exists()


def test_a_folder_without_archives_is_refused_with_what_was_expected(run_mm: RunMm, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    message = complaint(run_mm("--study", tmp_path / "study", "ingest", "ukb", tmp_path / "empty"))
    assert "EID_FIELD_INSTANCE_ARRAY.zip" in message
    assert not (tmp_path / "study").exists()


def test_a_disk_too_small_is_refused_before_work_begins(
    run_mm: RunMm, tmp_path: Path, make_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_study(tmp_path / "study")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 1000))
    message = complaint(run_mm("--study", root, "ingest", "ukb", "--workers", 0))
    assert "on disk and 0.00 GB are free" in message
    assert not (root / "volumes.zarr").exists()


def test_ingesting_and_augmenting_again_change_nothing(run_mm: RunMm, study: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(study, tmp_path / "study"))
    before = snapshot(root)
    for words in (("ingest", "ukb"), ("precompute-augs", "--copies", 2)):
        assert run_mm("--study", root, *words, "--workers", 0).exit_code == 0
    after = snapshot(root)
    assert after.pop("catalog.duckdb") and before.pop("catalog.duckdb")
    assert after == before


def test_a_dry_run_of_the_first_ingest_makes_no_study(run_mm: RunMm, release: Path, tmp_path: Path) -> None:
    result = run_mm("--study", tmp_path / "study", "ingest", "ukb", release, "--dry-run")
    assert result.exit_code == 0, result.output
    assert not any(tmp_path.iterdir())


def test_ingest_makes_the_study_where_there_is_none(run_mm: RunMm, tmp_path: Path) -> None:
    source, root = tmp_path / "ukb", tmp_path / "study"
    words = ("synth", "ukb", source, "--participants", 4, "--voxel-mm", 4, "--workers", 0)
    assert run_mm(*words).exit_code == 0
    result = run_mm("--study", root, "ingest", "ukb", source, "--workers", 0)
    assert result.exit_code == 0, result.output
    assert (root / "study.toml").is_file()
    assert (root / "volumes.zarr" / "t1" / "128").is_dir()
    text = (root / "study.toml").read_text()
    assert str(source) in text
    assert "# Passes over the training samples, at most.\nepochs = 200\n" in text
    assert all(path.stat().st_mode & 0o077 == 0 for path in (root, root / "study.toml", root / "catalog.duckdb"))


@pytest.mark.parametrize(("option", "exit_code"), [("--strict", 1), ("--no-strict", 0)])
def test_strict_fails_where_scans_were_rejected(
    run_mm: RunMm, copy: Path, status: dict[str, Any], option: str, exit_code: int
) -> None:
    assert any(status["rejected"].values())
    result = run_mm("--study", copy, "ingest", "ukb", "--workers", 0, option)
    assert result.exit_code == exit_code
    assert "rejected" in result.stdout
