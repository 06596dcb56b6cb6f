import itertools
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from catalog.errors import TableError
from catalog.tables.named import WantedName
from catalog.tables.table import NAME_SCHEMA
from catalog.tables.tables import FIELD_SCHEMA, TableValues, read_tables
from catalog.tables.wanted import WantedField
from mmbase.records import participant_number
from mmdata.synth.plan import plan_release
from mmdata.synth.table_form import TABLE_FORMS, table_name, write_table

WANTED = {
    31: WantedField(),
    53: WantedField(is_date=True),
    21003: WantedField(),
    20002: WantedField(codes=frozenset({1065, 1111})),
}
EIDS = [1000001, 1000002, 1000003]
CSV = """\
"eid","31-0.0","53-2.0","21003-2.0","20002-0.0","20002-0.1","99999-0.0"
"1000001","0","2019-05-01","63","1065","1111","x, y"
"1000002","1","","","","","z"
"1000009","1","2019-05-01","70","1065","",""
"""
TAB = """\
f.eid\tf.31.0.0\tf.53.2.0\tf.21003.2.0\tf.20002.0.0\tf.20002.0.1\tf.99999.0.0
1000001\t0\t2019-05-01\t63\t1065\t1111\tx "y
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
LABELS = """\
eid,p31,p53_i2,p21003_i2,p20002_i0
1000001,Female,2019-05-01,63,hypertension|asthma
1000002,Male,,,
1000009,Male,2019-05-01,70,hypertension
"""
EXPECTED = [
    (31, 1000001, 0, 0, 0.0),
    (31, 1000002, 0, 0, 1.0),
    (53, 1000001, 2, 0, 18017.0),
    (20002, 1000001, 0, 0, 1065.0),
    (20002, 1000001, 0, 1, 1111.0),
    (21003, 1000001, 2, 0, 63.0),
]
AGE = WantedName(kind="number", unit="years")
SEX = WantedName(kind="code", unit="0 female, 1 male", texts={"f": 0, "m": 1}, codes=frozenset({0, 1}))


def write(folder: Path, *contents: str | bytes) -> list[Path]:
    paths = []
    for number, content in enumerate(contents):
        paths.append(folder / f"table{number}.csv")
        paths[-1].write_bytes(content if isinstance(content, bytes) else content.encode())
    return paths


def read(folder: Path, *contents: str | bytes, wanted: Mapping[int, WantedField] = WANTED) -> TableValues:
    return read_tables(write(folder, *contents), wanted, {}, EIDS)


def rows(values: TableValues, fields: Mapping[int, WantedField] = WANTED) -> list[tuple[float, ...]]:
    return [(field, *row) for field in sorted(fields) for row in values.of_field(field).iter_rows()]


@pytest.mark.parametrize(
    "table", [CSV, TAB, RAP, RAP_SHORT, LABELS], ids=["ukbconv-csv", "ukbconv-tab", "rap", "rap-tsv", "labels"]
)
def test_every_form_of_table_says_the_same(tmp_path: Path, table: str) -> None:
    values = read(tmp_path, table)
    assert rows(values) == EXPECTED
    assert all(values.of_field(field).schema == FIELD_SCHEMA for field in (*WANTED, 4080))


@pytest.mark.parametrize(
    "disguise",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace('"63"', '" 63 "').replace('"31-0.0"', '" 31-0.0"'),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", "\n\n") + "\n\n",
        lambda text: text.replace("x, y", "Sjögren").encode("latin-1"),
        lambda text: text.replace("99999-0.0", "größe").encode("latin-1"),
        lambda text: text.replace("x, y", "two\nlines"),
    ],
    ids=["byte-order mark", "CRLF", "blanks", "no newline at the end", "blank lines", "latin-1", "header", "newline"],
)
def test_how_a_program_saved_the_table_does_not_matter(tmp_path: Path, disguise: object) -> None:
    assert callable(disguise)
    values = read(tmp_path, disguise(CSV))
    assert rows(values) == EXPECTED
    assert values.reports[0].num_rows == 3


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return one synthetic cohort's table in every form."""
    paths = {}
    for form in TABLE_FORMS:
        folder = tmp_path_factory.mktemp(form)
        write_table(folder, form, 7, plan_release(7, 60))
        paths[form] = folder / table_name(form)
    return paths


def cohort_wanted() -> dict[int, WantedField]:
    dates = {53, 131286, 131494, 131720}
    codes = {6150: {4, -1, -3}, 6152: {8, 9, -1, -3}, 20002: {1065, 1072, 1111, 1387, 1452}}
    fields = (31, 34, 54, 1707, 20116, 1920, 2030, 20127, 21001, 21003, 30750, 25741, *codes, *dates)
    return {f: WantedField(codes=frozenset(codes.get(f, ())), is_date=f in dates) for f in fields}


@pytest.mark.parametrize("form", TABLE_FORMS)
def test_every_form_of_a_synthetic_cohort_gives_the_same_values(cohort: dict[str, Path], form: str) -> None:
    eids = [int(eid) for eid in pl.read_csv(cohort["rap"], infer_schema=False)["participant.eid"]][::2]
    wanted = cohort_wanted()
    raw = read_tables([cohort["ukbconv-csv"]], wanted, {}, eids)
    values = read_tables([cohort[form]], wanted, {}, eids)
    assert all(raw.of_field(field).height > 2 for field in wanted)
    assert [field for field in wanted if not values.of_field(field).equals(raw.of_field(field))] == []
    (report,) = values.reports
    assert (report.num_rows, report.num_participants, report.num_imaged) == (66, 66, len(eids))
    assert report.num_repeated == report.num_without_eid == report.num_contradictions == report.num_unreadable == 0


def test_all_forms_together_agree(cohort: dict[str, Path]) -> None:
    eids = [int(eid) for eid in pl.read_csv(cohort["rap"], infer_schema=False)["participant.eid"]]
    wanted = cohort_wanted()
    together = read_tables(list(cohort.values()), wanted, {}, eids)
    alone = read_tables([cohort["rap"]], wanted, {}, eids)
    assert all(together.of_field(field).equals(alone.of_field(field)) for field in wanted)


@given(st.permutations(range(1, 7)), st.integers(1, 5))
def test_a_table_cut_into_tables_by_column_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], cut: int
) -> None:
    lines = [line.replace('"', "").split(",") for line in CSV.replace("x, y", "x").splitlines()]
    parts = [[0, *order[:cut]], [0, *order[cut:]]]
    tables = ["\n".join(",".join(line[column] for column in part) for line in lines) + "\n" for part in parts]
    assert rows(read(tmp_path_factory.mktemp("cut"), *tables)) == EXPECTED


R_TABLES = {
    "read.csv, write.csv": '"","eid","X31.0.0","X53.2.0","X21003.2.0","X20002.0.0","X20002.0.1"\n'
    '"1",1000001,0,"2019-05-01",63,1065,1111\n"2",1000002,1,NA,NA,NA,NA\n"3",1000009,1,NA,NA,NA,NA\n',
    "write.csv without NA": '"eid","X31.0.0","X53.2.0","X20002.0.0","X20002.0.1","X21003.2.0"\n'
    '1000001,0,"2019-05-01",1065,1111,63\n1000002,1,,,,\n1000009,1,,,,\n',
    "ukbtools": "eid,sex_f31_0_0,date_f53_2_0,age_f21003_2_0,illness_f20002_0_0,illness_f20002_0_1\n"
    "1000001,Female,2019-05-01,63,1065,1111\n1000002,Male,NA,NA,NA,NA\n1000009,Male,NA,NA,NA,NA\n",
    "janitor": "f_eid\tf_31_0_0\tx53_2_0\tx21003_2_0\tf_20002_0_0\tf_20002_0_1\n"
    "1000001\t0\t2019-05-01\t63\t1065\t1111\n1000002\t1\tNA\tNA\tNA\tNA\n1000009\t1\tNA\tNA\tNA\tNA\n",
}


@pytest.mark.parametrize("form", R_TABLES)
def test_tables_that_r_saved_again_say_the_same(tmp_path: Path, form: str) -> None:
    values = read(tmp_path, R_TABLES[form])
    assert rows(values) == EXPECTED
    assert (values.reports[0].num_participants, values.reports[0].num_recognised) == (3, 5)


def test_columns_may_come_from_several_tables_and_repeats_count_once(tmp_path: Path) -> None:
    first = '"eid","31-0.0"\n"1000001","0"\n"1000002","1"\n'
    second = '"eid","31-0.0","53-2.0","21003-2.0"\n"1000001","0","2019-05-01","63"\n'
    third = "eid\tp20002_i0_a0\tp20002_i0_a1\n1000001\t1065\t1111\n"
    values = read(tmp_path, first, second, third)
    assert rows(values) == EXPECTED
    assert [report.name for report in values.reports] == ["table0.csv", "table1.csv", "table2.csv"]


@pytest.mark.parametrize("other", ["1111|1065", "[1111, 1065]"])
def test_answers_in_one_column_may_be_in_another_order_than_in_columns_of_their_own(tmp_path: Path, other: str) -> None:
    values = read(tmp_path, CSV, f'eid\tp20002_i0\n1000001\t"{other}"\n')
    assert rows(values) == EXPECTED


@pytest.mark.parametrize("other", ["1111", "1111|1066", "1111|1065|1066"])
def test_answers_that_differ_from_those_in_columns_of_their_own_are_refused(tmp_path: Path, other: str) -> None:
    with pytest.raises(TableError, match=r"table0\.csv, table1\.csv .* in field 20002\. "):
        read(tmp_path, CSV, f"eid\tp20002_i0\n1000001\t{other}\n")


def test_tables_that_differ_are_refused_by_field_without_naming_anybody(tmp_path: Path) -> None:
    wrong = CSV.replace('"1000002","1"', '"1000002","0"').replace('"63"', '"64"')
    with pytest.raises(
        TableError, match=r"different values .* in field 31, field 21003\. Leave only the newest"
    ) as caught:
        read(tmp_path, CSV, wrong, "eid\tp99\n1000001\t1\n")
    assert "1000002" not in str(caught.value)
    assert "table2" not in str(caught.value)


def test_tables_of_other_participants_do_not_differ(tmp_path: Path) -> None:
    values = read(tmp_path, CSV, CSV.replace("1000001", "1000003").replace("1000002", "1000004").replace('"0"', '"1"'))
    assert (31, 1000003, 0, 0, 1.0) in rows(values)
    assert [report.num_imaged for report in values.reports] == [2, 1]


def test_rows_of_nobody_are_left_out_and_counted(tmp_path: Path) -> None:
    nobody = ("", "total", "redacted", "-5", "0", "1e6", "1000001.5")
    lines = "".join(f'"{eid}","1","","","","",""\n' for eid in nobody)
    values = read(tmp_path, CSV + lines)
    assert rows(values) == EXPECTED
    (report,) = values.reports
    assert (report.num_rows, report.num_participants, report.num_without_eid) == (10, 3, 7)


def test_repeated_rows_that_agree_count_once(tmp_path: Path) -> None:
    partial = '"1000001","","2019-05-01","63.0","","1111",""\n'
    values = read(tmp_path, CSV + partial + CSV.splitlines()[3] + "\n")
    assert rows(values) == EXPECTED
    (report,) = values.reports
    assert (report.num_rows, report.num_participants, report.num_repeated, report.num_contradictions) == (5, 3, 2, 0)


def test_values_that_repeated_rows_contradict_are_left_out_and_counted(tmp_path: Path) -> None:
    values = read(tmp_path, CSV + '"1000001","1","2019-05-01","64","","1111",""\n')
    assert rows(values) == [row for row in EXPECTED if row[:2] not in ((31, 1000001), (21003, 1000001))]
    (report,) = values.reports
    assert (report.num_repeated, report.num_contradictions) == (1, 2)


def test_nobody_of_interest_gives_empty_frames_and_a_report(tmp_path: Path) -> None:
    values = read(tmp_path, CSV.replace("10000", "20000"))
    assert rows(values) == []
    assert (values.reports[0].num_participants, values.reports[0].num_imaged) == (3, 0)
    nothing = read_tables([], WANTED, {"age": AGE}, EIDS)
    assert nothing.reports == ()
    assert_frame_equal(nothing.of_field(31), values.of_field(31))
    assert nothing.of_name("age").schema == NAME_SCHEMA


def test_a_table_with_nothing_wanted_is_reported(tmp_path: Path) -> None:
    values = read(tmp_path, "eid,p99\n1000001,5\n1000009,6\n1000009,6\n")
    (report,) = values.reports
    assert (report.num_rows, report.num_imaged, report.num_repeated) == (3, 1, 1)


@pytest.mark.parametrize("header", ["31", "31-0", "p31_a0_i0", "xp31", "31-0.0.0", "f.31.0", "participant.31-0.0"])
def test_headers_of_no_known_form_are_passed_over(tmp_path: Path, header: str) -> None:
    assert rows(read(tmp_path, f"eid,{header}\n1000001,0\n")) == []


@pytest.mark.parametrize("header", ["31-0.0", "f.31.0.0", "p31", "p31_i0"])
def test_a_wanted_column_that_comes_twice_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(TableError, match=r"table0\.csv has more than one column for field 31\. Remove one"):
        read(tmp_path, f"eid,31-0.0,{header}\n1000001,0,0\n")
    assert rows(read(tmp_path, "eid,31-0.0,99-0.0,99-0.0,,\n1000001,0,1,1,,\n")) == [EXPECTED[0]]


def test_labels_of_an_unknown_coding_are_refused_by_file_and_field_without_a_cell(tmp_path: Path) -> None:
    wanted = {4080: WantedField(codes=frozenset({1}))}
    with pytest.raises(
        TableError, match=r"Field 4080 of table0\.csv holds 2 values that .*coding_option=RAW"
    ) as caught:
        read(tmp_path, "eid,p4080_i0\n1000001,Often\n1000002,Secret\n1000003,1\n", wanted=wanted)
    assert "Secret" not in str(caught.value) and "1000002" not in str(caught.value)


def test_a_few_odd_values_are_left_out_and_counted(tmp_path: Path) -> None:
    lines = "".join(f"{eid},{eid % 90}\n" for eid in range(2000, 2200))
    values = read_tables(
        write(tmp_path, f"eid,p21003_i2\n{lines}1000001,sixty\n1000002,about 50\n"), WANTED, {}, range(2_000_000)
    )
    assert values.of_field(21003).height == 200
    assert values.reports[0].num_unreadable == 2


def test_named_columns_are_read_whatever_their_case_and_labels_become_numbers(tmp_path: Path) -> None:
    path = tmp_path / "participants.tsv"
    path.write_text(
        "participant_id\tAge\tsex\tsite\nsub-OAS1\t61.5\tF\tA\nsub-7\tn/a\t M \tB\nsub-9\t70\tM\tB\nn/a\t1\tM\tB\n"
        "sub-0\t1\tM\tB\nredacted\t1\tM\tB\n"
    )
    eids = [7, participant_number("OAS1")]
    values = read_tables([path], WANTED, {"age": AGE, "sex": SEX, "weight": AGE}, eids)
    assert values.of_name("age").rows() == [(eids[1], None, 61.5)]
    assert values.of_name("sex").rows() == [(eids[0], None, 1.0), (eids[1], None, 0.0)]
    assert values.of_name("weight").is_empty() and values.of_field(31).is_empty()
    assert (values.reports[0].num_participants, values.reports[0].num_without_eid) == (4, 2)


def test_named_text_is_read_as_latin_1_where_it_is_not_utf_8(tmp_path: Path) -> None:
    for encoding in ("utf-8", "latin-1"):
        path = tmp_path / f"{encoding}.csv"
        path.write_bytes("eid,Händigkeit\n1000001,Linkshänder\n1000002,�\n".encode(encoding, errors="ignore"))
        hand = WantedName(kind="code", texts={"linkshänder": 2.0})
        values = read_tables([path], {}, {"händigkeit": hand}, EIDS)
        assert values.of_name("händigkeit")["value"].to_list() == [2.0]


def test_named_tables_that_disagree_or_repeat_a_name_are_refused(tmp_path: Path) -> None:
    paths = write(tmp_path, "eid,age\n5,61\n", "eid,Age\n5,62\n", "eid,age,AGE\n5,61,61\n")
    assert read_tables(paths[:1], {}, {"age": AGE}, [5]).of_name("age").rows() == [(5, None, 61.0)]
    with pytest.raises(TableError, match="different values for the same participants in age"):
        read_tables(paths[:2], {}, {"age": AGE}, [5])
    with pytest.raises(TableError, match=r"table2\.csv has more than one column for age"):
        read_tables(paths[2:], {}, {"age": AGE}, [5])


def test_no_participant_stands_in_a_repr(tmp_path: Path) -> None:
    assert not any(str(eid) in repr(read(tmp_path, CSV)) for eid in EIDS)


def test_every_pair_of_forms_can_be_mixed(tmp_path: Path) -> None:
    for one, other in itertools.combinations((CSV, TAB, RAP, RAP_SHORT, LABELS), 2):
        assert rows(read(tmp_path, one, other)) == EXPECTED


def test_a_table_without_a_wanted_column_shows_a_few_headers_and_nobody(tmp_path: Path) -> None:
    def shown(table: str) -> tuple[str, ...]:
        return read(tmp_path, table).reports[0].unrecognised

    assert shown("eid\tsession_id\tp99\tq\n1000001\t1\t2\t3\n") == ("p99", "q")
    assert shown("participant_id\tsub-A\ta\tb\tc\td\te\nsub-1\t1\t1\t1\t1\t1\t1\n") == ("a", "b", "c", "d")
    assert shown("eid\t1000002\tOAS1\n1000001\t2\t3\n") == ("OAS1",)  # a table on its side has people for columns
    assert shown(CSV) == ()


def test_the_first_of_two_columns_of_participants_counts_and_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "participants.tsv"
    path.write_text("participant_id\tparticipant_id\tage\nsub-1\tsub-2\t60\nsub-2\tsub-1\t50\n")
    values = read_tables([path], {}, {"age": AGE}, [1, 2])
    assert values.of_name("age").rows() == [(1, None, 60.0), (2, None, 50.0)]
    assert values.reports[0].has_two_participant_columns


def test_what_is_said_beside_a_table_is_followed_of_every_table(tmp_path: Path) -> None:
    (tmp_path / "participants.json").write_text('{"AGE": {"Units": "months"}}')
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-1\t720\nsub-2\t89+\n")
    values = read_tables([tmp_path / "participants.tsv"], {}, {"age": AGE}, [1, 2])
    assert values.of_name("age").rows() == [(1, None, 60.0)]
    (column,) = values.reports[0].columns
    assert (column.column, column.num_unreadable, column.num_values) == ("age", 1, 2)


def test_a_column_has_any_of_its_feature_names_but_one_alone(tmp_path: Path) -> None:
    day = WantedName(kind="date", headers=("acq_time",))
    paths = write(tmp_path, "eid,acq_time\n5,2019-05-01\n", "eid,ACQ_TIME,scan_date\n5,2019-05-01,2019-05-01\n")
    assert read_tables(paths[:1], {}, {"scan_date": day}, [5]).of_name("scan_date").rows() == [(5, None, 18017.0)]
    with pytest.raises(TableError, match=r"table1\.csv has more than one column for scan_date"):
        read_tables(paths[1:], {}, {"scan_date": day}, [5])


def test_odd_values_of_a_field_are_told_with_the_field_and_how_many_there_are(tmp_path: Path) -> None:
    lines = "".join(f"{eid},{eid % 90}\n" for eid in range(2000, 2200))
    table = write(tmp_path, f"eid,p21003_i2\n{lines}1000001,89+\n1000002,n/a\n")
    (column,) = read_tables(table, WANTED, {}, range(2_000_000)).reports[0].columns
    assert (column.column, column.num_unreadable, column.num_values) == ("field 21003", 1, 201)
