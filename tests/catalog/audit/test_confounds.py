import duckdb
import numpy as np
import pytest
from scipy.stats import f_oneway, pearsonr
from scipy.stats.contingency import association, crosstab

from catalog.audit.audit import audit_catalog
from catalog.fields import load_dictionary
from tests.catalog.audit.clean import alarms, columns, only_alarm, replace_values

DICTIONARY = load_dictionary()
CENTRE = "(SELECT any_value(o.value) FROM feature o WHERE o.name = 'centre' AND o.row = feature.row)"


@pytest.mark.parametrize("target", [None, "reaction_time"])
def test_a_target_that_differs_between_centres_is_told(target: str | None, clean: duckdb.DuckDBPyConnection) -> None:
    replace_values(clean, "reaction_time", f"feature.value + 300 * coalesce({CENTRE} - 11025, 0)")
    finding = only_alarm(audit_catalog(clean, DICTIONARY, target=target))
    assert (finding.code, finding.severity, finding.subject) == ("centre-confounded", "warning", "reaction_time")
    values, centres = columns(clean, "reaction_time", "centre")
    groups = [values[centres == centre] for centre in np.unique(centres)]
    f = f_oneway(*groups).statistic
    omega_squared = (len(groups) - 1) * (f - 1) / ((len(groups) - 1) * (f - 1) + len(values))
    assert finding.numbers["omega_squared"] == pytest.approx(omega_squared, rel=1e-3)
    assert finding.numbers["centres"] == 4
    assert finding.num_samples == len(values)
    assert "11025" in finding.message
    assert "11028" in finding.message


def test_a_binary_target_that_differs_between_centres_is_told(clean: duckdb.DuckDBPyConnection) -> None:
    replace_values(clean, "worry", f"CASE WHEN {CENTRE} = 11027 THEN (feature.row % 5 > 0)::INT ELSE feature.value END")
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert (finding.code, finding.severity, finding.subject) == ("centre-confounded", "warning", "worry")
    values, centres = columns(clean, "worry", "centre")
    table = crosstab(values, centres).count
    assert finding.numbers["cramers_v"] == pytest.approx(association(table, method="cramer"), rel=1e-3)


def test_centres_of_a_few_people_are_passed_over(clean: duckdb.DuckDBPyConnection) -> None:
    replace_values(clean, "centre", "CASE WHEN feature.row < 8 THEN 11028 ELSE 11025 END")
    replace_values(clean, "reaction_time", "4900", "feature.row < 8")
    assert alarms(audit_catalog(clean, DICTIONARY)) == []


def test_a_study_of_one_centre_is_no_finding(clean: duckdb.DuckDBPyConnection) -> None:
    replace_values(clean, "centre", "11025")
    assert alarms(audit_catalog(clean, DICTIONARY)) == []


def test_a_target_that_follows_head_motion_is_noted(clean: duckdb.DuckDBPyConnection) -> None:
    motion = "(SELECT any_value(o.value) FROM feature o WHERE o.name = 'head_motion' AND o.row = feature.row)"
    replace_values(clean, "reaction_time", f"feature.value + coalesce({motion}, 10) * 80")
    findings = audit_catalog(clean, DICTIONARY, target="reaction_time")
    assert alarms(findings) == []
    [finding] = [finding for finding in findings if finding.code == "target-follows-motion"]
    assert (finding.severity, finding.subject) == ("note", "reaction_time")
    values, moved = columns(clean, "reaction_time", "head_motion")
    assert finding.numbers["r"] == pytest.approx(pearsonr(values, moved)[0], abs=1e-3)
    assert finding.numbers["motion"] == "head_motion"
