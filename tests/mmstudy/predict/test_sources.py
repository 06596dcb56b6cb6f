"""What the words of a command line name."""

from pathlib import Path

import pytest

from mmdata.errors import SourceError
from mmdata.sources.every import find_sources
from mmdata.study import StudyConfig
from mmdata.volume.settings import IngestSettings
from mmstudy.predict.sources import parse_sources

CONFIG = StudyConfig()


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_folder_alone_is_of_the_only_kind_that_it_has_scans_of(tmp_path: Path) -> None:
    touch(tmp_path / "bids" / "sub-1" / "anat" / "sub-1_T1w.nii.gz")
    touch(tmp_path / "plain" / "T1" / "1_t1.nii.gz")
    touch(tmp_path / "ukb" / "1000223_20252_2_0.zip")
    for kind, folder in (("bids", "bids"), ("folder", "plain"), ("ukb", "ukb")):
        (source,) = parse_sources([str(tmp_path / folder)], CONFIG).folders
        assert (source.kind, source.path) == (kind, tmp_path / folder)


def test_a_folder_of_several_kinds_or_of_none_has_to_be_named(tmp_path: Path) -> None:
    touch(tmp_path / "T1" / "1_t1.nii.gz")
    touch(tmp_path / "1000223_20252_2_0.zip")
    with pytest.raises(SourceError, match=r"several kinds: ukb, folder\. Say what it is"):
        parse_sources([str(tmp_path)], CONFIG)
    touch(tmp_path / "empty" / "notes.txt")
    with pytest.raises(SourceError, match="no scan of a kind that is known"):
        parse_sources([str(tmp_path / "empty")], CONFIG)
    assert parse_sources([f"folder:{tmp_path}"], CONFIG).folders[0].kind == "folder"


@pytest.mark.parametrize("kind", ["ukb", "bids", "folder"])
def test_a_folder_without_scans_is_told_to_somebody_who_ingests_nothing_and_has_no_study(
    tmp_path: Path, kind: str
) -> None:
    with pytest.raises(SourceError) as empty:
        find_sources(parse_sources([f"{kind}:{tmp_path}"], CONFIG).folders, CONFIG)
    told = str(empty.value)
    assert "Give the folder that holds them" in told
    assert "mm ingest" not in told and "the study's" not in told


@pytest.mark.parametrize(("register", "is_there"), [("never", True), ("affine", False)])
def test_single_images_are_of_one_person_in_template_space_unless_they_are_registered(
    tmp_path: Path, register: str, is_there: bool
) -> None:
    config = StudyConfig(ingest=IngestSettings(register=register))  # type: ignore[arg-type]
    words = [f"{name}={touch(tmp_path / f'{name}.nii.gz')}" for name in ("t1", "flair")]
    images = parse_sources(words, config).images
    assert [image.modality for image in images] == ["t1", "flair"]
    assert len({image.visit for image in images}) == 1
    assert {image.in_template_space for image in images} == {is_there}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{}/a.nii.gz"], "A single image needs its modality"),
        (["t1={}/missing.nii.gz"], "The t1 image does not exist"),
        (["t1="], "t1= names no file"),
        (["t1={}/a.nii.gz", "t1={}/a.nii.gz"], "Several images are of one modality"),
        (["t1={}/a.nii.gz", "bids:{}"], "folders and images are mixed|got both"),
        (["{}/nowhere"], "A source is no folder"),
    ],
)
def test_words_that_name_nothing_are_refused(tmp_path: Path, words: list[str], message: str) -> None:
    touch(tmp_path / "a.nii.gz")
    with pytest.raises(SourceError, match=message) as caught:
        parse_sources([word.format(tmp_path) for word in words], CONFIG)
    assert str(tmp_path) not in str(caught.value)
