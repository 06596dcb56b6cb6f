from pathlib import Path

import pytest

from catalog.database import open_scratch
from catalog.errors import TableError
from catalog.samples import enrol
from catalog.withdrawals import find_withdrawn_eids, read_withdrawals
from mmbase.records import FoundSources, ScanCandidate, Visit, participant_number


def read(folder: Path, text: str, encoding: str = "utf-8") -> frozenset[int]:
    path = folder / "w12345_20260101.csv"
    path.write_text(text, encoding=encoding, newline="")
    return find_withdrawn_eids(read_withdrawals([path]), None)


def sources_of(*labels: str) -> FoundSources:
    label_of = {participant_number(label): label for label in labels}
    scans = tuple(ScanCandidate(visit=Visit(eid, 2), modality="t1", path=Path("image")) for eid in label_of)
    return FoundSources(scans=scans, labels={eid: label for eid, label in label_of.items() if str(eid) != label})


@pytest.mark.parametrize(
    "text",
    [
        "-1\n1000223\n1000224\n",
        "# withdrawn in 2026\n\n1000223\n1000224  # by letter\n",
        "1000223\r1000224\r",
        "1000223 1000223\n1000224 1000224\n",
        "#FID IID\n1000223 1000223\n1000224 1000224\n",
        "eid,date\n1000223,2026-01-01\n1000224,\n",
        "1000223\t25/08/2025 10:30:00\n1000224\t1-Jan-2026\n",
        '"x"\n"1000223"\n"1000224"\n',
        "1000223.0\n1000224.000\n",
        "\n\n  1000223\n\t1000224\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_people_and_programs_make_of_a_list_is_read(tmp_path: Path, text: str, encoding: str) -> None:
    assert read(tmp_path, text, encoding) == {1000223, 1000224}


@pytest.mark.parametrize(
    "text",
    [
        "eid,withdrawn\n1000223,1\n1000224,0\n",
        '"","x"\n"1","1000223"\n',
        "Name\n1000223\n",
        "1000223,1000224\n",
        "1000223\0\n",
        "1000223,2026-01-01,moved away\n",
    ],
)
def test_a_list_that_may_mean_something_else_is_refused_whole(tmp_path: Path, text: str) -> None:
    with pytest.raises(TableError) as caught:
        read(tmp_path, text)
    assert "10002" not in str(caught.value)


def test_a_spreadsheet_is_refused_as_no_text(tmp_path: Path) -> None:
    (tmp_path / "withdrawals.xlsx").write_bytes(b"PK\x03\x04\x14\x00\x06\x00\xff\xfe")
    with pytest.raises(TableError, match=r"withdrawals\.xlsx cannot be read .* Expected a text file"):
        read_withdrawals([tmp_path / "withdrawals.xlsx"])


@pytest.mark.parametrize("end", ["\n", "\r\n", ",\n", ",,,\r\n", ";\n", " , \n", "\t\n", "\n\n \n"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_one_number_a_line_however_the_list_was_saved(tmp_path: Path, end: str, quote: str) -> None:
    text = "".join(f"{quote}{eid}{quote}{end}" for eid in (1000223, 1000224))
    for content in (text, text.rstrip(), "\ufeff" + text, end + text):
        assert read(tmp_path, content) == {1000223, 1000224}


@pytest.mark.parametrize("header", ["eid", '"eid"', "EID,", "f.eid", "participant.eid", "\n\neid", "participant_id"])
def test_a_header_is_passed_over(tmp_path: Path, header: str) -> None:
    assert read(tmp_path, f"{header}\n1000223\n") == {1000223}
    assert read(tmp_path, f"{header}\n") == frozenset()


def test_numbers_that_are_nobodys_are_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, "0\n-5\n-1000224\n1000223\n") == {1000223}


def test_a_label_stands_behind_sub(tmp_path: Path) -> None:
    assert read(tmp_path, "sub-OAS30001\nSUB-1000223\n") == {participant_number("OAS30001"), 1000223}


@pytest.mark.parametrize("line", ["eid", "participant", "1000224,1000225", "1000224 1000225", "1000224.5"])
def test_a_line_of_anything_else_is_named_and_not_repeated(tmp_path: Path, line: str) -> None:
    with pytest.raises(TableError, match=r"w12345_….csv, line 2: expected one participant number") as caught:
        read(tmp_path, f"1000223\n{line}\n")
    assert "10002" not in str(caught.value)


def test_lists_add_up(tmp_path: Path) -> None:
    for name, eid in (("a", 1000223), ("b", 1000224)):
        (tmp_path / name).write_text(f"{eid}\n")
    assert read_withdrawals([tmp_path / "a", tmp_path / "b"]) == {"1000223", "1000224"}
    assert read_withdrawals([]) == frozenset()


def test_a_list_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"missing\.csv cannot be read"):
        read_withdrawals([tmp_path / "missing.csv"])


def test_a_table_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="line 2"):
        read(tmp_path, "eid,31-0.0\n1000223,1\n")


def test_a_number_in_place_of_a_file_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="Expected a file with one participant number a line, got a number") as caught:
        read_withdrawals([tmp_path / "1000223"])
    assert "1000223" not in str(caught.value)


def test_numbers_mean_labels_that_a_spreadsheet_took_the_zeros_from() -> None:
    one, two = map(participant_number, ("01", "002"))
    assert find_withdrawn_eids(["1", "2", "3"], None, sources_of("01", "002", "OAS3")) == {1, 2, 3, one, two}
    assert find_withdrawn_eids(["1", "2"], None, sources_of("1", "01", "002")) == {1, 2, two}


@pytest.mark.parametrize(("listed", "label"), [("01", "1"), ("001", "01"), ("0001000223", "1000223"), ("0", "00")])
def test_a_list_may_have_other_leading_zeros_than_the_images(listed: str, label: str) -> None:
    assert participant_number(label) in find_withdrawn_eids([listed], None, sources_of(label, "OAS3"))


@pytest.mark.parametrize("line", ["00", "sub-00"])
def test_a_label_of_zeros_alone_is_a_participants(tmp_path: Path, line: str) -> None:
    (tmp_path / "withdrawn.txt").write_text(f"{line}\n")
    listed = read_withdrawals([tmp_path / "withdrawn.txt"])
    assert find_withdrawn_eids(listed, None, sources_of("00")) == {participant_number("00")}
    assert find_withdrawn_eids(listed, None, sources_of("01")) == frozenset()


@pytest.mark.parametrize(("listed", "labels"), [("777", ("0777", "00777")), ("0777", ("777", "00777"))])
def test_a_number_that_may_be_several_is_refused_without_repeating_it(listed: str, labels: tuple[str, ...]) -> None:
    with pytest.raises(TableError, match="1 numbers of the withdrawal lists may each mean several") as caught:
        find_withdrawn_eids([listed], None, sources_of(*labels))
    assert "777" not in str(caught.value)


def test_a_number_means_an_enrolled_participant_whom_no_source_has_any_more(tmp_path: Path) -> None:
    with open_scratch(tmp_path / "catalog.duckdb") as catalog:
        eid = participant_number("01")
        enrol(catalog, {Visit(eid, 2)}, salt="salt", val=0.1, test=0.1, labels={eid: "01"})
        assert eid in find_withdrawn_eids(["1"], catalog, sources_of("02"))
