"""Fields, codes, units and ranges of tables."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from catalog.fields import load_dictionary
from catalog.tables.headers import TableHeader, parse_header
from mmstudy.models.training_cohort import FeatureCohort, feature_cohort
from mmstudy.predict.deviations.definitions import find_definition_deviations
from mmstudy.predict.deviations.features import age_range, find_column_deviations, find_feature_deviations
from mmstudy.predict.deviations.table import find_table_deviations

FIELDS = {name: load_dictionary()[name] for name in ("age", "sex", "weight", "Hb")}
RNG = np.random.default_rng(7)
AGES = RNG.uniform(45, 82, 500)
WEIGHTS = RNG.normal(76, 15, 500)


def cohorts() -> dict[str, FeatureCohort]:
    described = {"age": feature_cohort(AGES), "weight": feature_cohort(WEIGHTS)}
    return {name: one for name, one in described.items() if one is not None}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("age", 63.0, []),
        ("age", 63.0 * 12, ["other-unit"]),
        ("age", 63.0 * 365.25, ["other-unit"]),
        ("age", 1957.0, ["other-unit"]),
        ("age", 12.0, ["outside-age-range"]),
        ("age", 97.0, ["outside-age-range"]),
        ("age", -3.0, ["implausible-value"]),
        ("age", float("inf"), ["out-of-range"]),
        ("age", float("nan"), []),
        ("sex", 2.0, ["wrong-code"]),
        ("sex", 1.0, []),
        ("weight", 78.0, []),
        ("weight", 78_000.0, ["other-unit"]),
        ("weight", 400.0, ["implausible-value"]),
        ("Hb", 142.0, ["other-unit"]),
    ],
)
def test_a_value_that_is_none_of_the_models_is_told_by_name(name: str, value: float, told: list[str]) -> None:
    assert [one.name for one in find_feature_deviations({name: value}, FIELDS, cohorts())] == told


def test_without_training_people_only_what_nobody_can_have_is_told() -> None:
    found = find_feature_deviations({"age": 756.0, "weight": 300.0}, FIELDS, {})
    assert [(one.name, one.where) for one in found] == [("other-unit", "age")]


def test_the_unit_that_would_fit_is_named_with_its_factor() -> None:
    (found,) = find_feature_deviations({"age": 756.0}, FIELDS, cohorts())
    assert "months" in found.got
    assert "0.083" in found.remedy


def test_everybody_who_was_trained_on_is_within_the_age_range() -> None:
    low, high = age_range(cohorts()["age"]) or (0.0, 0.0)
    assert 35 < low < AGES.min()
    assert AGES.max() < high < 95


def test_a_column_in_pounds_is_told_though_each_value_could_be_kg() -> None:
    weight = cohorts()["weight"]
    new = RNG.normal(76, 15, 40)
    assert find_column_deviations("weight", new, FIELDS["weight"], weight) == []
    (found,) = find_column_deviations("weight", new / 0.45359237, FIELDS["weight"], weight)
    assert (found.name, "pounds" in found.got) == ("other-unit", True)
    assert find_column_deviations("weight", new[:9] / 0.45359237, FIELDS["weight"], weight) == []


def header(*names: str) -> TableHeader:
    return parse_header(",".join(["eid", *names]).encode(), "a table")


def test_age_at_recruitment_in_place_of_age_at_the_visit_is_told() -> None:
    others = ("31-0.0", "21002-2.0", "30020-0.0")
    (found,) = find_table_deviations([header("21022-0.0", *others)], FIELDS)
    assert (found.name, found.where) == ("wrong-field", "age")
    assert "21022" in found.got
    assert find_table_deviations([header("21022-0.0"), header("21003-2.0", *others)], FIELDS) == []
    assert find_table_deviations([header("21022-0.0"), header("Age", *others)], FIELDS) == []


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ({}, []),
        ({"unit": "kilograms"}, []),
        ({"policy": "earliest"}, []),
        ({"unit": "pounds"}, ["other-unit"]),
        ({"field": 23098}, ["wrong-field"]),
        ({"recode": {1: 0.0}}, ["wrong-code"]),
    ],
)
def test_a_study_that_makes_a_feature_otherwise_is_told_by_name(made: dict[str, Any], told: list[str]) -> None:
    ours = {"weight": replace(FIELDS["weight"], **made)}
    assert [one.name for one in find_definition_deviations(FIELDS, ours)] == told
