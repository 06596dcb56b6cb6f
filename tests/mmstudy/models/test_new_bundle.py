"""A bundle is there whole or not at all, and takes the place of nothing but a bundle."""

import shutil
from pathlib import Path

import pytest

from mmdata.errors import StudyError
from mmdata.store.schema import StudyLayout
from mmstudy.models.new_bundle import new_bundle, require_place


def make(where: Path, text: str = "new", *, overwrite: bool = False) -> None:
    place = require_place(where, overwrite=overwrite)
    with new_bundle(place, overwrite=overwrite) as bundle:
        bundle.readme.write_text(text)
        assert not (place / "README.md").exists() or (place / "README.md").read_text() != text


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_bundle(tmp_path / "a", overwrite=False) as bundle:
        bundle.readme.write_text("half")
        _ = 1 // 0
    assert list(tmp_path.iterdir()) == []


def test_the_folders_above_a_bundle_are_made_as_those_above_every_folder_that_mm_makes(tmp_path: Path) -> None:
    make(tmp_path / "models" / "of-2026" / "a")
    assert (tmp_path / "models" / "of-2026" / "a" / "README.md").is_file()


def test_what_a_killed_export_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a.tmp" / "golden").mkdir(parents=True)
    (tmp_path / "a.tmp" / "model.safetensors.tmp").write_bytes(b"half")
    make(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_bundle_is_replaced_only_when_that_is_said(tmp_path: Path) -> None:
    make(tmp_path / "a", "old")
    with pytest.raises(StudyError, match=r"there already.*--overwrite"):
        make(tmp_path / "a")
    make(tmp_path / "a", overwrite=True)
    assert (tmp_path / "a" / "README.md").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_bundle_that_a_kill_kept_from_being_replaced_is_put_back(tmp_path: Path) -> None:
    make(tmp_path / "a", "old")
    (tmp_path / "a").rename(tmp_path / "a.replaced")
    with pytest.raises(StudyError, match="there already"):
        require_place(tmp_path / "a", overwrite=False)
    assert (tmp_path / "a" / "README.md").read_text() == "old"


@pytest.mark.parametrize("folder", ["a", "a.tmp"])
def test_a_folder_with_anything_else_in_it_is_never_removed(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "thesis.txt").write_text("years of work")
    with pytest.raises(StudyError, match="holds more than a bundle"):
        make(tmp_path / "a", overwrite=True)
    assert (tmp_path / folder / "thesis.txt").exists()


def test_an_empty_folder_is_taken_and_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    make(tmp_path / "a")
    (tmp_path / "b").write_text("")
    with pytest.raises(StudyError, match="is a file"):
        make(tmp_path / "b", overwrite=True)


@pytest.mark.parametrize(
    ("mark", "where", "what"),
    [
        ("study/study.toml", "study/runs/bundle", "a study"),
        ("study/study.toml", "study", "a study"),
        ("study/study.toml", "study/models/deeper/bundle", "a study"),
        ("copy.zarr/zarr.json", "copy.zarr/bundle", "a Zarr store"),
        ("runs/age/cohort.parquet", "runs/age/bundle", "the directory of a run"),
    ],
)
def test_a_bundle_lies_in_no_study_store_or_run(tmp_path: Path, mark: str, where: str, what: str) -> None:
    (tmp_path / mark).parent.mkdir(parents=True)
    (tmp_path / mark).touch()
    with pytest.raises(StudyError, match=f"lies in {what}"):
        require_place(tmp_path / where, overwrite=True)


def test_the_folder_models_of_a_study_may_hold_bundles(tmp_path: Path) -> None:
    layout = StudyLayout(tmp_path)
    layout.config.touch()
    make(layout.models / "mine")
    shutil.rmtree(layout.models / "mine")
