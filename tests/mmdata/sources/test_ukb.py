import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbase.records import FoundSources, ScanCandidate, Visit
from mmdata.errors import SourceError
from mmdata.sources.ukb import find_release
from mmdata.volume.connectome import CONNECTOMES

Touch = Callable[..., Path]
EID = 1000001
FIRST = Visit(EID, 2)


def by_modality(found: FoundSources, visit: Visit = FIRST) -> dict[str, ScanCandidate]:
    return {scan.modality: scan for scan in found.scans if scan.visit == visit}


def test_archives_of_the_research_analysis_platform_are_found_in_order_of_visit_and_modality(touch: Touch) -> None:
    root = touch(
        "Bulk/Brain MRI/T1/22/2200000_20252_2_0.zip",
        "Bulk/Brain MRI/T1/10/1000001_20252_3_0.zip",
        "Bulk/Brain MRI/T1/10/1000001_20252_2_0.zip",
        "Bulk/Brain MRI/T2 FLAIR/10/1000001_20253_2_0.zip",
        "Bulk/Brain MRI/dMRI/10/1000001_20250_2_0.zip",
        "Bulk/Brain MRI/Connectomes/10/1000001_31016_2_0.zip",
    )
    found = find_release([root])
    assert [(scan.visit, scan.modality) for scan in found.scans] == [
        *[(FIRST, modality) for modality in ("connectivity", "dwi", "flair", "t1")],
        (Visit(EID, 3), "t1"),
        (Visit(2200000, 2), "t1"),
    ]
    assert all(scan.path.is_file() and scan.form == "ukb" for scan in found.scans)


@pytest.mark.parametrize("folder", ["1000001", "1000001_2", "Unpacked here/10/1000001"])
def test_a_participants_folder_holds_all_modalities_of_a_visit(touch: Touch, folder: str) -> None:
    root = touch(
        f"{folder}/T1/T1.nii.gz",
        f"{folder}/T2_FLAIR/T2_FLAIR.nii.gz",
        f"{folder}/dMRI/dMRI/dti_FA.nii.gz",
        f"{folder}/fMRI.Glasser.csv.gz",
    )
    found = by_modality(find_release([root]))
    assert found.keys() == {"t1", "flair", "dwi", "connectivity"}
    assert {scan.path for scan in found.values()} == {root / folder}
    assert found["flair"].transform_path == root / folder


def test_a_participants_folder_says_its_instance(touch: Touch) -> None:
    root = touch("1000001_3/T1/T1.nii.gz", "1000001/T1/T1.nii.gz")
    assert [scan.visit.instance for scan in find_release([root]).scans] == [2, 3]


def test_an_unpacked_item_is_its_folder(touch: Touch) -> None:
    root = touch("a b/1000001_20252_3_0/T1/T1.nii.gz", "1000001_31016_3_0/fMRI.Glasser.csv.gz")
    found = by_modality(find_release([root]), Visit(EID, 3))
    assert found["t1"].path == root / "a b/1000001_20252_3_0"
    assert found["connectivity"].path == root / "1000001_31016_3_0"


def test_folders_of_items_and_participants_are_not_searched(touch: Touch, locked: Callable[[str], None]) -> None:
    root = touch(
        "1000001_20252_2_0/T1/T1.nii.gz",
        "1000001_20227_2_0/fMRI/x",
        "1000002/T1/T1.nii.gz",
        "1000003/fMRI/x",
        "1000002/FreeSurfer/1000009_20252_2_0.zip",
    )
    for folder in ("1000001_20252_2_0", "1000001_20227_2_0", "1000002/T1", "1000003/fMRI"):
        locked(folder)
    assert [scan.visit.eid for scan in find_release([root]).scans] == [1000001, 1000002]


def test_nothing_inside_folders_of_items_and_participants_counts_as_a_table_or_scan(touch: Touch) -> None:
    root = touch(
        "1000001_20252_2_0/1000009_20252_2_0.zip",
        "1000001_20263_2_0/withdrawn.csv",
        "1000002/T1/withdrawn.csv",
        "1000002/withdrawn.csv",
    )
    for path in root.rglob("withdrawn.csv"):
        path.write_bytes(b"1000001\n")
    found = find_release([root])
    assert [scan.visit.eid for scan in found.scans] == [1000001, 1000002]
    assert found.withdrawal_lists == found.passed_over == ()


def test_archives_beside_a_participants_unpacked_folders_are_found(touch: Touch) -> None:
    root = touch("1000001/T1/T1.nii.gz", "1000001/1000001_20252_2_0.zip", "1000001/1000001_20253_2_0.zip")
    found = find_release([root])
    assert found.num_duplicates == 1
    assert by_modality(found)["t1"].path == by_modality(found)["flair"].transform_path
    assert by_modality(found)["t1"].path == root / "1000001/1000001_20252_2_0.zip"


@pytest.mark.parametrize("folder", ["T1", "10", "20240131", "202401", "0000001", "1000001x", "1000001_2_0"])
def test_a_folder_of_another_name_is_no_participants_though_it_holds_t1(touch: Touch, folder: str) -> None:
    root = touch(f"{folder}/T1/1000001_20252_2_0.zip")
    assert [scan.path for scan in find_release([root]).scans] == [root / folder / "T1/1000001_20252_2_0.zip"]


def test_flair_knows_the_t1_of_its_own_visit(touch: Touch) -> None:
    root = touch(
        "1000001_20253_2_0.zip",
        "a/1000001_20252_2_0/T1/T1.nii.gz",
        "1000001_20252_3_0.zip",
        "1000002_20253_2_0.zip",
        "1000003_20253_2_0/T2_FLAIR/T2_FLAIR.nii.gz",
        "1000003_20252_2_0.zip",
    )
    found = find_release([root])
    transform_of = {scan.visit.eid: scan.transform_path for scan in found.scans if scan.modality == "flair"}
    assert transform_of == {
        1000001: root / "a/1000001_20252_2_0",
        1000002: None,
        1000003: root / "1000003_20252_2_0.zip",
    }
    assert by_modality(found)["t1"].transform_path is None


@pytest.mark.parametrize(
    ("name", "holder"),
    [
        ("glasser360", "1000001_31016_2_0.zip"),
        ("aparc68", "1000001_31015_2_0.zip"),
        ("schaefer7n100", "1000001_31018_2_0.zip"),
        ("tian54", "1000001_31019_2_0.zip"),
        ("full25", "1000001_25750_2_0.txt"),
        ("full100", "1000001_25751_2_0.txt"),
        ("partial25", "1000001_25752_2_0.txt"),
        ("partial100", "1000001_25753_2_0.txt"),
    ],
)
def test_connectivity_is_looked_for_in_the_field_of_its_kind_alone(touch: Touch, name: str, holder: str) -> None:
    fields = (31015, 31016, 31018, 31019, 25750, 25751, 25752, 25753)
    root = touch(*(f"1000001_{field}_2_0.{ending}" for field in fields for ending in ("zip", "txt")))
    found = find_release([root], CONNECTOMES[name])
    assert [(scan.modality, scan.path, scan.form) for scan in found.scans] == [("connectivity", root / holder, "ukb")]
    assert found.num_duplicates == 0


def test_the_member_of_a_participants_folder_must_be_that_of_the_kind(touch: Touch) -> None:
    root = touch("1000001/T1/T1.nii.gz", "1000001/fMRI.Schaefer7n200p.csv.gz")
    assert by_modality(find_release([root], CONNECTOMES["schaefer7n100"])).keys() == {"t1"}
    assert by_modality(find_release([root], CONNECTOMES["schaefer7n200"])).keys() == {"t1", "connectivity"}


def test_a_participants_folder_may_hold_connectivity_alone(touch: Touch) -> None:
    root = touch("1000001_3/fMRI.Glasser.csv.gz")
    assert by_modality(find_release([root]), Visit(EID, 3))["connectivity"].path == root / "1000001_3"


def test_without_a_connectome_no_connectivity_is_found(touch: Touch) -> None:
    root = touch("1000001_31016_2_0.zip", "1000001_25751_2_0.txt", "1000001/T1/x", "1000001/fMRI.Glasser.csv.gz")
    assert by_modality(find_release([root], None)).keys() == {"t1"}


def test_duplicates_are_counted_and_the_first_by_name_is_kept(touch: Touch) -> None:
    root = touch("b/1000001_20252_2_0.zip", "a/1000001_20252_2_1.zip", "a/1000001_20252_2_0.zip", "1000001/T1/x")
    found = find_release([root])
    assert found.num_duplicates == 3
    assert [[str(copy.path.relative_to(root)) for copy in scan.copies] for scan in found.scans] == [
        ["1000001", "a/1000001_20252_2_0.zip", "a/1000001_20252_2_1.zip", "b/1000001_20252_2_0.zip"]
    ]


def test_a_browsers_second_download_comes_last(touch: Touch) -> None:
    root = touch("1000001_20252_2_0 (1).zip", "1000001_20252_2_0.zip", "1000001_20252_2_0/T1/T1.nii.gz")
    names = [copy.path.name for copy in by_modality(find_release([root]))["t1"].copies]
    assert names == ["1000001_20252_2_0.zip", "1000001_20252_2_0", "1000001_20252_2_0 (1).zip"]


def test_a_flair_has_a_copy_for_each_place_of_its_transform(touch: Touch) -> None:
    root = touch(
        "1000001_20253_2_0.zip", "1000001_20252_2_0.zip", "1000001_20252_2_0/T1/T1.nii.gz", "a/1000001_20253_2_0.zip"
    )
    flair = by_modality(find_release([root]))["flair"]
    t1s = (root / "1000001_20252_2_0.zip", root / "1000001_20252_2_0")
    flairs = (root / "1000001_20253_2_0.zip", root / "a/1000001_20253_2_0.zip")
    assert [(copy.path, copy.transform_path) for copy in flair.copies] == [(f, t) for t in t1s for f in flairs]


def test_an_archive_comes_before_the_folder_it_was_unpacked_to(touch: Touch) -> None:
    root = touch("1000001_20252_2_0/T1/T1.nii.gz", "1000001_20252_2_0.zip")
    found = find_release([root])
    assert found.num_duplicates == 1
    assert [scan.path for scan in found.scans] == [root / "1000001_20252_2_0.zip"]


def test_several_roots_are_one_release_in_which_the_first_root_comes_first(touch: Touch) -> None:
    root = touch("one/1000001_20252_2_0.zip", "two/1000001_20253_2_0.zip", "two/1000001_20252_2_0.zip")
    found = find_release([root / "two", root / "one"])
    assert by_modality(found)["flair"].transform_path == root / "two/1000001_20252_2_0.zip"
    assert found.num_duplicates == 1


def test_roots_inside_each_other_are_searched_once(touch: Touch) -> None:
    root = touch("one/1000001_20252_2_0.zip", "one/ukb.csv")
    (root / "one/ukb.csv").write_bytes(b"eid,31-0.0\n")
    (root / "loop").symlink_to(root)
    found = find_release([root, root / "one", root])
    assert found.num_duplicates == 0
    assert len(found.tables) == 1


def test_folders_of_other_sources_are_not_searched(touch: Touch) -> None:
    root = touch("1000001_20252_2_0.zip", "reference/1000001_20253_2_0.zip", "reference/train_ids.txt")
    (root / "reference/train_ids.txt").write_bytes(b"1000001\n")
    found = find_release([root], apart_from=[root / "reference", root / "nowhere"])
    assert [scan.modality for scan in found.scans] == ["t1"]
    assert found.withdrawal_lists == ()


def test_links_to_folders_are_followed(touch: Touch, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "1000001_20252_2_0.zip").touch()
    root = touch("1000002_20252_2_0.zip")
    (root / "more data").symlink_to(elsewhere)
    assert [scan.visit.eid for scan in find_release([root]).scans] == [1000001, 1000002]


@pytest.mark.parametrize(
    "name",
    [
        "1000001_20227_2_0.zip",
        "1000001_20252_2_0.zip.part",
        "1000001_20252_2_0.txt",
        "1000001_20252_2.zip",
        "x1000001_20252_2_0.zip",
        "._1000001_20252_2_0.zip",
        "0_20252_2_0.zip",
        "9999999999999999999_20252_2_0.zip",
        "100000١_20252_2_0.zip",
        "a.zip",
        "1000001_20252_2_0",
        "1000001_31016_2_0.txt",
        "1000001/T1",
    ],
)
def test_other_files_are_no_scans(touch: Touch, name: str) -> None:
    assert replace(find_release([touch(name)]), misnamed=()) == FoundSources(scans=())


@pytest.mark.parametrize(
    ("name", "fault", "shown"),
    [
        ("1000001_20252_2_0.zip.part", "the download is not complete", "…_20252_…_….zip.part"),
        ("1000001_20253_2_0.zip.crdownload", "the download is not complete", "…_20253_…_….zip.crdownload"),
        ("1000001_20252_2.zip", "expected EID_20252_INSTANCE_ARRAY.zip", "…_20252_….zip"),
        ("x1000001_20252_2_0.zip", "expected EID_20252_INSTANCE_ARRAY.zip", "…_20252_…_….zip"),
        ("1000001_20252_2_0 - Copy.zip", "expected EID_20252_INSTANCE_ARRAY.zip", "…_20252_…_… - ….zip"),
        ("1000001_20252_2_0.zip.1", "expected EID_20252_INSTANCE_ARRAY.zip", "…_20252_…_….zip.…"),
        ("1000001_20252_2_0.tar.gz", "expected EID_20252_INSTANCE_ARRAY.zip", "…_20252_…_….….gz"),
        ("a/1000001_T1_unbiased_brain.nii.gz", "expected in a folder", "…_T1_unbiased_brain.nii.gz"),
    ],
)
def test_files_that_look_like_images_and_are_not_understood_are_counted(
    touch: Touch, name: str, fault: str, shown: str
) -> None:
    (images,) = find_release([touch(name, name.replace("1000001", "1000002"))]).misnamed
    assert (images.number, images.example) == (2, shown)
    assert fault in images.fault


@pytest.mark.parametrize(
    "name",
    [
        "1000001_20227_2_0.zip.part",
        "._1000001_20252_2_0.zip",
        "field_20252.csv",
        "1000001_20252_2_0.zip.md5",
        "1000001/T1/T1_unbiased_brain.nii.gz",
        "MNI152_T1_1mm_brain.nii.gz",
    ],
)
def test_other_files_are_not_counted_as_images(touch: Touch, name: str) -> None:
    assert find_release([touch(name)]).misnamed == ()


@pytest.mark.parametrize("name", ["1000001_20252_2_0.ZIP", "1000001_20252_2_0 (1).zip", "1000001_20252_2_0(2).Zip"])
def test_letter_case_and_a_browsers_mark_are_understood(touch: Touch, name: str) -> None:
    found = find_release([touch(name)])
    assert [scan.path.name for scan in found.scans] == [name]
    assert found.misnamed == ()


@given(
    eid=st.integers(1, 10**18 - 1),
    modality=st.sampled_from(["20252", "20253", "20250", "31016"]),
    instance=st.integers(0, 9999),
    array=st.integers(0, 9999),
)
def test_every_archive_name_is_read_as_its_numbers(
    tmp_path_factory: pytest.TempPathFactory, eid: int, modality: str, instance: int, array: int
) -> None:
    root = tmp_path_factory.mktemp("root")
    (root / f"{eid}_{modality}_{instance}_{array}.zip").touch()
    (scan,) = find_release([root]).scans
    assert scan.visit == Visit(eid, instance)
    assert scan.modality == {"20252": "t1", "20253": "flair", "20250": "dwi", "31016": "connectivity"}[modality]


@pytest.mark.parametrize("missing", ["nowhere", "file"])
def test_source_that_is_no_folder_is_refused(touch: Touch, missing: str) -> None:
    root = touch("file", "1000001_20252_2_0.zip")
    with pytest.raises(SourceError, match="is not a folder"):
        find_release([root, root / missing])


def test_tables_and_withdrawal_lists_are_found_anywhere_and_bulk_text_is_neither(touch: Touch) -> None:
    contents = {
        "tables/ukb.csv": b'"eid","31-0.0"\n',
        "w12345_20260101.csv": b"",
        "gone.txt": b"1000001\n1000002\n",
        "1000001_25751_2_0.txt": b"1000001\n",
        "1000001_90001_0_0.csv": b"eid,31-0.0\n",
        "other.csv": b"id,value\n",
    }
    root = touch(*contents)
    for name, content in contents.items():
        (root / name).write_bytes(content)
    found = find_release([root])
    assert found.tables == (root / "tables/ukb.csv",)
    assert found.withdrawal_lists == (root / "w12345_20260101.csv",)
    assert found.number_lists == (root / "gone.txt",)
    assert found.passed_over == (root / "other.csv",)


def test_bulk_text_is_never_opened(touch: Touch, locked: Callable[[str], None]) -> None:
    root = touch("1000001_25751_2_0.txt", "1000001_20227_2_0.txt")
    locked("1000001_25751_2_0.txt")
    locked("1000001_20227_2_0.txt")
    assert len(find_release([root], CONNECTOMES["full100"]).scans) == 1


def test_no_repr_tells_an_eid_or_a_path(touch: Touch) -> None:
    root = touch("1000001_20252_2_0.zip", "1000001_20253_2_0.zip")
    for scan in find_release([root]).scans:
        assert "1000001" not in repr(scan)
        assert os.fspath(root) not in repr(scan)
