from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.database import open_catalog
from catalog.errors import TableError
from catalog.features import FEATURE_COLUMNS, derive_features, import_tables, named_features
from catalog.records import Visit
from catalog.samples import enrol

Row = tuple[int, int, str]
"""Field, instance, value."""
SCAN = "2019-06-01"
DATES: list[Row] = [(53, 0, "2009-06-01"), (53, 1, "2013-06-01"), (53, 2, SCAN), (53, 3, "2022-06-01")]


def derive(rows: list[Row], *, scan: int = 2) -> dict[str, Any]:
    """Return name to (value, field, instance, days_from_scan) of one participant's one visit."""
    values = pl.DataFrame(
        [(1000001, *row) for row in rows],
        schema={"eid": pl.Int64, "field": pl.Int32, "instance": pl.Int32, "value": pl.String},
        orient="row",
    )
    samples = pl.DataFrame(
        [("s", 1000001, scan)],
        schema={"sample_id": pl.String, "eid": pl.Int64, "scan_instance": pl.Int32},
        orient="row",
    )
    frame = derive_features(values, samples)
    assert frame.columns == list(FEATURE_COLUMNS)
    assert not frame.select("sample_id", "name").is_duplicated().any()
    return {name: rest for _, name, *rest in frame.rows()}


def value_of(name: str, rows: list[Row], *, scan: int = 2) -> float | None:
    found = derive([*DATES, *rows], scan=scan).get(name)
    return None if found is None else float(found[0])


@pytest.mark.parametrize(("scan", "expected"), [(2, 63.0), (3, 66.0)])
def test_age_is_that_of_the_same_visit(scan: int, expected: float) -> None:
    ages = [(21003, 0, "53"), (21003, 2, "63"), (21003, 3, "66")]
    assert value_of("age", ages, scan=scan) == expected


def test_age_at_recruitment_never_stands_for_age_at_the_scan() -> None:
    assert derive([*DATES, (21022, 0, "53"), (21022, 2, "53"), (21003, 0, "53"), (21003, 3, "66")]) == {}


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
    _, _, instance, picked = derive([(53, 2, SCAN), *dates, *rows])["weight"]
    assert abs(picked) == min(map(abs, days))
    assert visits[instance] == picked


@pytest.mark.parametrize("code", ["-1", "-3", "-1.0"])
def test_missing_codes_give_way_to_the_next_nearest_answer(code: str) -> None:
    assert value_of("lonely", [(2020, 2, code)]) is None
    assert value_of("lonely", [(2020, 2, code), (2020, 0, "1")]) == 1.0


@pytest.mark.parametrize("text", ["", "Yes", "nan", "inf", "1,5"])
def test_what_is_not_a_number_is_no_value(text: str) -> None:
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


@pytest.mark.parametrize("special", ["1900-01-01", "1901-01-01", "1902-02-02", "1903-03-03", "2037-07-07"])
@pytest.mark.parametrize("name", DERIVED)
def test_special_dates_are_no_evidence(name: str, special: str) -> None:
    _, question, _, dated = DERIVED[name]
    assert value_of(name, [(dated, 0, special)]) is None
    assert value_of(name, [(dated, 0, special), (question, 2, "-7")]) == 0.0
    assert float(derive([(dated, 0, "2015-02-03")])[name][0]) == 1.0
    assert name not in derive([(dated, 0, special)])


def test_a_diagnosis_names_the_field_and_visit_that_showed_it() -> None:
    assert derive([*DATES, (6150, 2, "4"), (20002, 0, "1065")])["hypertension"] == [1.0, 20002, 0, -3652]


@pytest.mark.xfail(strict=True, reason="a RAP export's multi-select in one column is not taken apart yet")
@pytest.mark.parametrize("text", ["1|4", "1,4", "[1,4]"])
def test_several_answers_in_one_column_count_each(text: str) -> None:
    assert value_of("hypertension", [(6150, 2, text)]) == 1.0


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Any]:
    with open_catalog(tmp_path / "catalog.duckdb", writable=True) as connection:
        enrol(connection, [Visit(1000001, 2), Visit(1000001, 3)], salt="s" * 16, val=0.1, test=0.1)
        yield connection


def ages(catalog: Any) -> list[tuple[Any, ...]]:
    query = "SELECT samples.instance, value FROM features JOIN samples USING (sample_id) WHERE name = 'age' ORDER BY 1"
    return list(catalog.execute(query).fetchall())


def test_importing_again_replaces_what_was_there(catalog: Any, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("eid,21003-2.0,21003-3.0,31-0.0\n1000001,63,66,1\n")
    assert import_tables(catalog, [table]) == 4
    assert ages(catalog) == [(2, 63.0), (3, 66.0)]
    table.write_text("eid,21003-2.0\n1000001,64\n")
    assert import_tables(catalog, [table]) == 1
    assert ages(catalog) == [(2, 64.0)]


def test_tables_of_strangers_are_refused_and_change_nothing(catalog: Any, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("eid,21003-2.0\n1000001,63\n")
    import_tables(catalog, [table])
    table.write_text("eid,21003-2.0\n2000001,63\n")
    with pytest.raises(TableError, match="belong to the same"):
        import_tables(catalog, [table])
    assert ages(catalog) == [(2, 63.0)]


@pytest.mark.parametrize("field", [53, 131286])
def test_a_date_that_a_spreadsheet_rewrote_is_refused_not_taken_for_healthy(field: int) -> None:
    rows = [row for row in DATES if row[0] != field]
    with pytest.raises(TableError, match=rf"Field {field} holds 1 values that are no dates") as caught:
        derive([*rows, (6150, 2, "-7"), (field, 0, "01/02/2001")])
    assert "01/02/2001" not in str(caught.value)


def test_named_features_hold_for_every_visit_and_use_the_dictionarys_codes() -> None:
    samples = pl.DataFrame(
        [("a2", 1, 2), ("a3", 1, 3), ("b2", 2, 2)],
        schema={"sample_id": pl.String, "eid": pl.Int64, "scan_instance": pl.Int32},
        orient="row",
    )
    values = pl.DataFrame(
        [
            (1, "sex", "m"),
            (2, "sex", "F"),
            (1, "handedness", "A"),
            (2, "handedness", "R"),
            (1, "age", "61.5"),  # of which of the two visits?
            (2, "age", "70"),
        ],
        schema={"eid": pl.Int64, "name": pl.String, "value": pl.String},
        orient="row",
    )
    features = {(sample, name): value for sample, name, value, *_ in named_features(values, samples).iter_rows()}
    assert features == {
        ("a2", "sex"): 1.0,
        ("a3", "sex"): 1.0,
        ("b2", "sex"): 0.0,
        ("a2", "handedness"): 0.0,
        ("a3", "handedness"): 0.0,
        ("b2", "handedness"): 1.0,
        ("b2", "age"): 70.0,
    }


def test_a_named_value_that_cannot_be_understood_is_refused_without_being_quoted() -> None:
    samples = pl.DataFrame({"sample_id": ["a"], "eid": [1], "scan_instance": [2]})
    values = pl.DataFrame({"eid": [1], "name": ["sex"], "value": ["unknowable"]})
    with pytest.raises(TableError, match="column sex holds 1 values that cannot be understood") as caught:
        named_features(values, samples)
    assert "unknowable" not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("sex", "2"), ("asthma", "9")])
def test_a_named_yes_or_no_that_is_neither_is_refused(name: str, value: str) -> None:
    samples = pl.DataFrame({"sample_id": ["a"], "eid": [1], "scan_instance": [2]})
    values = pl.DataFrame({"eid": [1], "name": [name], "value": [value]})
    with pytest.raises(TableError, match=f"column {name} holds 1 values other than 0 and 1"):
        named_features(values, samples)


def test_a_session_that_no_table_knows_gets_no_value_by_its_number() -> None:
    samples = pl.DataFrame(
        [("a", 1, 2), ("b", 1, 20190504)],
        schema={"sample_id": pl.String, "eid": pl.Int64, "scan_instance": pl.Int32},
        orient="row",
    )
    values = pl.DataFrame(
        [(1, 21002, 0, 0, "70"), (1, 21002, 3, 0, "80")],
        schema={"eid": pl.Int64, "field": pl.Int32, "instance": pl.Int32, "array": pl.Int32, "value": pl.String},
        orient="row",
    )
    assert derive_features(values, samples)["sample_id"].unique().to_list() == ["a"]
