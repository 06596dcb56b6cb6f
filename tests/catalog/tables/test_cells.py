import json
from collections.abc import Collection, Sequence
from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import TableError
from catalog.tables.cells import FieldCells, plain_numbers, read_cells, tidy

EPOCH = date(1970, 1, 1)


def read(
    *columns: Sequence[str | None],
    field: int = 4080,
    codes: Collection[int] = (),
    is_date: bool = False,
    has_lists: bool = True,
) -> tuple[list[list[list[float | None]]], int]:
    """Return for each column its first answers, its second ones and so on, and how many values were left out."""
    texts = pl.DataFrame({str(n): pl.Series(column, dtype=pl.String) for n, column in enumerate(columns)})
    numbers = plain_numbers(texts, texts.columns if is_date else ())
    answers, num_unreadable, num_values = read_cells(
        FieldCells(
            table="ukb.csv",
            field=field,
            texts=texts.get_columns(),
            numbers=numbers.get_columns(),
            codes=codes,
            is_date=is_date,
            has_lists=has_lists,
        )
    )
    assert num_values >= num_unreadable
    return [[answer.to_list() for answer in column] for column in answers], num_unreadable


def one(
    *cells: str | None, field: int = 4080, codes: Collection[int] = (), is_date: bool = False
) -> list[float | None]:
    """Return the numbers of a column whose cells hold one each."""
    ((numbers,),), num_unreadable = read(cells, field=field, codes=codes, is_date=is_date)
    assert num_unreadable == 0
    return numbers


def test_tidy_text_has_no_blanks_and_no_words_for_missing() -> None:
    texts = pl.DataFrame({"x": [" F ", "n/a", "", "NA ", None, "Nan", "two  words"]})
    assert texts.select(tidy(pl.col("x")))["x"].to_list() == ["F", None, None, None, None, None, "two  words"]


def test_numbers_and_missing_values_are_what_they_say() -> None:
    cells = ("63", " 1.50 ", "-3", "1e3", " 1e3", "", "  ", "NA", "n/a", "NaN", "NULL", "<NA>", None)
    assert one(*cells) == [63.0, 1.5, -3.0, 1000.0, 1000.0] + [None] * 8


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_any_number_comes_back(numbers: list[float]) -> None:
    assert one(*map(repr, numbers)) == numbers


@pytest.mark.parametrize(
    ("field", "label", "code"),
    [
        (31, "Female", 0),
        (31, " male", 1),
        (1707, "Use both right and left hands equally", 3),
        (20116, "PREVIOUS", 1),
        (2030, "Do not know", -1),
        (6152, "Hayfever, allergic rhinitis or eczema", 9),
        (6150, "None of the above", -7),
        (54, "Cheadle (imaging)", 11025),
        (54, "Newcastle", 11009),
        (20002, "Essential hypertension", 1072),
    ],
)
def test_a_label_becomes_its_code(field: int, label: str, code: float) -> None:
    assert one(label, None, "1", field=field) == [code, None, 1.0]


MULTISELECTS = [
    "4|1",
    "4 | 1",
    "4,1",
    "4, 1",
    "[4,1]",
    "[4, 1]",
    '["4","1"]',
    '["4", null, "1"]',
    "High blood pressure|Heart attack",
    '["High blood pressure", "Heart attack"]',
    "4|Heart attack",
]


@pytest.mark.parametrize("cell", MULTISELECTS)
def test_several_answers_in_one_cell_become_first_second_and_so_on(cell: str) -> None:
    assert read([cell, "2", None], field=6150) == ([[[4.0, 2.0, None], [1.0, None, None]]], 0)


@pytest.mark.parametrize(
    "cell", ["Asthma|Hayfever, allergic rhinitis or eczema", '["8", "Hayfever, allergic rhinitis or eczema"]']
)
def test_labels_are_not_split_at_their_commas(cell: str) -> None:
    assert read([cell], field=6152) == ([[[8.0], [9.0]]], 0)


@given(st.lists(st.lists(st.integers(1, 9999), min_size=1, max_size=6), min_size=1, max_size=6), st.sampled_from("|,j"))
def test_any_list_of_codes_comes_back(lists: list[list[int]], mark: str) -> None:
    cells = [json.dumps(codes) if mark == "j" else mark.join(map(str, codes)) for codes in lists]
    ((*answers,),), num_unreadable = read(cells, field=20002)
    assert num_unreadable == 0
    assert [[code for code in row if code is not None] for row in zip(*answers, strict=True)] == lists
    assert len(answers) == max(map(len, lists))


def test_an_empty_list_is_a_missing_value() -> None:
    assert read(["[]", "4"], field=6150) == ([[[None, 4.0]]], 0)


def test_columns_without_lists_get_none() -> None:
    assert read(["4|1"], ["2"], field=6150) == ([[[4.0], [1.0]], [[2.0]]], 0)


@pytest.mark.parametrize(("cell", "codes"), [("1,234", ()), ("1,234", (-1, -3)), ("12,5", (-1,)), ("1;2", (1, 2))])
def test_commas_in_a_number_make_no_list(cell: str, codes: tuple[int, ...]) -> None:
    with pytest.raises(TableError, match=r"Field 20023 of ukb\.csv holds 1 values that are neither numbers"):
        read([cell], field=20023, codes=codes)


def test_commas_make_a_list_where_definitions_speak_of_answers() -> None:
    assert read(["1,2"], codes={1}) == ([[[1.0], [2.0]]], 0)


def test_columns_of_one_answer_each_are_not_split() -> None:
    with pytest.raises(TableError, match="Field 6150"):
        read(["4|1"], field=6150, has_lists=False)


@pytest.mark.parametrize(
    ("field", "codes", "label"),
    [
        (31, (), "Other"),
        (6150, (4,), "High blood pressure|Gout"),
        (6150, (4,), '["High blood pressure", ["Gout"]]'),
        (6150, (4,), "[High blood pressure]"),
        (4080, (1,), "Often"),
        (20401, (-818, 1), "Prefer not to answer"),
        (20002, (1065, 1999), "gout"),
    ],
)
def test_one_label_that_may_stand_for_a_code_is_refused(field: int, codes: tuple[int, ...], label: str) -> None:
    cells = [label] + ["1"] * 1000
    with pytest.raises(TableError, match=rf"Field {field} of ukb\.csv holds 1 values .*-icoding_option=RAW") as caught:
        read(cells, field=field, codes=codes)
    assert label not in str(caught.value)


def test_an_illness_that_is_not_listed_is_another_one() -> None:
    cells = ["hypertension", "gout", "hypertension|gout", "1111"]
    assert read(cells, field=20002, codes={1065, 1111})[0] == [[[1065.0, 99999.0, 99999.0, 1111.0]]]


def test_up_to_a_hundredth_of_odd_values_is_left_out_and_counted() -> None:
    (((numbers,),), num_unreadable) = read(["6O"] + ["60"] * 99)
    assert (numbers, num_unreadable) == ([None] + [60.0] * 99, 1)
    with pytest.raises(TableError, match="holds 1 values that are neither numbers nor labels"):
        read(["6O"] + ["60"] * 98)


def test_commas_in_numbers_are_named_as_what_is_wrong_and_no_value_is_told() -> None:
    with pytest.raises(TableError, match=r"99 values .*has a comma in it\. Expected a decimal point") as caught:
        read(["61,5"] * 99 + ["60"])
    assert "61" not in str(caught.value)


def test_infinity_is_no_number() -> None:
    assert read(["inf"] + ["60"] * 99) == ([[[None] + [60.0] * 99]], 1)


def test_the_share_of_odd_values_is_of_all_columns_of_a_field() -> None:
    assert read(["x"] + [None] * 98, ["1"] * 99)[1] == 1


def days(text: str) -> float:
    return float((date.fromisoformat(text) - EPOCH).days)


@pytest.mark.parametrize("cell", ["2019-05-01", "2019-05-01T10:00:00", "2019-05-01 10:00", " 2019-05-01T00:00:00Z "])
def test_dates_become_days_whatever_time_stands_behind_them(cell: str) -> None:
    assert one(cell, None, is_date=True) == [days("2019-05-01"), None]


@given(st.lists(st.dates(date(1900, 1, 1), date(2037, 12, 31)), min_size=1))
def test_british_dates_are_read_where_they_prove_their_order(dates: list[date]) -> None:
    cells = [f"{day.day}/{day.month:02}/{day.year}" for day in dates] + ["31/01/2000"]
    assert one(*cells, is_date=True) == [float((day - EPOCH).days) for day in [*dates, date(2000, 1, 31)]]


@pytest.mark.parametrize(
    "cells", [["01/02/2019"], ["05/13/2019"], ["13/05/2019", "05/13/2019"], ["2019-05-01", "1/2/2019"]]
)
def test_slashed_dates_that_prove_no_order_are_refused_with_what_to_do(cells: list[str]) -> None:
    with pytest.raises(TableError, match=r"Field 53 of ukb\.csv .*DD/MM/YYYY\. Expected YYYY-MM-DD: export") as caught:
        read(cells, field=53, is_date=True)
    assert "2019" not in str(caught.value)


def test_one_column_proves_the_order_for_the_field() -> None:
    assert read(["01/02/2019"], ["28/02/2019"], is_date=True)[0] == [[[days("2019-02-01")]], [[days("2019-02-28")]]]


@pytest.mark.parametrize("cell", ["43586", "2019", "May 2019", "2019-02-30", "31/02/2019", "20190501", "13/05/19"])
def test_what_is_no_date_is_refused(cell: str) -> None:
    with pytest.raises(
        TableError, match=r"Field 53 of ukb\.csv holds 1 values that are no dates of the form YYYY-MM-DD"
    ):
        read([cell, "2019-05-01"], field=53, is_date=True)
    assert read([cell] + ["2019-05-01"] * 99, is_date=True)[1] == 1


def test_labels_of_dates_become_the_dates_they_stand_for() -> None:
    cells = ["Code has no event date", "Code has event date matching participant’s date of birth", "2001-02-03"]
    assert one(*cells, is_date=True) == [days("1900-01-01"), days("1902-02-02"), days("2001-02-03")]


def test_days_are_counted_from_1970() -> None:
    assert one("1970-01-02", is_date=True) == [1.0]
    assert EPOCH + timedelta(days=1) == date(1970, 1, 2)
