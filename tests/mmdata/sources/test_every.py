from collections.abc import Callable
from pathlib import Path

import pytest

from mmbase.records import FoundSources, Visit, participant_number
from mmdata.errors import SourceError
from mmdata.sources.every import Source, SourceKind, find_sources, parse_source
from mmdata.study import StudyConfig
from mmdata.volume.settings import ConnectivitySettings, VolumeSettings

Touch = Callable[..., Path]
CONFIG = StudyConfig(salt="salt-of-the-test-study")


def find(*sources: tuple[SourceKind, Path], config: StudyConfig = CONFIG) -> FoundSources:
    return find_sources([Source(kind=kind, path=path) for kind, path in sources], config)


@pytest.mark.parametrize(
    ("entry", "kind", "path"),
    [
        ("/data/ukb", "ukb", "/data/ukb"),
        ("bids:/data/oasis", "bids", "/data/oasis"),
        ("folder:/data/a b:c", "folder", "/data/a b:c"),
        ("/data/bids:x", "ukb", "/data/bids:x"),
        ("./dicom:x", "ukb", "dicom:x"),
        ('C:\\odd "name"', "ukb", 'C:\\odd "name"'),
        ("bids:relative", "bids", "relative"),
    ],
)
def test_an_entry_is_a_kind_and_a_folder(entry: str, kind: SourceKind, path: str) -> None:
    assert parse_source(entry) == Source(kind=kind, path=Path(path))


@pytest.mark.parametrize("entry", ["~/data", "bids:~/data"])
def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert parse_source(entry).path == Path("/home/someone/data")


@pytest.mark.parametrize("entry", ["dicom:/data", "bids:", "folder:", ""])
def test_other_entries_are_refused_with_what_there_is(entry: str) -> None:
    with pytest.raises(
        SourceError, match=rf"'{entry}'\. Expected a folder of UK Biobank files, bids:FOLDER or folder:"
    ):
        parse_source(entry)


def test_sources_of_all_kinds_are_merged_in_order_of_visit_and_modality(touch: Touch) -> None:
    root = touch(
        "ukb/1000002_20252_2_0.zip",
        "ukb/1000001_31016_2_0.zip",
        "bids/sub-1000001/anat/sub-1000001_T1w.nii.gz",
        "bids/sub-OAS1/anat/sub-OAS1_T1w.nii.gz",
        "ref/VAL/DWI/1000001_dwi.nii.gz",
    )
    found = find(("folder", root / "ref"), ("ukb", root / "ukb"), ("bids", root / "bids"))
    number = participant_number("OAS1")
    assert [(scan.visit, scan.modality) for scan in found.scans] == [
        *[(Visit(1000001, 2), modality) for modality in ("connectivity", "dwi", "t1")],
        (Visit(1000002, 2), "t1"),
        (Visit(number, 2), "t1"),
    ]
    assert found.labels == {number: "OAS1"}
    assert found.splits == {1000001: "val"}
    assert found.num_duplicates == 0


@pytest.mark.parametrize("order", [("ukb", "bids"), ("bids", "ukb")])
def test_of_a_scan_that_two_sources_have_the_first_source_wins(touch: Touch, order: tuple[SourceKind, ...]) -> None:
    root = touch(
        "ukb/1000001_20252_2_0.zip", "ukb/1000001_20252_2_1.zip", "bids/sub-1000001/anat/sub-1000001_T1w.nii.gz"
    )
    found = find(*((kind, root / kind) for kind in order))
    assert [scan.path.is_relative_to(root / order[0]) for scan in found.scans] == [True]
    assert found.num_duplicates == 2


def test_folders_of_uk_biobank_files_are_one_release(touch: Touch) -> None:
    root = touch("flair/1000001_20253_2_0.zip", "ref/T1/1_t1.nii.gz", "t1/1000001_20252_2_0.zip", "tables/ukb.csv")
    (root / "tables/ukb.csv").write_text("eid,31-0.0\n")
    found = find(("ukb", root / "flair"), ("folder", root / "ref"), ("ukb", root / "t1"), ("ukb", root / "tables"))
    (flair,) = (scan for scan in found.scans if scan.modality == "flair")
    assert flair.transform_path == root / "t1/1000001_20252_2_0.zip"
    assert found.tables == (root / "tables/ukb.csv",)
    assert len(found.scans) == 3


def test_a_source_inside_uk_biobanks_folder_is_searched_as_what_it_is_alone(touch: Touch) -> None:
    root = touch("1000001_20252_2_0.zip", "ref/TRAIN/T1/1000002_t1.nii.gz", "ref/TRAIN/ids.txt", "ref/TRAIN/meta.csv")
    (root / "ref/TRAIN/ids.txt").write_text("1000002\n")
    (root / "ref/TRAIN/meta.csv").write_text("eid,age\n")
    found = find(("ukb", root), ("folder", root / "ref"))
    assert len(found.scans) == 2
    assert found.withdrawal_lists == ()
    assert found.tables == (root / "ref/TRAIN/meta.csv",)


def test_the_same_entry_twice_is_one_source(touch: Touch) -> None:
    root = touch("T1/1_t1.nii.gz")
    assert find(("folder", root), ("folder", root)).num_duplicates == 0


def test_only_modalities_that_the_study_stores_are_found(touch: Touch) -> None:
    root = touch(*(f"1000001_{field}_2_0.zip" for field in (20250, 20252, 20253, 31015, 31016)))
    volumes = VolumeSettings(modalities=("dwi", "flair"))
    without = StudyConfig(salt=CONFIG.salt, volumes=volumes, connectivity=ConnectivitySettings(enabled=False))
    assert [scan.modality for scan in find(("ukb", root), config=without).scans] == ["dwi", "flair"]
    aparc = StudyConfig(salt=CONFIG.salt, volumes=volumes, connectivity=ConnectivitySettings(name="aparc68"))
    assert find(("ukb", root), config=aparc).scans[0].path.name == "1000001_31015_2_0.zip"


def test_bids_images_are_those_of_the_studys_map_and_space(touch: Touch) -> None:
    root = touch(
        "sub-1/dwi/sub-1_space-MNI152NLin6Asym_param-MD_dwimap.nii.gz",
        "sub-1/dwi/sub-1_space-MNI152NLin6Asym_param-FA_dwimap.nii.gz",
        "sub-1/dwi/sub-1_param-MD_dwimap.nii.gz",
    )
    config = StudyConfig(salt=CONFIG.salt, volumes=VolumeSettings(dwi_map="MD", space="MNI152-nonlinear"))
    (scan,) = find(("bids", root), config=config).scans
    assert scan.path.name == "sub-1_space-MNI152NLin6Asym_param-MD_dwimap.nii.gz"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ukb", r"EID_FIELD_INSTANCE_ARRAY\.zip"),
        ("bids", r"sub-<label>\[/ses-<label>\]/anat"),
        ("folder", r"TRAIN\|VAL\|TEST/\]T1"),
    ],
)
def test_a_source_that_holds_nothing_is_refused_with_what_was_expected(
    touch: Touch, kind: SourceKind, expected: str
) -> None:
    root = touch("full/1000001_20252_2_0.zip", "empty/notes.md")
    sources: list[tuple[SourceKind, Path]] = [("folder", touch("ref/T1/1_t1.nii.gz") / "ref"), (kind, root / "empty")]
    with pytest.raises(SourceError, match=f"^{root}/empty holds no .*{expected}"):
        find(*sources)


def test_tables_alone_are_no_source_of_bids(touch: Touch) -> None:
    root = touch("participants.tsv")
    (root / "participants.tsv").write_text("participant_id\tage\n")
    with pytest.raises(SourceError, match="holds no BIDS images"):
        find(("bids", root))


def test_sources_with_tables_alone_or_other_modalities_are_refused_with_what_the_study_stores(touch: Touch) -> None:
    root = touch("tables/ukb.csv", "t1/1000001_20252_2_0.zip")
    (root / "tables/ukb.csv").write_text("eid,31-0.0\n")
    config = StudyConfig(salt=CONFIG.salt, volumes=VolumeSettings(modalities=("dwi",)))
    for folder in ("tables", "t1"):
        with pytest.raises(SourceError, match=r"hold no scan of dwi, connectivity.*EID_FIELD.*volumes\.modalities"):
            find(("ukb", root / folder), config=config)


@pytest.mark.parametrize("kind", ["ukb", "bids", "folder"])
def test_a_source_that_does_not_exist_is_refused(touch: Touch, kind: SourceKind) -> None:
    root = touch("ukb/1000001_20252_2_0.zip")
    with pytest.raises(SourceError, match="nowhere is not a folder"):
        find(("ukb", root / "ukb"), (kind, root / "nowhere"))


def test_sources_that_disagree_on_a_split_are_refused_with_a_count(touch: Touch) -> None:
    root = touch("a/TRAIN/T1/1000001_t1.nii.gz", "a/VAL/T1/2_t1.nii.gz", "b/TEST/FLAIR/1000001_flair.nii.gz")
    with pytest.raises(SourceError, match="put 1 participants into different splits") as caught:
        find(("folder", root / "a"), ("folder", root / "b"))
    assert "1000001" not in str(caught.value)


def test_images_outside_sessions_are_not_all_there_is_where_another_source_has_sessions(touch: Touch) -> None:
    one = touch("one/sub-1/anat/sub-1_T1w.nii.gz", "one/sub-2/anat/sub-2_T1w.nii.gz").joinpath("one")
    two = touch("two/sub-1/ses-1/anat/sub-1_ses-1_T1w.nii.gz").joinpath("two")
    assert find(("bids", one), ("bids", two)).sessionless == {1: False, 2: True}
