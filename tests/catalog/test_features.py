import tempfile
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import DictionaryError, TableError
from catalog.features import FEATURE_SCHEMA, SAMPLE_SCHEMA, derive_features, wanted_fields, wanted_names
from catalog.fields import Dictionary, load_dictionary
from catalog.tables.tables import TableValues, read_tables

Row = tuple[int, int, str]
"""Field, instance, value; several of one field and instance are its arrays."""
EID = 1000001
SCAN = "2019-06-01"
DATES: list[Row] = [(53, 0, "2009-06-01"), (53, 1, "2013-06-01"), (53, 2, SCAN), (53, 3, "2022-06-01")]
UKB = load_dictionary()


def samples_of(*rows: tuple[str, int, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SAMPLE_SCHEMA, orient="row")


def read_text(text: str, dictionary: Dictionary = UKB, eids: Sequence[int] = (EID,)) -> TableValues:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_text(text)
        return read_tables([path], wanted_fields(dictionary), wanted_names(dictionary), eids)


def read_rows(rows: Sequence[Row], dictionary: Dictionary = UKB) -> TableValues:
    """Write one participant's values as ukbconv does, and read them."""
    cells: dict[str, str] = {}
    for field, instance, value in rows:
        array = next(i for i in range(len(rows)) if f"{field}-{instance}.{i}" not in cells)
        cells[f"{field}-{instance}.{array}"] = value
    lines = [["eid", *cells], [str(EID), *cells.values()]]
    return read_text("".join(",".join(f'"{cell}"' for cell in line) + "\n" for line in lines), dictionary)


def derive(rows: Sequence[Row], *, scan: int = 2, dictionary: Dictionary = UKB) -> dict[str, Any]:
    """Return name to (value, field, instance, days_from_scan) of one participant's one visit."""
    found = {}
    for name, values in derive_features(read_rows(rows, dictionary), samples_of(("s", EID, scan)), dictionary):
        assert dict(values.schema) == FEATURE_SCHEMA
        assert values.height <= 1
        for _, *rest in values.rows():
            found[name] = rest
    return found


def value_of(name: str, rows: list[Row], *, scan: int = 2, dates: Sequence[Row] = DATES) -> float | None:
    found = derive([*dates, *rows], scan=scan, dictionary={name: UKB[name]}).get(name)
    return None if found is None else float(found[0])


@pytest.mark.parametrize(("scan", "expected"), [(2, 63.0), (3, 66.0)])
def test_age_is_that_of_the_same_visit(scan: int, expected: float) -> None:
    ages = [(21003, 0, "53"), (21003, 2, "63"), (21003, 3, "66")]
    assert value_of("age", ages, scan=scan) == expected


def test_age_at_recruitment_never_stands_for_age_at_the_scan() -> None:
    assert "age" not in derive([*DATES, (21022, 0, "53"), (21022, 2, "53"), (21003, 0, "53"), (21003, 3, "66")])


def test_sex_is_the_first_answer_there_is() -> None:
    assert derive([*DATES, (31, 0, "1"), (31, 2, "0")])["sex"] == [1.0, 31, 0, -3652]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(21002, 0, "70.5"), (21002, 1, "72"), (21002, 2, "75.25"), (21002, 3, "80")], [75.25, 21002, 2, 0]),
        ([(21002, 0, "70.5"), (21002, 1, "72"), (21002, 3, "80")], [80.0, 21002, 3, 1096]),
        ([(21002, 0, "70.5"), (21002, 1, "72")], [72.0, 21002, 1, -2191]),
        ([(21002, 0, "70.5")], [70.5, 21002, 0, -3652]),
    ],
)
def test_the_nearest_value_is_picked_by_days_and_says_where_it_came_from(rows: list[Row], expected: list[Any]) -> None:
    assert derive([*DATES, *rows])["weight"] == expected


def test_days_decide_even_where_the_instance_is_further_away() -> None:
    dates = [(53, 0, "2018-06-01"), (53, 1, "2010-06-01"), (53, 2, SCAN)]
    assert derive([*dates, (30780, 0, "3.5"), (30780, 1, "4.5")])["LDL"] == [3.5, 30780, 0, -365]


def test_without_dates_the_nearest_instance_is_picked() -> None:
    assert derive([(30780, 0, "3.5"), (30780, 1, "4.5")])["LDL"] == [4.5, 30780, 1, None]


def test_a_tie_goes_to_the_earlier_visit() -> None:
    dates = [(53, 1, "2018-06-01"), (53, 2, SCAN), (53, 3, "2020-05-31")]
    assert derive([*dates, (21002, 3, "80"), (21002, 1, "70")])["weight"] == [70.0, 21002, 1, -365]


@pytest.mark.parametrize("field", [30760, 30780, 30750, 30020])
def test_blood_taken_at_the_first_visits_stands_for_the_scan(field: int) -> None:
    name = {30760: "HDL", 30780: "LDL", 30750: "hba1c", 30020: "Hb"}[field]
    assert derive([*DATES, (field, 0, "2.5")])[name] == [2.5, field, 0, -3652]


def test_the_earliest_score_is_picked_whatever_is_nearer() -> None:
    assert value_of("neuroticism", [(20127, 2, "3"), (20127, 0, "7")]) == 7.0


@given(st.lists(st.integers(-4000, 1200), min_size=3, max_size=3, unique_by=abs), st.permutations([0, 1, 3]))
@settings(deadline=None, max_examples=40)
def test_nothing_is_nearer_to_the_scan_than_what_was_picked(days: list[int], order: list[int]) -> None:
    visits = dict(zip(order, days, strict=True))
    dates = [(53, i, (date(2019, 6, 1) + timedelta(days=d)).isoformat()) for i, d in visits.items()]
    rows = [(21002, instance, str(50 + instance)) for instance in visits]
    _, _, instance, picked = derive([(53, 2, SCAN), *dates, *rows], dictionary={"weight": UKB["weight"]})["weight"]
    assert abs(picked) == min(map(abs, days))
    assert visits[instance] == picked


@pytest.mark.parametrize("code", ["-1", "-3", "-1.0"])
def test_missing_codes_give_way_to_the_next_nearest_answer(code: str) -> None:
    assert value_of("lonely", [(2020, 2, code)]) is None
    assert value_of("lonely", [(2020, 2, code), (2020, 0, "1")]) == 1.0


@pytest.mark.parametrize("text", ["", "nan"])
def test_what_is_no_number_is_no_value(text: str) -> None:
    assert value_of("weight", [(21002, 2, text)]) is None


@pytest.mark.parametrize(
    ("name", "field", "codes"),
    [
        ("handedness", 1707, {"1": 1.0, "2": 0.0, "3": 0.0, "-3": None, "9": None}),
        ("smoking", 20116, {"0": 0.0, "1": 1.0, "2": 1.0, "-3": None}),
    ],
)
def test_codes_are_recoded(name: str, field: int, codes: dict[str, float | None]) -> None:
    assert {code: value_of(name, [(field, 2, code)]) for code in codes} == codes


DERIVED = {
    "hypertension": (["1065", "1072"], 6150, "4", 131286),
    "asthma": (["1111"], 6152, "8", 131494),
    "atopy": (["1387", "1452"], 6152, "9", 131720),
}


@pytest.mark.parametrize("name", DERIVED)
def test_any_evidence_up_to_the_scan_makes_a_diagnosis(name: str) -> None:
    codes, question, answer, dated = DERIVED[name]
    for code in codes:
        assert value_of(name, [(20002, 0, "1473"), (20002, 0, code)]) == 1.0
        assert value_of(name, [(20002, 3, code)]) is None
    assert value_of(name, [(question, 2, answer)]) == 1.0
    assert value_of(name, [(question, 0, answer), (question, 2, "-7")]) == 1.0
    assert value_of(name, [(dated, 0, "2015-02-03")]) == 1.0
    assert value_of(name, [(dated, 0, SCAN)]) == 1.0


@pytest.mark.parametrize("name", DERIVED)
def test_an_answer_without_the_diagnosis_denies_it(name: str) -> None:
    _, question, _, dated = DERIVED[name]
    assert value_of(name, [(question, 2, "-7")]) == 0.0
    assert value_of(name, [(question, 0, "1")]) == 0.0
    assert value_of(name, [(question, 2, "-7"), (dated, 0, "2019-06-02")]) == 0.0


@pytest.mark.parametrize("name", DERIVED)
def test_nothing_answered_is_no_value(name: str) -> None:
    _, question, answer, dated = DERIVED[name]
    assert value_of(name, []) is None
    assert value_of(name, [(20002, 0, "1473")]) is None
    for code in ("-1", "-3"):
        assert value_of(name, [(question, 2, code)]) is None
    assert value_of(name, [(question, 3, answer)]) is None
    assert value_of(name, [(question, 3, "-7")]) is None
    assert value_of(name, [(dated, 0, "2019-06-02")]) is None


@pytest.mark.parametrize(
    "special", ["1900-01-01", "1901-01-01", "1902-02-02", "1903-03-03", "1909-09-09", "2037-07-07"]
)
@pytest.mark.parametrize("name", DERIVED)
def test_special_dates_are_no_evidence(name: str, special: str) -> None:
    _, question, _, dated = DERIVED[name]
    assert value_of(name, [(dated, 0, special)]) is None
    assert value_of(name, [(dated, 0, special), (question, 2, "-7")]) == 0.0
    assert value_of(name, [(dated, 0, "2015-02-03")], dates=()) == 1.0
    assert value_of(name, [(dated, 0, special)], dates=()) is None


def test_a_diagnosis_names_the_field_and_visit_that_showed_it() -> None:
    assert derive([*DATES, (6150, 2, "4"), (20002, 0, "1065")])["hypertension"] == [1.0, 20002, 0, -3652]


@pytest.mark.parametrize("text", ["1|4", "1,4", "[1,4]"])
def test_several_answers_in_one_column_count_each(text: str) -> None:
    tables = read_text(f'eid,p6150_i2\n{EID},"{text}"\n')
    found = dict(derive_features(tables, samples_of(("s", EID, 2)), UKB))
    assert found["hypertension"]["value"].to_list() == [1.0]


@pytest.mark.parametrize("field", [53, 131286])
def test_a_date_that_a_spreadsheet_rewrote_is_refused_not_taken_for_healthy(field: int) -> None:
    rows = [row for row in DATES if row[0] != field]
    with pytest.raises(TableError, match=rf"ield {field}\b") as caught:
        derive([*rows, (6150, 2, "-7"), (field, 0, "01/02/2001")])
    assert "01/02/2001" not in str(caught.value)


def test_companions_are_read_from_the_imaging_visit() -> None:
    rows: list[Row] = [(54, 0, "11012"), (54, 2, "11025"), (21022, 0, "53"), (34, 0, "1956"), (25000, 2, "1.25")]
    found = derive([*DATES, *rows])
    assert found["centre"] == [11025.0, 54, 2, 0]
    assert found["scan_date"] == [float((date.fromisoformat(SCAN) - date(1970, 1, 1)).days), 53, 2, 0]
    assert (found["recruitment_age"][0], found["birth_year"][0], found["head_size"][0]) == (53.0, 1956.0, 1.25)


OWN = load_dictionary(
    {
        "grip": {"kind": "continuous", "field": 46, "unit": "kg", "arrays": "mean"},
        "first_grip": {"kind": "continuous", "field": 46, "policy": "fixed", "instance": 0},
        "high_pressure": {
            "kind": "binary",
            "any_of": [
                {"field": 4080, "at_least": 140},
                {"field": 2966, "at_most": 40, "missing": [-1, -3]},
                {"field": 6150, "codes": [4], "answers": True, "missing": [-3]},
            ],
        },
        "lonely": {"kind": "binary", "field": 2020, "policy": "same", "missing": [-1, -3], "recode": {0: 1, 1: 0}},
    }
)


def own(name: str, rows: list[Row]) -> list[Any] | None:
    found = derive([*DATES, *rows], dictionary=OWN).get(name)
    return None if found is None else list(found)


def test_a_study_adds_fields_with_arrays_averaged_and_with_one_fixed_visit() -> None:
    rows: list[Row] = [(46, 0, "30"), (46, 2, "40"), (46, 2, "50"), (46, 2, "")]
    assert own("grip", rows) == [45.0, 46, 2, 0]
    assert own("first_grip", rows) == [30.0, 46, 0, -3652]
    assert own("first_grip", rows[1:]) is None


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(4080, 2, "139"), (4080, 2, "140")], 1.0),
        ([(4080, 2, "139")], None),
        ([(4080, 2, "139"), (6150, 2, "-7")], 0.0),
        ([(4080, 3, "180"), (6150, 2, "-7")], 0.0),
        ([(2966, 0, "38")], 1.0),
        ([(2966, 0, "-1"), (6150, 0, "-3")], None),
        ([(2966, 0, "41"), (6150, 0, "1")], 0.0),
        ([(6150, 0, "4")], 1.0),
    ],
)
def test_a_study_adds_derivations_with_ranges(rows: list[Row], expected: float | None) -> None:
    found = own("high_pressure", rows)
    assert (found and found[0]) == expected


def test_a_study_may_define_a_known_feature_anew() -> None:
    assert own("lonely", [(2020, 2, "1")]) == [0.0, 2020, 2, 0]
    assert own("lonely", [(2020, 0, "1")]) is None
    assert value_of("lonely", [(2020, 0, "1")]) == 1.0


def test_a_binary_field_with_a_third_value_is_refused_with_what_to_do() -> None:
    dictionary = load_dictionary({"smoker": {"kind": "binary", "field": 20116, "missing": [-3]}})
    with pytest.raises(DictionaryError, match=r"smoker \(field 20116\) .* 1 values other .*features\.smoker"):
        derive([(20116, 2, "2")], dictionary=dictionary)


def named(text: str, *samples: tuple[str, int, int]) -> dict[tuple[str, str], float]:
    tables = read_text(text, eids=[eid for _, eid, _ in samples])
    return {
        (sample, name): value
        for name, values in derive_features(tables, samples_of(*samples), UKB)
        for sample, value, *_ in values.iter_rows()
    }


def test_named_features_hold_for_every_visit_and_use_the_dictionarys_codes() -> None:
    table = "eid,sex,handedness,age\n1,m,A,61.5\n2,F,R,70\n"  # of which visit of participant 1 is the age?
    assert named(table, ("a2", 1, 2), ("a3", 1, 3), ("b2", 2, 2)) == {
        ("a2", "sex"): 1.0,
        ("a3", "sex"): 1.0,
        ("b2", "sex"): 0.0,
        ("a2", "handedness"): 0.0,
        ("a3", "handedness"): 0.0,
        ("b2", "handedness"): 1.0,
        ("b2", "age"): 70.0,
    }


def test_a_field_speaks_before_a_name() -> None:
    table = "eid,weight,21002-2.0\n1,60,70\n2,61,\n"
    assert named(table, ("a", 1, 2), ("b", 2, 2)) == {("a", "weight"): 70.0, ("b", "weight"): 61.0}


def test_a_named_value_that_cannot_be_understood_costs_that_value_alone() -> None:
    assert named("eid,sex,age\n1,O,60\n2,F,89+\n", ("a", 1, 2), ("b", 2, 2)) == {("b", "sex"): 0, ("a", "age"): 60}


@pytest.mark.parametrize(("name", "value"), [("sex", "2"), ("asthma", "9"), ("handedness", "0")])
def test_a_named_column_with_a_code_that_is_none_is_not_read_at_all(name: str, value: str) -> None:
    rows = "".join(f"{eid},1\n" for eid in range(1, 900))
    assert named(f"eid,{name}\n{rows}901,{value}\n", ("a", 1, 2), ("b", 901, 2)) == {}


def test_what_a_yes_or_no_is_called_is_understood() -> None:
    table = "eid,asthma,lonely,smoking,handedness\n1,Yes,no,Current,Right-handed\n2,FALSE,Do not know,never,L\n"
    assert named(table, ("a", 1, 2), ("b", 2, 2)) == {
        ("a", "asthma"): 1,
        ("b", "asthma"): 0,
        ("a", "lonely"): 0,
        ("a", "smoking"): 1,
        ("b", "smoking"): 0,
        ("a", "handedness"): 1,
        ("b", "handedness"): 0,
    }


def test_a_row_of_one_session_speaks_for_the_sample_of_that_session_alone() -> None:
    table = (
        "participant_id\tsession_id\tage\tsex\tweight\tscan_date\n"
        "1\tses-2\t60\tF\t\t2019-05-01\n1\tses-3\t63\tF\t70\tn/a\n2\tses-2\t50\tM\t80\t\n2\tses-3\t\tM\t\t\n"
    )
    assert named(table, ("a2", 1, 2), ("a3", 1, 3), ("b3", 2, 3)) == {
        ("a2", "age"): 60,
        ("a3", "age"): 63,
        ("a2", "sex"): 0,
        ("a3", "sex"): 0,
        ("b3", "sex"): 1,
        ("a3", "weight"): 70,
        ("a2", "scan_date"): 18017,
    }


def test_a_value_without_a_session_is_not_that_of_whom_a_table_speaks_by_session() -> None:
    table = "participant_id\tsession_id\tage\tweight\n1\tn/a\t60\t70\n1\tses-3\t\t\n2\t\t50\t80\n"
    assert named(table, ("a3", 1, 3), ("b2", 2, 2)) == {("b2", "age"): 50, ("a3", "weight"): 70, ("b2", "weight"): 80}


def test_a_value_of_one_session_says_which_visit_it_is_of() -> None:
    tables = read_text("participant_id\tses\tage\n1\t3\t63\n", eids=[1])
    found = dict(derive_features(tables, samples_of(("a", 1, 3)), {"age": UKB["age"]}))
    assert found["age"].rows() == [("a", 63.0, None, 3, None)]


def test_a_session_that_no_table_knows_gets_no_value_by_its_number() -> None:
    found = named("eid,21002-0.0,21002-3.0\n1,70,80\n", ("a", 1, 2), ("b", 1, 20190504))
    assert {sample for sample, _ in found} == {"a"}
