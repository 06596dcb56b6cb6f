from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbase.records import NOT_TEST, FoundSources, Visit, participant_number
from mmdata.errors import SourceError
from mmdata.sources.folder import find_folder

Touch = Callable[..., Path]


def put_edges(folder: Path, ids: Sequence[str], name: str = "ids.txt") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "edges.npy", np.zeros((len(ids), 3), np.float32))
    (folder / name).write_text("".join(f"{one}\n" for one in ids))


def test_volumes_of_all_splits_are_found_in_template_space_in_order_of_visit_and_modality(touch: Touch) -> None:
    root = touch(
        "TEST/T1/1000003_t1.nii.gz",
        "TRAIN/T1/1000001_t1.nii.gz",
        "TRAIN/FLAIR/1000001_flair.nii.gz",
        "TRAIN/DWI/1000001_dwi.nii.gz",
        "VAL/T1/1000002_t1.nii",
    )
    found = find_folder(root)
    assert [(scan.visit.eid, scan.modality) for scan in found.scans] == [
        *[(1000001, modality) for modality in ("dwi", "flair", "t1")],
        (1000002, "t1"),
        (1000003, "t1"),
    ]
    assert found.scans[2].path == root / "TRAIN/T1/1000001_t1.nii.gz"
    assert all(scan.form == "image" and scan.in_template_space and scan.visit.instance == 2 for scan in found.scans)
    assert found.splits == {1000001: "train", 1000002: "val", 1000003: "test"}
    assert found.num_duplicates == 0


def test_case_and_long_names_of_splits_do_not_matter(touch: Touch) -> None:
    root = touch("Training/t1/1_T1.nii.gz", "validation/Flair/2_FLAIR.NII.GZ", "testing/dWI/3_dwi.nii.gz")
    found = find_folder(root)
    assert [(scan.visit.eid, scan.modality) for scan in found.scans] == [(1, "t1"), (2, "flair"), (3, "dwi")]
    assert found.splits == {1: "train", 2: "val", 3: "test"}


def test_without_split_folders_no_split_is_settled(touch: Touch) -> None:
    found = find_folder(touch("T1/1000001_t1.nii.gz", "FLAIR/1000001_flair.nii.gz"))
    assert len(found.scans) == 2
    assert found.splits == {}


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("TRAIN", "TEST"), {1: NOT_TEST, 2: "test"}),
        (("TRAIN", "VAL"), {1: "train", 2: "val"}),
        (("VAL", "TEST"), {1: "val", 2: "test"}),
        (("TRAIN",), {}),
        (("TEST",), {1: "test"}),
    ],
)
def test_what_the_folders_leave_open_is_left_to_the_study(
    touch: Touch, folders: tuple[str, ...], splits: dict[int, str]
) -> None:
    root = touch(*(f"{folder}/T1/{number}_t1.nii.gz" for number, folder in enumerate(folders, start=1)))
    assert find_folder(root).splits == splits


def test_participants_in_two_splits_are_refused_with_their_number_alone(touch: Touch) -> None:
    root = touch(
        "TRAIN/T1/1000001_t1.nii.gz",
        "TEST/FLAIR/1000001_flair.nii.gz",
        "VAL/T1/1000001_t1.nii.gz",
        "TEST/T1/1000002_3_t1.nii.gz",
        "VAL/T1/1000003_t1.nii.gz",
    )
    put_edges(root / "TRAIN", ["1000002"])
    with pytest.raises(SourceError, match=r"^2 participants of .* more than one of its splits") as caught:
        find_folder(root)
    assert not any(eid in str(caught.value) for eid in ("1000001", "1000002"))


@given(
    label=st.from_regex(r"[0-9]{1,10}", fullmatch=True),
    ending=st.sampled_from([("", 2), ("_2", 2), ("_3", 3)]),
)
def test_an_id_is_a_number_and_maybe_an_imaging_visit(
    tmp_path_factory: pytest.TempPathFactory, label: str, ending: tuple[str, int]
) -> None:
    text, instance = ending
    folder = tmp_path_factory.mktemp("root") / "T1"
    folder.mkdir()
    (folder / f"{label}{text}_t1.nii.gz").touch()
    found = find_folder(folder.parent)
    number = participant_number(label)
    assert [scan.visit for scan in found.scans] == [Visit(number, instance)]
    assert found.labels == ({} if str(number) == label else {number: label})


@pytest.mark.parametrize("label", ["IXI_2", "sub_3", "sub-1", "A1_22"])
def test_a_text_that_ends_in_a_number_is_one_label(tmp_path: Path, label: str) -> None:
    (tmp_path / "T1").mkdir()
    (tmp_path / "T1" / f"{label}_t1.nii.gz").touch()
    found = find_folder(tmp_path)
    assert [scan.visit for scan in found.scans] == [Visit(participant_number(label), 2)]
    assert list(found.labels.values()) == [label]


@pytest.mark.parametrize(
    "name",
    [
        "T1/1000001_flair.nii.gz",
        "T1/1000001.nii.gz",
        "T1/_t1.nii.gz",
        "T1/1000001_t1.nii.gz.part",
        "T1/1000001_t1.json",
        "1000001_t1.nii.gz",
        "TRAIN/1000001_t1.nii.gz",
        "T2/1000001_t1.nii.gz",
        "EXTRA/T1/1000001_t1.nii.gz",
        "TRAIN/T1/T1/1000001_t1.nii.gz",
    ],
)
def test_other_files_are_no_scans(touch: Touch, name: str) -> None:
    assert replace(find_folder(touch(name)), misnamed=()) == FoundSources(scans=())


def test_images_whose_names_are_not_understood_are_counted_without_ids(touch: Touch) -> None:
    root = touch(
        *("T1/1000001_t1 (1).nii.gz", "T1/1000002.nii.gz", "TRAIN/FLAIR/OAS1_flair.mgz", "VAL/1000003_dwi.nii.gz"),
        *("T1/x_mask.nii.gz", "T1/a.txt", "T1/._1000001_t1.nii.gz"),
    )
    dwi, flair, t1 = find_folder(root).misnamed
    assert (dwi.example, dwi.fault) == ("…_dwi.nii.gz", "expected in a folder DWI")
    assert (t1.modality, t1.number, t1.example, t1.fault) == ("t1", 2, "…_t1 (…).nii.gz", "expected <id>_t1.nii.gz")
    assert (flair.modality, flair.number, flair.example) == ("flair", 1, "…_flair.mgz")


def test_a_scan_that_is_there_twice_has_two_copies(touch: Touch) -> None:
    root = touch("T1/1000001_t1.nii", "T1/1000001_t1.nii.gz")
    (scan,) = find_folder(root).scans
    assert [copy.path.name for copy in scan.copies] == ["1000001_t1.nii", "1000001_t1.nii.gz"]


@pytest.mark.parametrize("folder", [".", "TRAIN", "CONNECTIVITY", "Training/Connectivity"])
def test_rows_of_a_table_of_edges_are_scans_of_the_ids_beside_it(tmp_path: Path, folder: str) -> None:
    put_edges(tmp_path / folder, ["1000002", "1000001_3", "OAS1"])
    found = find_folder(tmp_path)
    assert [(scan.visit, scan.table_row) for scan in found.scans] == [
        (Visit(1000001, 3), 1),
        (Visit(1000002, 2), 0),
        (Visit(participant_number("OAS1"), 2), 2),
    ]
    assert all(
        (scan.modality, scan.form, scan.path) == ("connectivity", "edges", tmp_path / folder / "edges.npy")
        for scan in found.scans
    )
    assert found.labels == {participant_number("OAS1"): "OAS1"}


def test_edges_and_volumes_settle_the_same_splits(touch: Touch) -> None:
    root = touch("TRAIN/T1/1_t1.nii.gz", "VAL/T1/2_t1.nii.gz")
    put_edges(root / "TRAIN", ["1"])
    put_edges(root / "TEST/CONNECTIVITY", ["3"])
    assert find_folder(root).splits == {1: "train", 2: "val", 3: "test"}


def test_duplicates_are_counted_and_the_first_by_name_is_kept(touch: Touch) -> None:
    root = touch("T1/1_t1.nii", "T1/1_2_t1.nii.gz", "TRAIN/T1/1_t1.nii.gz")
    put_edges(root, ["1", "1", "1_2", "1_3"])
    found = find_folder(root)
    assert found.num_duplicates == 4
    assert [(scan.modality, scan.visit.instance, scan.table_row, scan.path.name) for scan in found.scans] == [
        ("connectivity", 2, 0, "edges.npy"),
        ("t1", 2, None, "1_2_t1.nii.gz"),
        ("connectivity", 3, 3, "edges.npy"),
    ]


def test_tables_are_found_at_the_root_and_in_split_folders_and_lists_of_ids_withdraw_nobody(touch: Touch) -> None:
    contents = {
        "metadata.csv": "id,age\n",
        "TRAIN/metadata.csv": "participant_id,age\n",
        "VAL/metadata.csv": "eid,age\n",
        "T1/metadata.csv": "id,age\n",
        "EXTRA/metadata.csv": "id,age\n",
        "w12345_20260101.csv": "1000009\n",
        "TRAIN/train_ids.csv": "1000001\n",
        "TRAIN/subjects.txt": "1000001\n",
        "VAL/other.csv": "1000002\n",
    }
    root = touch(*contents)
    for name, content in contents.items():
        (root / name).write_text(content)
    put_edges(root / "TRAIN", ["1000001"], name="train_ids.csv")
    found = find_folder(root)
    assert found.tables == tuple(root / name / "metadata.csv" for name in (".", "TRAIN", "VAL"))
    assert found.withdrawal_lists == (root / "w12345_20260101.csv",)
    assert found.number_lists == (root / "TRAIN/subjects.txt", root / "VAL/other.csv")


def test_links_to_folders_are_followed(touch: Touch) -> None:
    root = touch("elsewhere/T1/1_t1.nii.gz", "VAL/T1/2_t1.nii.gz")
    (root / "TRAIN").symlink_to(root / "elsewhere")
    (root / "elsewhere/FLAIR").symlink_to(root)
    assert find_folder(root).splits == {1: "train", 2: "val"}


def test_a_folder_that_cannot_be_read_is_refused(touch: Touch, locked: Callable[[str], None]) -> None:
    root = touch("TRAIN/T1/1_t1.nii.gz")
    locked("TRAIN/T1")
    with pytest.raises(SourceError, match="cannot be read"):
        find_folder(root)


def test_a_source_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere is not a folder.*TRAIN, VAL and TEST"):
        find_folder(tmp_path / "nowhere")


def test_no_repr_tells_a_label_or_a_path(touch: Touch) -> None:
    root = touch("TRAIN/T1/OAS30001_t1.nii.gz", "TEST/T1/1000001_t1.nii.gz")
    found = find_folder(root)
    assert found.splits
    assert not any(name in repr(found) for name in ("OAS30001", "1000001", str(root)))


OWN_SIGNS = ("AUGMENTATIONS/TRAIN/0/T1/1_t1.nii.gz", "TRAIN/metadata_train.csv", "TEST/imaging_fmri_test.npy")


@pytest.mark.parametrize("sign", OWN_SIGNS)
def test_the_reference_studys_own_folders_divide_test_as_its_code_does(touch: Touch, sign: str) -> None:
    tested = (9, 10, 2, 33, 100)
    root = touch("TRAIN/T1/1_t1.nii.gz", "TRAIN/T1/5_t1.nii.gz", *(f"TEST/T1/{eid}_t1.nii.gz" for eid in tested), sign)
    if sign.endswith(".npy"):
        np.save(root / sign, np.zeros((5, 3, 3), np.float32))
        (root / sign).with_suffix(".txt").write_text("2\n9\n10\n33\n100\n")
    elif sign.endswith(".csv"):
        (root / sign).write_text(",biobank_id,age\n0,1,60\n")
    in_order = sorted(tested)
    expected = {1: "train", 5: "train"} | dict.fromkeys(in_order[::2], "test") | dict.fromkeys(in_order[1::2], "val")
    assert find_folder(root).splits == expected


def test_ids_that_are_no_numbers_are_divided_in_the_order_of_text(touch: Touch) -> None:
    root = touch(*(f"TEST/T1/{label}_t1.nii.gz" for label in ("b", "10", "9")), "AUGMENTATIONS/TRAIN/0/T1/c_t1.nii.gz")
    found = find_folder(root)
    of_label = {label: found.splits[participant_number(label)] for label in ("10", "9", "b")}
    assert of_label == {"10": "test", "9": "val", "b": "test"}


def test_a_folder_for_validation_is_believed_in_the_own_layout_too(touch: Touch) -> None:
    root = touch("VAL/T1/1_t1.nii.gz", "TEST/T1/2_t1.nii.gz", "TEST/T1/3_t1.nii.gz", *OWN_SIGNS[:1])
    assert find_folder(root).splits == {1: "val", 2: "test", 3: "test"}


def test_folder_k_of_the_augmentations_holds_copy_k_plus_1(touch: Touch) -> None:
    root = touch(
        *(f"TRAIN/{folder}/1000001_{folder.lower()}.nii.gz" for folder in ("T1", "FLAIR")),
        *(f"AUGMENTATIONS/TRAIN/{k}/T1/1000001_t1.nii.gz" for k in range(11)),
        "augmentations/train/0/FLAIR/1000001_flair.nii.gz".replace("augmentations/train", "AUGMENTATIONS/TRAIN"),
        "AUGMENTATIONS/TRAIN/3/T1/no copy.nii.gz",
    )
    found = find_folder(root)
    assert [(one.scan.modality, one.copy, one.scan.path.parts[-3]) for one in found.copies] == [
        ("flair", 1, "0"),
        *(("t1", k + 1, str(k)) for k in range(11)),
    ]
    assert all(one.scan.may_assume_grid and one.scan.visit == Visit(1000001, 2) for one in found.copies)
    assert len(found.scans) == 2 and found.num_duplicates == 0
    assert [(one.modality, one.number) for one in found.misnamed] == [("t1", 1)]


@pytest.mark.parametrize("names", [("1",), ("0", "2"), ("0", "first")])
def test_copies_that_are_not_numbered_from_0_on_are_refused(touch: Touch, names: tuple[str, ...]) -> None:
    root = touch(*(f"AUGMENTATIONS/TRAIN/{name}/T1/1000001_t1.nii.gz" for name in names), "TRAIN/T1/1000001_t1.nii.gz")
    with pytest.raises(SourceError, match="Expected a folder for each augmented copy: 0, 1, 2"):
        find_folder(root)
