"""What an ingest reads again, and what it leaves alone."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

ARCHIVE = "*_20252_2_0.zip"


@pytest.fixture
def source(release: Path, tmp_path: Path) -> Path:
    """A release of a few participants, by links; their table; nobody withdrawn."""
    folder = tmp_path / "source"
    folder.mkdir()
    for archive in sorted(release.glob(f"bulk/{ARCHIVE}"))[:6]:
        eid = archive.name.split("_")[0]
        for path in release.glob(f"bulk/{eid}_*_2_0.zip"):
            shutil.copy2(path, folder)
    shutil.copy2(release / "ukb_synthetic.csv", folder)
    return folder


@pytest.fixture
def ingest(make_study: Callable[..., Path], run_mm: Any, source: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Ingest into a study of that source and return what the command says."""
    root = make_study(tmp_path / "study", "connectivity.enabled=false", source=source)

    def run(*words: object) -> dict[str, Any]:
        result = run_mm("--study", root, "ingest", "ukb", *words, "--workers", 0, "--json")
        assert result.exit_code == 0, result.output
        content: dict[str, Any] = json.loads(result.stdout)
        return content

    return run


def test_a_flair_is_tried_again_when_its_transform_arrives(ingest: Callable[..., Any], source: Path) -> None:
    kept = {path: path.read_bytes() for path in source.glob(ARCHIVE)}
    for path in kept:
        path.unlink()
    rejected = ingest()["rejected"]["flair"]["missing-transform"]
    assert rejected > 0
    assert ingest()["read_now"] == 0
    for path, content in kept.items():
        path.write_bytes(content)
    assert ingest()["read_now"] >= rejected + 1
    assert ingest()["rejected"].get("flair", {}).get("missing-transform", 0) == 0


def test_an_archive_that_could_not_be_read_is_tried_again(
    ingest: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("mmdata.readers.members.zipfile.ZipFile", fail)
        first = ingest()
    assert set(first["rejected"]["t1"]) == {"unreadable"}
    assert ingest()["scans"]["t1"]["stored"] > 0


def test_an_array_that_was_deleted_is_made_again(ingest: Callable[..., Any], tmp_path: Path) -> None:
    stored = ingest()["scans"]["t1"]["stored"]
    shutil.rmtree(tmp_path / "study" / "volumes.zarr" / "t1" / "32")
    assert ingest()["read_now"] == stored


def test_a_second_source_keeps_the_features_of_the_first(
    ingest: Callable[..., Any], release: Path, source: Path, tmp_path: Path
) -> None:
    first = ingest()["feature_values"]
    other = tmp_path / "other"
    other.mkdir()
    new = sorted(release.glob(f"bulk/{ARCHIVE}"))[6]
    shutil.copy2(new, other)
    table = pl.read_csv(release / "ukb_synthetic.csv", infer_schema=False)
    table.filter(pl.col("eid") == new.name.split("_")[0]).write_csv(other / "table.csv")
    both = ingest(other)
    assert both["new_samples"] == 1
    assert both["feature_values"] > first
    assert ingest()["feature_values"] == both["feature_values"]


def test_who_withdrew_stays_out_when_list_and_catalogue_are_lost(
    ingest: Callable[..., Any], source: Path, tmp_path: Path
) -> None:
    (tmp_path / "left.txt").write_text(next(source.glob(ARCHIVE)).name.split("_")[0] + "\n")
    assert ingest("--withdrawals", tmp_path / "left.txt")["withdrawn_left_out"] == 1
    catalogue = tmp_path / "study" / "catalog.duckdb"
    catalogue.unlink()
    again = ingest()
    assert (again["withdrawn_left_out"], again["read_now"]) == (1, 0)
    with duckdb.connect(str(catalogue), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM scans WHERE status = 'stored'").fetchall()[0][0] > 0


def test_the_same_image_for_two_people_counts_for_neither_until_it_is_mended(
    ingest: Callable[..., Any], source: Path
) -> None:
    first, second = sorted(source.glob(ARCHIVE))[:2]
    own = second.read_bytes()
    second.write_bytes(first.read_bytes())
    stored = ingest()
    assert stored["rejected"]["t1"]["duplicate"] == 2
    assert ingest()["read_now"] == 0
    second.write_bytes(own)
    mended = ingest()
    assert mended["read_now"] == 1 and "duplicate" not in mended["rejected"].get("t1", {})
    assert mended["scans"]["t1"]["stored"] == stored["scans"]["t1"]["stored"] + 2


def test_a_repaired_file_of_an_unpacked_tree_is_tried_again(
    ingest: Callable[..., Any], source: Path, tmp_path: Path
) -> None:
    for archive in sorted(source.glob("*.zip")):
        folder = archive.with_suffix("")
        with zipfile.ZipFile(archive) as members:
            members.extractall(folder)
        archive.unlink()
    image = next(source.glob("*_20252_2_0/**/T1_unbiased_brain.nii.gz"))
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    num_truncated = ingest()["rejected"]["t1"]["truncated"]
    image.write_bytes(whole)
    assert ingest()["rejected"].get("t1", {}).get("truncated", 0) == num_truncated - 1


def test_a_refused_source_does_not_stay_in_the_settings(
    ingest: Callable[..., Any], run_mm: Any, tmp_path: Path
) -> None:
    ingest()
    root = tmp_path / "study"
    before = (root / "study.toml").read_bytes()
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "table.csv").write_text("eid,31-0.0\nsomebody,1\n")
    assert run_mm("--study", root, "ingest", "ukb", bad, "--workers", 0).exit_code == 1
    assert (root / "study.toml").read_bytes() == before
