import dataclasses

import duckdb
import numpy as np
import pytest

from catalog.audit.audit import audit_catalog
from catalog.audit.visits import LONG_GAP_DAYS
from catalog.fields import load_dictionary
from tests.catalog.audit.clean import ASSAYS, NUM_REPEATED, alarms, clean_catalog, only_alarm

DICTIONARY = load_dictionary()


def test_a_value_of_another_visit_where_only_the_scans_own_may_stand_is_critical(
    clean: duckdb.DuckDBPyConnection,
) -> None:
    clean.execute("UPDATE feature SET instance = 0, days_from_scan = -700 WHERE name = 'age' AND row < 30")
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    [(num_wrong,)] = clean.execute("SELECT count(*) FROM feature WHERE name = 'age' AND row < 30").fetchall()
    assert (finding.code, finding.severity, finding.subject) == ("label-of-another-visit", "critical", "age")
    assert finding.num_samples == finding.numbers["other_visit"] == num_wrong


def test_two_visits_with_each_others_labels_are_critical(clean: duckdb.DuckDBPyConnection) -> None:
    complete = (
        "SELECT row FROM feature JOIN sample USING (row) WHERE name = 'weight' QUALIFY "
        "count(*) OVER (PARTITION BY participant_key) = 2"
    )
    [(num_swapped,)] = clean.execute(f"SELECT count(*) FROM ({complete})").fetchall()
    clean.execute(
        "UPDATE feature SET instance = 5 - instance, days_from_scan = CASE instance WHEN 2 THEN 900 ELSE -900 END "
        f"WHERE name = 'weight' AND row IN ({complete})"
    )
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert NUM_REPEATED <= num_swapped <= 2 * NUM_REPEATED
    assert (finding.code, finding.severity, finding.subject) == ("label-of-another-visit", "critical", "weight")
    assert finding.num_samples == num_swapped


def test_a_visit_without_a_value_of_its_own_may_borrow_one(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute(
        "UPDATE feature SET instance = 2, days_from_scan = -900 FROM sample "
        "WHERE sample.row = feature.row AND name = 'weight' AND sample.instance = 3"
    )
    assert alarms(audit_catalog(clean, DICTIONARY)) == []


def test_a_target_whose_nearest_value_is_years_away_is_told(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("UPDATE feature SET instance = 0, days_from_scan = -2000 - row WHERE name = 'weight' AND row % 5 > 0")
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert (finding.code, finding.severity, finding.subject) == ("date-gap", "warning", "weight")
    days = np.abs(clean.sql("SELECT days_from_scan AS days FROM feature WHERE name = 'weight'").fetchnumpy()["days"])
    assert finding.numbers["median_days"] == pytest.approx(np.quantile(days, 0.5), rel=1e-3)
    assert finding.numbers["p95_days"] == pytest.approx(np.quantile(days, 0.95), rel=1e-3)
    assert finding.numbers["other_visit_share"] == pytest.approx(np.mean(days > 0), rel=1e-3)
    assert finding.num_samples == np.sum(days > 0)


@pytest.mark.parametrize("name", [name for name, d in DICTIONARY.items() if d.field in ASSAYS and d.target])
def test_the_age_of_an_assay_is_news_only_to_whoever_predicts_it(name: str, clean: duckdb.DuckDBPyConnection) -> None:
    noted = [f for f in audit_catalog(clean, DICTIONARY) if f.code == "date-gap" and f.subject == name]
    assert [finding.severity for finding in noted] == ["note"]
    assert noted[0].numbers["other_visit_share"] == 1.0
    assert noted[0].numbers["median_days"] > LONG_GAP_DAYS
    assert only_alarm(audit_catalog(clean, DICTIONARY, target=name)).code == "date-gap"
    assert alarms(audit_catalog(clean, DICTIONARY, target="age", shown=[name])) == []


def test_what_a_definition_fixes_to_one_visit_is_only_noted() -> None:
    fixed = dataclasses.replace(DICTIONARY["weight"], policy="fixed", instance=0)
    dictionary = {**DICTIONARY, "weight": fixed}
    with clean_catalog(dictionary=dictionary) as connection:
        findings = audit_catalog(connection, dictionary, target="weight")
    assert alarms(findings) == []
    assert [(f.code, f.subject) for f in findings] == [("date-gap", "weight")]


def test_without_dates_the_share_of_other_visits_is_still_told(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("UPDATE feature SET days_from_scan = NULL")
    [noted] = [f for f in audit_catalog(clean, DICTIONARY) if f.code == "date-gap" and f.subject == "LDL"]
    assert set(noted.numbers) == {"n", "other_visit_share"}
    assert alarms(audit_catalog(clean, DICTIONARY)) == []
