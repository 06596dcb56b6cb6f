import dataclasses

import duckdb
import pytest

from catalog.audit.audit import audit_catalog
from catalog.fields import load_dictionary
from tests.catalog.audit.clean import alarms, clean_catalog, column, only_alarm, replace_values

DICTIONARY = load_dictionary()


def take_recruitment_age(connection: duckdb.DuckDBPyConnection, share: float = 1.0) -> None:
    """Give some of the samples their age at recruitment as the age at the scan, as a table by name would."""
    recruited = "(SELECT any_value(o.value) FROM feature o WHERE o.name = 'recruitment_age' AND o.row = feature.row)"
    replace_values(
        connection, "age", f"coalesce({recruited}, feature.value)", f"hash(feature.row) % 1000 < {share * 1000}"
    )


@pytest.mark.parametrize("target", [None, "age"])
def test_age_at_recruitment_for_age_at_the_scan_is_critical(
    target: str | None, clean: duckdb.DuckDBPyConnection
) -> None:
    take_recruitment_age(clean)
    finding = only_alarm(audit_catalog(clean, DICTIONARY, target=target))
    assert (finding.code, finding.severity, finding.subject) == ("recruitment-age", "critical", "age")
    assert "21003" in finding.remedy
    both = column(clean, "age").keys() & column(clean, "recruitment_age").keys()
    assert finding.numbers["scanned_later"] == finding.numbers["same"] == len(both) == finding.num_samples


def test_it_is_critical_as_an_input_and_nothing_to_a_run_without_it(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("DELETE FROM feature WHERE name = 'birth_year'")
    take_recruitment_age(clean)
    assert only_alarm(audit_catalog(clean, DICTIONARY, target="sex", shown=["age"])).code == "recruitment-age"
    assert alarms(audit_catalog(clean, DICTIONARY, target="sex", shown=["weight"])) == []


def test_a_few_who_were_scanned_at_once_are_no_finding(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("DELETE FROM feature WHERE name = 'birth_year'")
    take_recruitment_age(clean, share=0.8)
    assert alarms(audit_catalog(clean, DICTIONARY)) == []


def test_a_cohort_recruited_at_the_scan_is_no_finding(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("DELETE FROM feature WHERE name = 'birth_year'")
    take_recruitment_age(clean)
    clean.execute("UPDATE feature SET days_from_scan = -200 WHERE name = 'recruitment_age'")
    assert alarms(audit_catalog(clean, DICTIONARY)) == []


@pytest.mark.parametrize("name", ["age", "age_mri", "brain_age"])
def test_a_definition_that_takes_the_wrong_field_is_critical(name: str) -> None:
    wrong = dataclasses.replace(DICTIONARY["age"], field=21022, policy="earliest", block="")
    dictionary = {**DICTIONARY, name: wrong}
    with clean_catalog(dictionary={**DICTIONARY, name: DICTIONARY["age"]}) as connection:
        finding = only_alarm(audit_catalog(connection, dictionary))
    assert (finding.code, finding.severity, finding.subject) == ("recruitment-age", "critical", name)
    assert "field 21022" in finding.message


def test_values_of_the_wrong_field_are_critical_whatever_the_definition_says(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("UPDATE feature SET field = 21022 WHERE name = 'age' AND row < 50")
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert (finding.code, finding.severity) == ("recruitment-age", "critical")
    assert finding.num_samples == finding.numbers["of_field_21022"] == sum(row < 50 for row in column(clean, "age"))


def test_the_age_at_recruitment_itself_may_be_a_target(clean: duckdb.DuckDBPyConnection) -> None:
    findings = audit_catalog(clean, DICTIONARY, target="recruitment_age")
    assert [finding.code for finding in alarms(findings)] == ["gives-target-away"], "the age at the scan does"


def test_ages_that_dates_and_years_of_birth_deny_are_critical(clean: duckdb.DuckDBPyConnection) -> None:
    replace_values(clean, "age", "feature.value - 4")
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert (finding.code, finding.severity, finding.subject) == ("age-against-birth-year", "critical", "age")
    judged = column(clean, "age").keys() & column(clean, "birth_year").keys() & column(clean, "scan_date").keys()
    assert finding.numbers["n"] == len(judged)
    assert finding.numbers["share"] == 1.0
    assert finding.numbers["median_years"] == pytest.approx(4, abs=0.5)


def test_one_mistyped_age_is_a_warning(clean: duckdb.DuckDBPyConnection) -> None:
    row = min(column(clean, "age").keys() & column(clean, "birth_year").keys() & column(clean, "scan_date").keys())
    replace_values(clean, "age", "feature.value + 10", f"feature.row = {row}")
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert (finding.code, finding.severity, finding.num_samples) == ("age-against-birth-year", "warning", 1)


@pytest.mark.parametrize("shift", [-0.5, 0.0, 0.5])
def test_ages_in_fractions_of_years_fit_too(shift: float, clean: duckdb.DuckDBPyConnection) -> None:
    replace_values(clean, "age", f"feature.value + {shift}")
    assert alarms(audit_catalog(clean, DICTIONARY)) == []
