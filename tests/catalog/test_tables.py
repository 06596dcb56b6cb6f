from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from catalog.errors import TableError
from catalog.records import participant_number
from catalog.tables import read_fields, read_named

FIELDS = {31, 53, 21003, 20002}
EIDS = [1000001, 1000002, 1000003]

CSV = """\
"eid","31-0.0","53-2.0","21003-2.0","20002-0.0","20002-0.1","99999-0.0"
"1000001","0","2019-05-01","63","1065","1111","x, y"
"1000002","1","","","","","z"
"1000009","1","2019-05-01","70","1065","",""
"""
TAB = """\
f.eid\tf.31.0.0\tf.53.2.0\tf.21003.2.0\tf.20002.0.0\tf.20002.0.1\tf.99999.0.0
1000001\t0\t2019-05-01\t63\t1065\t1111\tx, y
1000002\t1\tNA\tNA\tNA\tNA\tz
1000009\t1\t2019-05-01\t70\t1065\tNA\tNA
"""
RAP = """\
participant.eid,participant.p31,participant.p53_i2,participant.p21003_i2,participant.p20002_i0_a0,participant.p20002_i0_a1
1000001,0,2019-05-01,63,1065,1111
1000002,1,,,,
1000009,1,2019-05-01,70,1065,
"""
RAP_SHORT = RAP.replace("participant.", "").replace(",", "\t")
EXPECTED = [
    (1000001, 31, 0, 0, "0"),
    (1000001, 53, 2, 0, "2019-05-01"),
    (1000001, 20002, 0, 0, "1065"),
    (1000001, 20002, 0, 1, "1111"),
    (1000001, 21003, 2, 0, "63"),
    (1000002, 31, 0, 0, "1"),
]


def read(tmp_path: Path, *contents: str | bytes) -> pl.DataFrame:
    paths = []
    for number, content in enumerate(contents):
        paths.append(tmp_path / f"table{number}.csv")
        paths[-1].write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_fields(paths, FIELDS, EIDS).sort("eid", "field", "instance", "value")


@pytest.mark.parametrize("table", [CSV, TAB, RAP, RAP_SHORT], ids=["ukbconv-csv", "ukbconv-tab", "rap", "rap-tsv"])
def test_every_form_of_table_says_the_same(tmp_path: Path, table: str) -> None:
    frame = read(tmp_path, table)
    assert frame.rows() == EXPECTED
    assert_frame_equal(frame, read(tmp_path, CSV))


@pytest.mark.parametrize(
    "disguise",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace('"63"', '" 63 "'),
        lambda text: text.rstrip("\n"),
    ],
    ids=["byte-order mark", "CRLF", "blanks around a value", "no newline at the end"],
)
def test_how_a_program_saved_the_table_does_not_matter(tmp_path: Path, disguise: object) -> None:
    assert callable(disguise)
    assert read(tmp_path, disguise(CSV)).rows() == EXPECTED


def test_latin_1_bytes_in_a_column_do_no_harm(tmp_path: Path) -> None:
    assert read(tmp_path, CSV.replace("x, y", "Sjögren").encode("latin-1")).rows() == EXPECTED


def test_columns_may_come_from_several_tables_and_repeats_count_once(tmp_path: Path) -> None:
    first = '"eid","31-0.0"\n"1000001","0"\n"1000002","1"\n'
    second = '"eid","31-0.0","53-2.0","21003-2.0"\n"1000001","0","2019-05-01","63"\n'
    third = "eid\tp20002_i0_a0\tp20002_i0_a1\n1000001\t1065\t1111\n"
    assert read(tmp_path, first, second, third).rows() == EXPECTED


def test_tables_that_differ_are_refused_by_field_without_naming_anybody(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"different values .* in the fields 31\. Leave only the newest") as caught:
        read(tmp_path, CSV, CSV.replace('"1000002","1"', '"1000002","0"'))
    assert "1000002" not in str(caught.value)


def test_rows_that_are_not_participants_are_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, CSV + '"","1","","","","",""\n"total","1","","","","",""\n').rows() == EXPECTED


def test_nobody_of_interest_gives_an_empty_frame(tmp_path: Path) -> None:
    frame = read(tmp_path, CSV.replace("10000", "20000"))
    assert frame.is_empty()
    assert frame.columns == ["eid", "field", "instance", "array", "value"]
    assert_frame_equal(frame, read_fields([], FIELDS, EIDS))


def test_a_participant_in_two_rows_is_refused_without_naming_them(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"table0\.csv names a participant in two rows") as caught:
        read(tmp_path, CSV + '"1000001","1","","","","",""\n')
    assert "1000001" not in str(caught.value)


@pytest.mark.parametrize("header", ['"number","31-0.0"', '"EID_code"\t"31-0.0"'])
def test_a_table_without_an_eid_column_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(TableError, match=r"table0\.csv has no eid column; expected one of eid, f\.eid"):
        read(tmp_path, f'{header}\n"1000001","0"\n')


@pytest.mark.parametrize(
    "content",
    ["", '"eid","31-0.0"\n"1000001","0","7","8"\n', '"eid","31-0.0"\n"1000001,0\n'],
    ids=["empty", "ragged", "open quote"],
)
def test_what_is_not_a_table_is_refused_by_name(tmp_path: Path, content: str) -> None:
    with pytest.raises(TableError, match=r"table0\.csv cannot be read as a table") as caught:
        read(tmp_path, content)
    assert "1000001" not in str(caught.value)


@pytest.mark.parametrize("header", ["31", "31-0", "p31_a0_i0", "xp31", "31-0.0.0", "f.31.0", "participant.31-0.0"])
def test_headers_of_no_known_form_are_passed_over(tmp_path: Path, header: str) -> None:
    assert read(tmp_path, f"eid,{header}\n1000001,0\n").is_empty()


def test_an_eid_column_of_decimals_is_named_as_the_fault(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"The eid column of table0\.csv holds no whole numbers"):
        read(tmp_path, "eid,31-0.0\n1000001.0,0\n")


def test_named_columns_are_read_whatever_their_case_and_labels_become_numbers(tmp_path: Path) -> None:
    path = tmp_path / "participants.tsv"
    path.write_text("participant_id\tAge\tsex\tsite\nsub-OAS1\t61.5\tF\tA\nsub-7\tn/a\tM\tB\nsub-9\t70\tM\tB\n")
    eids = [participant_number("OAS1"), 7]
    values = read_named([path], {"age", "sex", "weight"}, eids)
    assert sorted(values.iter_rows()) == sorted([(eids[0], "age", "61.5"), (eids[0], "sex", "F"), (7, "sex", "M")])
    assert read_fields([path], [31], eids).is_empty()


def test_named_tables_that_disagree_are_refused(tmp_path: Path) -> None:
    for number, age in enumerate((61, 62)):
        (tmp_path / f"{number}.csv").write_text(f"eid,age\n5,{age}\n")
    with pytest.raises(TableError, match="different values for the same participants in the names age"):
        read_named(sorted(tmp_path.glob("*.csv")), {"age"}, [5])
