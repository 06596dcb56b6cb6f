from pathlib import Path

import pytest

from catalog.errors import TableError
from catalog.tables.headers import FieldColumn, TableHeader, find_fields, find_participants, read_header


def header_of(folder: Path, content: bytes) -> TableHeader:
    (folder / "table.csv").write_bytes(content)
    return read_header(folder / "table.csv")


def header(*names: str) -> TableHeader:
    return TableHeader(names=names, separator=",", quote='"', is_quoted=False)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("31-0.0", FieldColumn(0, 31, 0, 0)),
        ("20002-2.33", FieldColumn(0, 20002, 2, 33)),
        ("f.20002.2.33", FieldColumn(0, 20002, 2, 33)),
        ("p31", FieldColumn(0, 31, 0, None)),
        ("p21003_i2", FieldColumn(0, 21003, 2, None)),
        ("p4080_i0_a1", FieldColumn(0, 4080, 0, 1)),
        ("p22182_a3", FieldColumn(0, 22182, 0, 3)),
        ("participant.p4080_i0_a1", FieldColumn(0, 4080, 0, 1)),
        ("X31.0.0", FieldColumn(0, 31, 0, 0)),
        ("x31_0_0", FieldColumn(0, 31, 0, 0)),
        ("sex_f31_0_0", FieldColumn(0, 31, 0, 0)),
        ("age_when_attended_assessment_centre_f21003_2_0", FieldColumn(0, 21003, 2, 0)),
        ("f_20002_2_33", FieldColumn(0, 20002, 2, 33)),
    ],
)
def test_each_form_of_header_says_field_instance_and_array(name: str, column: FieldColumn) -> None:
    assert find_fields(header(name)) == [column]


@pytest.mark.parametrize(
    "name",
    [
        "31",
        "31-0",
        "p31_a0_i0",
        "xp31",
        "31-0.0.0",
        "f.31.0",
        "x.p31",
        "٣١-0.0",
        "",
        "eid",
        "X31.0_0",
        "x31",
        "X31.0.0.1",
        "f31",
        "sexf31_0_0",
    ],
)
def test_other_headers_are_no_fields(name: str) -> None:
    assert find_fields(header(name)) == []


@pytest.mark.parametrize(
    ("content", "names", "separator", "is_quoted"),
    [
        (b'"eid","31-0.0"\n', ("eid", "31-0.0"), ",", True),
        (b'\xef\xbb\xbf"eid","31-0.0"\r\n', ("eid", "31-0.0"), ",", True),
        (b"eid,p31\n", ("eid", "p31"), ",", False),
        (b" eid\tp31 \n", ("eid", "p31"), "\t", False),
        (b'eid,"what, where",x\n', ("eid", "what, where", "x"), ",", False),
        ("eid,größe\n".encode(), ("eid", "größe"), ",", False),
        ("eid,größe\n".encode("latin-1"), ("eid", "größe"), ",", False),
        (b"eid\n", ("eid",), "\t", False),
        (b'"","eid","X31.0.0"\n', ("", "eid", "X31.0.0"), ",", True),
    ],
)
def test_the_first_line_is_split_as_it_was_written(
    tmp_path: Path, content: bytes, names: tuple[str, ...], separator: str, is_quoted: bool
) -> None:
    found = header_of(tmp_path, content)
    assert found == TableHeader(names=names, separator=separator, quote='"', is_quoted=is_quoted)


@pytest.mark.parametrize("content", [b"eid,p31\r1000001,0\r", b"eid,p31\r1000001,0", b"\xef\xbb\xbfeid,p31\r1,0\r"])
def test_lines_that_end_with_cr_are_told_from_those_that_end_with_crlf(tmp_path: Path, content: bytes) -> None:
    found = header_of(tmp_path, content)
    assert (found.names, found.has_bare_cr) == (("eid", "p31"), True)
    assert not header_of(tmp_path, content.replace(b"\r", b"\r\n")).has_bare_cr


@pytest.mark.parametrize(
    ("row", "is_quoted"),
    [(b'"1",1000001,0\n', False), (b'"1","1000001",\n', False), (b'"1","1000001",""\r\n', True), (b"\n", True)],
)
def test_every_cell_is_quoted_where_the_first_rows_cells_are_too(tmp_path: Path, row: bytes, is_quoted: bool) -> None:
    assert header_of(tmp_path, b'"","eid","X31.0.0"\n' + row).is_quoted == is_quoted


def test_ukbconvs_tab_form_has_no_quotes(tmp_path: Path) -> None:
    assert header_of(tmp_path, b"f.eid\tf.31.0.0\n").quote is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("eid", "p31"), (0, False)),
        (("p31", "f.eid"), (1, False)),
        (("participant.eid", "p31"), (0, False)),
        (("participant_id", "age"), (0, True)),
        (("id", "eid"), (1, False)),
        (("", "EID", "X31.0.0"), (1, False)),
        (("f_eid", "f_31_0_0"), (0, False)),
        (("Participant_ID", "participant_id"), (0, True)),
    ],
)
def test_the_column_of_participants_is_found_by_name(names: tuple[str, ...], expected: tuple[int, bool]) -> None:
    assert find_participants(Path("x.csv"), header(*names)) == expected


@pytest.mark.parametrize("names", [("number", "31-0.0"), ("EID_code",), ("Participant ID", "Sex"), ("eid;p31",)])
def test_a_table_without_an_eid_column_is_refused_with_what_to_do(names: tuple[str, ...]) -> None:
    with pytest.raises(
        TableError, match=r"x\.csv has no eid column; expected one of eid, f\.eid.*header_style=FIELD-NAME"
    ):
        find_participants(Path("x.csv"), header(*names))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        ("eid,p31\n1000001,0\n".encode("utf-16"), "no plain text: it is UTF-16"),
        ("eid,p31\n1000001,0\n".encode("utf-16-be"), "no plain text: it is UTF-16"),
        (b"PK\x03\x04\x14\x00", "a spreadsheet or an archive"),
        (b'"eid,p31\n', "no row of column names"),
        (b'"eid,p31\r1000001,0\r', "no row of column names"),
        (b"eid,p31,p34\r1000002,1,1960\r1000001,0", "ends in the middle of a row"),
        (b'"eid","p31","p34"\n"1000001","0","19', "ends in the middle of a row"),
        (b'"eid","p31","p34"\n"1000001","0"', "ends in the middle of a row"),
        (b"eid,p31,p34\n1000002,1,1960\n1000001,0", "ends in the middle of a row"),
        (b"f.eid\tf.31.0.0\tf.34.0.0\n1000001\t0", "ends in the middle of a row"),
    ],
)
def test_what_is_no_table_is_refused_without_a_cell(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(TableError, match=rf"table\.csv .*{message}") as caught:
        header_of(tmp_path, content)
    assert "1000001" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"gone\.csv cannot be opened as a table \(No such file"):
        read_header(tmp_path / "gone.csv")
