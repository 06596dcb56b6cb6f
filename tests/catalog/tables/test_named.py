import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.features import wanted_names
from catalog.fields import load_dictionary
from catalog.tables.named import read_named
from catalog.tables.reports import ColumnReport
from catalog.tables.sidecars import describe_columns

NAMES = wanted_names(load_dictionary({"Grip": {"kind": "continuous", "field": 46, "texts": {"89+": 89}}}))


def read(
    name: str, cells: Sequence[str | None], description: Mapping[str, Any] | None = None
) -> tuple[list[float | None], ColumnReport]:
    described = describe_columns([{name: dict(description or {})}])[name]
    numbers, report = read_named(name, pl.Series("x", cells, pl.String), NAMES[name], described)
    assert numbers.dtype == pl.Float64
    return numbers.to_list(), report


def values(name: str, cells: Sequence[str | None], description: Mapping[str, Any] | None = None) -> list[float | None]:
    """Return the numbers of a column of which nothing is left out."""
    numbers, report = read(name, cells, description)
    assert (report.num_unreadable, report.refusal) == (0, "")
    return numbers


MALE_1, MALE_0 = {"1": "male", "2": "female"}, {"0": "male", "1": "female"}


@pytest.mark.parametrize(
    ("levels", "cells", "expected"),
    [
        ({}, ["0", "1", "F", "male", "Woman", None], [0, 1, 0, 1, 0, None]),
        (MALE_1, ["1", "2", "2.0", "1.00", None], [1, 0, 0, 1, None]),
        (MALE_0, ["0", "1"], [1, 0]),
        (MALE_0, ["0", "1", "M", "female"], [1, 0, 1, 0]),
        ({"1": {"Description": "Male"}, "2": {"Description": " FEMALE ", "TermURL": "x"}}, ["1", "2"], [1, 0]),
        ({"1": "male participant", "2": "female participant (self-reported)"}, ["1", "2"], [1, 0]),
        ({"a": "female", "b": "male"}, ["A", "b"], [0, 1]),
        ({"M": "female", "H": "male"}, ["M", "H"], [0, 1]),
        ({"1": "male", "2": "female", "9": "unknown", "8": "not reported"}, ["1", "9", "2", "8"], [1, None, 0, None]),
        ({"M": "male", "F": "female"}, ["M", "f", "1", "0"], [1, 0, 1, 0]),
    ],
)
def test_a_cell_means_what_its_level_says(levels: Any, cells: list[str | None], expected: list[float | None]) -> None:
    assert values("sex", cells, {"Levels": levels}) == expected


@pytest.mark.parametrize(
    "levels",
    [
        {"1": "homme", "2": "femme"},
        {"1": "not male", "2": "not female"},
        {"1": "male or female", "2": "female or male"},
        {"1": "", "2": ""},
        {"M": "mujer", "F": "x"},
        {"3": "male", "4": "female"},
    ],
)
def test_levels_in_words_that_say_nothing_refuse_the_column(levels: Any) -> None:
    cells = ["M", "F", "M"] if "M" in levels else ["1", "2", "2"]
    numbers, report = read("sex", cells, {"Levels": levels})
    assert numbers == [None] * 3
    assert re.match(r"3 of 3 values cannot be understood\. Expected codes or one of .*under Levels", report.refusal)


def test_levels_of_a_number_are_categories_and_no_numbers() -> None:
    groups = {"Levels": {"1": "20 to 30 years", "2": "30 to 40 years"}}
    assert read("age", ["1", "2", "2"], groups)[1].refusal.startswith("3 of 3 values cannot be understood")
    assert values("age", ["61", "999"], {"Levels": {"999": "missing"}}) == [61, None]


@pytest.mark.parametrize(
    ("name", "unit", "cells", "expected"),
    [
        ("age", "years", ["60.5", ".5", "6e1"], [60.5, 0.5, 60]),
        ("age", "months", ["30", "36"], [2.5, 3]),
        ("age", "n/a", ["30"], [30]),
        ("weight", "g", ["70500"], [70.5]),
        ("reaction_time", "seconds", ["0.5"], [500]),
    ],
)
def test_numbers_are_turned_from_the_unit_that_is_given(
    name: str, unit: str, cells: list[str], expected: list[float]
) -> None:
    assert values(name, cells, {"Units": unit}) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "description", "reason"),
    [
        ("weight", {"Units": "stone"}, "its unit is given as 'stone', and nothing says how that becomes kg"),
        ("LDL", {"Units": "mg/dL"}, "given as 'mg/dL', .* mmol/L"),
        ("age", {"Units": "gestational weeks"}, "given as 'gestational weeks', .* years"),
        ("age", {"Description": "age at the scan, in months"}, "its description speaks of months where years are"),
        ("age", {"LongName": "Age (days)"}, "its description speaks of days"),
    ],
)
def test_a_unit_that_cannot_be_followed_refuses_the_column(name: str, description: Any, reason: str) -> None:
    numbers, report = read(name.lower(), ["1", "2", None], description)
    assert numbers == [None] * 3
    assert (report.num_values, report.num_unreadable) == (2, 2)
    assert re.search(reason, report.refusal)


@pytest.mark.parametrize("cell", ["89+", "20-25", "> 80", "sixty", "60;5", "1,234", "60 years", "inf", "1e999", "-"])
def test_one_cell_that_is_no_number_costs_itself_alone(cell: str) -> None:
    numbers, report = read("age", [cell, "61", "62", None])
    assert numbers == [None, 61, 62, None]
    assert report == ColumnReport(column="age", num_values=3, num_unreadable=1)


@pytest.mark.parametrize("cell", ["O", "other", "?", "non-binary", "M/F"])
def test_one_cell_that_is_neither_of_two_costs_itself_alone(cell: str) -> None:
    numbers, report = read("sex", ["M", cell, "F"])
    assert (numbers, report.num_unreadable, report.refusal) == ([1, None, 0], 1, "")


@pytest.mark.parametrize(
    ("num_odd", "num_values", "is_read"),
    [
        (1, 2, True),
        (2, 3, False),
        (10, 20, True),
        (11, 22, False),
        (10, 100, True),
        (11, 1000, False),
        (12, 1200, True),
    ],
)
def test_ten_values_or_a_hundredth_may_be_odd_but_no_more_than_half(
    num_odd: int, num_values: int, is_read: bool
) -> None:
    numbers, report = read("age", ["89+"] * num_odd + ["60"] * (num_values - num_odd))
    assert (numbers.count(60), bool(report.refusal)) == ((num_values - num_odd, False) if is_read else (0, True))
    assert (report.num_unreadable, report.num_values) == (num_odd, num_values)


@pytest.mark.parametrize(
    ("name", "cells", "codes"),
    [
        ("sex", ["1", "2"], "0, 1 (0 female, 1 male)"),
        ("lonely", ["1", "-1", "4"], "-3, -1, 0, 1 (1 yes)"),
        ("handedness", ["75", "-100"], "-3, 1, 2, 3 (1 right, 0 left or both)"),
    ],
)
def test_one_number_that_is_no_code_refuses_the_column(name: str, cells: list[str], codes: str) -> None:
    numbers, report = read(name, [*cells, *["1"] * 2000])
    assert set(numbers) == {None}
    assert f"are numbers other than {codes}. Say what they mean under Levels" in report.refusal


def test_the_dictionarys_own_texts_come_before_numbers() -> None:
    assert values("grip", ["89+", "40"]) == [89, 40]


def test_dates_are_read_and_those_that_bids_hides_are_missing() -> None:
    cells = ["2019-05-01T10:00:00.000Z", "2019-05-01", "1867-01-01T10:00:00", None]
    assert values("scan_date", cells) == [18017, 18017, None, None]
    assert read("scan_date", ["01/05/2019", "18017"])[1].num_unreadable == 2


def test_a_comma_before_one_or_two_digits_is_a_decimal_comma() -> None:
    assert values("age", ["60,5", "60,25", "61"]) == [60.5, 60.25, 61]


def test_nothing_of_a_cell_stands_in_a_report() -> None:
    _, report = read("age", ["secret"] * 3)
    assert report.refusal and "secret" not in report.refusal


@given(st.lists(st.one_of(st.none(), st.integers(-999, 999), st.floats(-1e9, 1e9)), min_size=1))
def test_numbers_are_those_that_pandas_reads(numbers: list[float | None]) -> None:
    cells = [None if number is None else repr(number) for number in numbers]
    theirs = pd.read_csv(io.StringIO("\n".join(["age", *(cell or "n/a" for cell in cells)])))["age"].astype(float)
    assert values("age", cells) == [None if pd.isna(number) else number for number in theirs]
