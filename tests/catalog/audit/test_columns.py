from typing import Any

import duckdb
import pytest

from catalog.audit.audit import audit_catalog
from catalog.audit.columns import IMPOSSIBLE_SHARE, MIN_ANSWERS, MIN_VALUES
from catalog.fields import load_dictionary
from tests.catalog.audit.clean import alarms, clean_catalog, column, only_alarm, replace_values

DICTIONARY = load_dictionary()


@pytest.mark.parametrize(("target", "severity"), [(None, "warning"), ("Hb", "critical")])
@pytest.mark.parametrize("name", ["Hb"])
def test_a_constant_column_is_critical_as_a_target(
    name: str, target: str | None, severity: str, clean: duckdb.DuckDBPyConnection
) -> None:
    replace_values(clean, name, "14")
    clean.execute("UPDATE feature SET days_from_scan = 0, instance = 2 WHERE name = 'Hb'")
    finding = only_alarm(audit_catalog(clean, DICTIONARY, target=target))
    assert (finding.code, finding.severity, finding.subject) == ("constant-column", severity, name)
    assert finding.numbers["value"] == 14
    assert finding.num_samples == finding.numbers["n"] == len(column(clean, name))


def test_a_constant_answer_is_told(clean: duckdb.DuckDBPyConnection) -> None:
    replace_values(clean, "lonely", "1")
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert (finding.code, finding.severity, finding.subject) == ("constant-column", "warning", "lonely")


def test_few_people_may_all_answer_the_same(clean: duckdb.DuckDBPyConnection) -> None:
    replace_values(clean, "lonely", "0")
    clean.execute("DELETE FROM feature WHERE name = 'lonely' AND row >= ?", [MIN_ANSWERS - 10])
    codes = {(f.code, f.subject) for f in audit_catalog(clean, DICTIONARY)}
    assert not {code for code, name in codes if name == "lonely"} & {"constant-column", "almost-constant-column"}


@pytest.mark.parametrize(
    ("run", "severity"),
    [
        ({"target": "Hb"}, "critical"),
        ({"target": "age", "shown": ["Hb"]}, "warning"),
        ({}, "note"),
        ({"target": "age", "shown": ["sex"]}, None),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_column_with_one_value_in_training_alone_is_told(
    run: dict[str, Any], severity: str | None, is_there: bool, clean: duckdb.DuckDBPyConnection
) -> None:
    rows = [row for (row,) in clean.execute("SELECT row FROM sample WHERE split = 'train'").fetchall()]
    if is_there:
        replace_values(clean, "Hb", "14", "split = 'train'")
    else:
        clean.execute("DELETE FROM feature WHERE name = 'Hb' AND list_contains(?, row)", [rows])
    findings = audit_catalog(clean, DICTIONARY, **run)
    found = [(finding.severity, finding.subject) for finding in findings if finding.code == "constant-in-training"]
    assert found == ([(severity, "Hb")] if severity else [])
    for finding in findings:
        if finding.code == "constant-in-training":
            others = {row: value for row, value in column(clean, "Hb").items() if row not in rows}
            assert finding.num_samples == sum(value != 14 or not is_there for value in others.values())
            assert finding.numbers["n"] == (sum(row in rows for row in column(clean, "Hb")) if is_there else 0)


def test_a_column_with_the_same_value_everywhere_is_not_told_twice(clean: duckdb.DuckDBPyConnection) -> None:
    replace_values(clean, "Hb", "14")
    codes = [finding.code for finding in audit_catalog(clean, DICTIONARY) if finding.subject == "Hb"]
    assert "constant-column" in codes and "constant-in-training" not in codes


def test_an_almost_constant_column_is_told(clean: duckdb.DuckDBPyConnection) -> None:
    rows = sorted(column(clean, "head_motion_t1"))
    replace_values(clean, "head_motion_t1", "7", f"feature.row NOT IN ({rows[0]}, {rows[1]})")
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert (finding.code, finding.severity, finding.subject) == ("almost-constant-column", "warning", "head_motion_t1")
    assert finding.numbers["share"] == pytest.approx(1 - 2 / len(rows), abs=1e-4)
    assert finding.numbers["distinct_values"] == 3
    assert finding.num_samples == len(rows) - 2


@pytest.mark.parametrize(("left", "severity"), [(0.03, "warning"), (0.3, "note")])
def test_a_column_that_most_lack_is_told(left: float, severity: str, clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("DELETE FROM feature WHERE name = 'neuroticism' AND row % 1000 >= ?", [left * 620])
    [finding] = [f for f in audit_catalog(clean, DICTIONARY) if f.code == "missing-values"]
    n = len(column(clean, "neuroticism"))
    assert (finding.severity, finding.subject, finding.numbers["n"]) == (severity, "neuroticism", n)
    assert finding.numbers["missing_share"] == pytest.approx(1 - n / 620, rel=1e-3)
    assert finding.num_samples == 620 - n
    assert len(alarms(audit_catalog(clean, DICTIONARY))) == (severity == "warning")


def test_features_of_no_table_are_one_note(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("DELETE FROM feature WHERE name IN ('bmi', 'neuroticism')")
    [finding] = [f for f in audit_catalog(clean, DICTIONARY) if f.code == "no-values"]
    assert (finding.severity, finding.subject, finding.numbers) == ("note", "neuroticism, bmi", {"features": 2}) or (
        finding.subject == "bmi, neuroticism"
    )
    assert alarms(audit_catalog(clean, DICTIONARY)) == []


def test_an_input_without_any_value_is_a_warning(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("DELETE FROM feature WHERE name = 'smoking'")
    finding = only_alarm(audit_catalog(clean, DICTIONARY, target="age", shown=["smoking", "sex"]))
    assert (finding.code, finding.severity, finding.subject) == ("no-values", "warning", "smoking")


@pytest.mark.parametrize(
    ("num_wrong", "target", "severity"), [(6, None, "warning"), (6, "weight", "critical"), (6, "age", None)]
)
def test_impossible_values_are_critical_where_they_are_the_target(
    num_wrong: int, target: str | None, severity: str | None, clean: duckdb.DuckDBPyConnection
) -> None:
    rows = sorted(column(clean, "weight"))[:num_wrong]
    replace_values(clean, "weight", "-9 - feature.row / 1000", f"feature.row <= {rows[-1]}")
    findings = audit_catalog(clean, DICTIONARY, target=target)
    if severity is None:
        assert alarms(findings) == []
        return
    finding = only_alarm(findings)
    assert (finding.code, finding.severity, finding.subject) == ("impossible-values", severity, "weight")
    assert "20 to 350 kg" in finding.message
    assert finding.num_samples == num_wrong
    assert finding.numbers["largest"] == pytest.approx(-9 - rows[0] / 1000)
    assert finding.numbers["smallest"] == pytest.approx(-9 - rows[-1] / 1000, rel=1e-3)
    assert finding.numbers["share"] == pytest.approx(num_wrong / len(column(clean, "weight")), rel=1e-3)


def test_a_slip_in_a_large_study_is_no_reason_to_refuse() -> None:
    with clean_catalog(num_participants=int(1.5 / IMPOSSIBLE_SHARE)) as connection:
        replace_values(connection, "weight", "1000", f"feature.row = {min(column(connection, 'weight'))}")
        finding = only_alarm(audit_catalog(connection, DICTIONARY, target="weight"))
    assert (finding.code, finding.severity, finding.num_samples) == ("impossible-values", "warning", 1)


@pytest.mark.parametrize(("target", "severity"), [(None, "warning"), ("anxious", "critical"), ("age", None)])
def test_answers_other_than_0_and_1_are_told(
    target: str | None, severity: str | None, clean: duckdb.DuckDBPyConnection
) -> None:
    rows = sorted(column(clean, "anxious"))[:5]
    replace_values(clean, "anxious", "-3", f"feature.row <= {rows[-1]}")
    found = alarms(audit_catalog(clean, DICTIONARY, target=target))
    assert [(f.code, f.severity, f.subject, f.num_samples) for f in found] == (
        [("not-binary", severity, "anxious", 5)] if severity else []
    )


def test_bounds_themselves_are_possible(clean: duckdb.DuckDBPyConnection) -> None:
    low, high = DICTIONARY["weight"].plausible or (0, 0)
    replace_values(clean, "weight", f"{low}", "feature.row % 7 = 0")
    replace_values(clean, "weight", f"{high}", "feature.row % 7 = 1")
    assert alarms(audit_catalog(clean, DICTIONARY)) == []


def test_less_than_a_handful_of_values_is_judged_by_nothing(clean: duckdb.DuckDBPyConnection) -> None:
    replace_values(clean, "bmi", "25")
    clean.execute("DELETE FROM feature WHERE name = 'bmi' AND row >= ?", [MIN_VALUES - 1])
    assert {f.code for f in audit_catalog(clean, DICTIONARY) if f.subject == "bmi"} == {"missing-values"}
