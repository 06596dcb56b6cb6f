from pathlib import Path

import pytest

from catalog.records import FoundSources, ScanCandidate, Visit
from mmdata.errors import SourceError
from mmdata.sources.ukb import find_release


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def visits_and_modalities(release: FoundSources) -> list[tuple[Visit, str]]:
    return [(scan.visit, scan.modality) for scan in release.scans]


def test_archives_are_found_in_nested_folders_in_order_of_visit(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "Bulk/Brain MRI/T1/22/2200000_20252_2_0.zip",
        "Bulk/Brain MRI/T1/10/1000001_20252_3_0.zip",
        "Bulk/Brain MRI/T1/10/1000001_20252_2_0.zip",
        "Bulk/Brain MRI/T2 FLAIR/10/1000001_20253_2_0.zip",
        "Bulk/Brain MRI/dMRI/10/1000001_20250_2_0.zip",
        "Bulk/Brain MRI/Connectomes/10/1000001_31016_2_0.zip",
    )
    found = find_release([tmp_path])
    first = Visit(1000001, 2)
    assert visits_and_modalities(found) == [
        *[(first, modality) for modality in ("dwi", "t1", "flair", "connectivity")],
        (Visit(1000001, 3), "t1"),
        (Visit(2200000, 2), "t1"),
    ]
    assert all(scan.path.exists() for scan in found.scans)


def test_flair_knows_the_t1_of_its_own_visit(tmp_path: Path) -> None:
    touch(
        tmp_path, "1000001_20253_2_0.zip", "a/1000001_20252_2_0.zip", "1000001_20252_3_0.zip", "1000002_20253_2_0.zip"
    )
    by_visit = {(s.visit.eid, s.visit.instance, s.modality): s for s in find_release([tmp_path]).scans}
    assert by_visit[1000001, 2, "flair"].transform_path == tmp_path / "a/1000001_20252_2_0.zip"
    assert by_visit[1000002, 2, "flair"].transform_path is None
    assert by_visit[1000001, 2, "t1"].transform_path is None


def test_duplicates_are_counted_and_the_first_by_name_is_kept(tmp_path: Path) -> None:
    touch(tmp_path, "b/1000001_20252_2_0.zip", "a/1000001_20252_2_1.zip", "a/1000001_20252_2_0.zip")
    found = find_release([tmp_path])
    assert found.num_duplicates == 2
    assert [scan.path for scan in found.scans] == [tmp_path / "a/1000001_20252_2_0.zip"]


def test_several_roots_are_one_release(tmp_path: Path) -> None:
    touch(tmp_path, "one/1000001_20252_2_0.zip", "two/1000001_20253_2_0.zip")
    found = find_release([tmp_path / "two", tmp_path / "one"])
    assert [scan.modality for scan in found.scans] == ["t1", "flair"]
    assert found.scans[1].transform_path == tmp_path / "one/1000001_20252_2_0.zip"


@pytest.mark.parametrize(
    "name",
    ["1000001_20227_2_0.zip", "1000001_20252_2_0.zip.part", "1000001_20252_2.zip", "x1000001_20252_2_0.zip", "a.zip"],
)
def test_other_files_are_no_scans(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)
    with pytest.raises(SourceError, match=r"holds no UK Biobank imaging archives.*EID_FIELD_INSTANCE_ARRAY\.zip"):
        find_release([tmp_path])


@pytest.mark.parametrize("missing", ["nowhere", "file"])
def test_source_that_is_no_folder_is_refused(tmp_path: Path, missing: str) -> None:
    touch(tmp_path, "file", "1000001_20252_2_0.zip")
    with pytest.raises(SourceError, match="is not a folder"):
        find_release([tmp_path, tmp_path / missing])


@pytest.mark.parametrize(
    ("name", "header", "is_table"),
    [
        ("ukb.csv", b'"eid","31-0.0"\n', True),
        ("ukb.tab", b"f.eid\tf.31.0.0\n", True),
        ("rap.csv", b"participant.eid,participant.p31\n", True),
        ("bom.tsv", b"\xef\xbb\xbfeid\tp31\n", True),
        ("notes.txt", b"eid is secret\n", True),
        ("other.csv", b"id,value\n", False),
        ("table.parquet", b"eid,x\n", False),
        ("empty.csv", b"", False),
    ],
)
def test_tables_are_known_by_their_first_column(tmp_path: Path, name: str, header: bytes, is_table: bool) -> None:
    touch(tmp_path, "1000001_20252_2_0.zip")
    (tmp_path / name).write_bytes(header)
    assert find_release([tmp_path]).tables == ((tmp_path / name,) if is_table else ())


def test_any_list_of_numbers_is_a_withdrawal_list_and_bulk_text_is_not(tmp_path: Path) -> None:
    touch(tmp_path, "1000001_20252_2_0.zip")
    for name, content in {
        "gone.txt": b"1000001\n1000002\n",
        "quoted.csv": b'"1000003"\n',
        "1000001_25751_2_0.txt": b"1000001\n",
        "ages.csv": b"61\n62\n",
    }.items():
        (tmp_path / name).write_bytes(content)
    assert {path.name for path in find_release([tmp_path]).withdrawal_lists} == {"gone.txt", "quoted.csv"}


def test_withdrawal_lists_are_known_by_name_and_are_no_tables(tmp_path: Path) -> None:
    touch(tmp_path, "1000001_20252_2_0.zip")
    for name in ("w12345_20260101.csv", "lists/W12345_20250101.CSV"):
        touch(tmp_path, name)
        (tmp_path / name).write_bytes(b"eid,\n1000001\n")
    found = find_release([tmp_path])
    assert {path.name for path in found.withdrawal_lists} == {"w12345_20260101.csv", "W12345_20250101.CSV"}
    assert found.tables == ()


def test_no_repr_tells_an_eid_or_a_path(tmp_path: Path) -> None:
    touch(tmp_path, "1000001_20252_2_0.zip", "1000001_20253_2_0.zip")
    for scan in find_release([tmp_path]).scans:
        assert isinstance(scan, ScanCandidate)
        assert "1000001" not in repr(scan)
