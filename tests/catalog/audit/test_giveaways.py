from typing import Any

import duckdb
import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score

from catalog.audit.audit import audit_catalog
from catalog.audit.giveaways import _CORRELATION_SQL, _SEPARATION_SQL
from catalog.audit.scope import open_scope
from catalog.fields import load_dictionary, metadata_features
from tests.catalog.audit.clean import alarms, columns, only_alarm, replace_values

DICTIONARY = load_dictionary()
OTHER = "(SELECT any_value(o.value) FROM feature o WHERE o.name = '{}' AND o.row = feature.row)"


def make_of(connection: duckdb.DuckDBPyConnection, name: str, other: str, formula: str) -> None:
    """Make a feature out of another, where that has a value: ``x`` in the formula."""
    value = formula.replace("x", OTHER.format(other))
    replace_values(connection, name, f"coalesce({value}, feature.value)")


@pytest.mark.parametrize(("shown", "severity"), [([], "warning"), (["body_fat"], "critical"), (["sex"], "warning")])
def test_a_column_made_from_the_target_is_critical_where_the_model_sees_it(
    shown: list[str], severity: str, clean: duckdb.DuckDBPyConnection
) -> None:
    make_of(clean, "body_fat", "weight", "x / 8 + (feature.row % 7) / 4")
    finding = only_alarm(audit_catalog(clean, DICTIONARY, target="weight", shown=shown))
    assert (finding.code, finding.severity, finding.subject) == ("gives-target-away", severity, "body_fat")
    weight, body_fat = columns(clean, "weight", "body_fat")
    assert finding.numbers["target"] == "weight"
    assert finding.numbers["r"] == pytest.approx(pearsonr(weight, body_fat)[0], rel=1e-3)
    assert finding.num_samples == finding.numbers["n"] == len(weight)


def test_the_study_is_told_of_both_columns_of_a_pair(clean: duckdb.DuckDBPyConnection) -> None:
    make_of(clean, "body_fat", "weight", "60 - x / 8")
    found = alarms(audit_catalog(clean, DICTIONARY))
    assert [(f.code, f.severity, f.subject, f.numbers["target"]) for f in found] == [
        ("gives-target-away", "warning", "body_fat", "weight"),
        ("gives-target-away", "warning", "weight", "body_fat"),
    ]


def test_what_is_never_an_input_gives_nothing_away(clean: duckdb.DuckDBPyConnection) -> None:
    make_of(clean, "bmi", "weight", "x / 4")
    assert alarms(audit_catalog(clean, DICTIONARY, target="weight")) == []


@pytest.mark.parametrize("sign", [1, -1])
def test_a_column_that_separates_the_classes_is_told_by_its_auc(sign: int, clean: duckdb.DuckDBPyConnection) -> None:
    make_of(clean, "HDL", "sex", f"4 + {sign} * (x - 0.5) + ((feature.row * 7919) % 11) / 9")
    finding = only_alarm(audit_catalog(clean, DICTIONARY, target="sex", shown=["HDL"]))
    assert (finding.code, finding.severity, finding.subject) == ("gives-target-away", "critical", "HDL")
    sex, hdl = columns(clean, "sex", "HDL")
    auc = roc_auc_score(sex, sign * hdl)
    assert auc > 0.98
    assert finding.numbers["auc"] == pytest.approx(auc, abs=1e-4)
    assert finding.numbers["r"] == pytest.approx(pearsonr(sex, hdl)[0], abs=1e-4)


def test_a_column_that_only_cases_were_asked_for_gives_them_away(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute(
        "DELETE FROM feature WHERE name = 'smoking' AND row IN "
        "(SELECT row FROM feature WHERE name = 'asthma' AND value = 0)"
    )
    finding = only_alarm(audit_catalog(clean, DICTIONARY, target="asthma", shown=["sex"]))
    assert (finding.code, finding.severity) == ("missingness-gives-target-away", "warning")
    assert finding.subject == "smoking"
    assert finding.numbers["missing_of_0"] == 1.0
    asthma, _ = columns(clean, "asthma", "smoking")
    assert finding.numbers["missing_of_1"] == pytest.approx(
        1 - asthma.sum() / columns(clean, "asthma")[0].sum(), abs=1e-3
    )


def ask(connection: duckdb.DuckDBPyConnection, query: str, target: str, inputs: list[str]) -> dict[str, Any]:
    with open_scope(connection, DICTIONARY, target=None, shown=(), modalities=(), cohort=None) as scope:
        return {name: rest for name, *rest in scope.fetch(query, target=target, inputs=inputs)}


@pytest.mark.parametrize("target", ["sex", "hypertension", "lonely"])
def test_aucs_are_those_of_scikit_learn(target: str, clean: duckdb.DuckDBPyConnection) -> None:
    make_of(clean, "age", "sex", "floor(feature.value + 4 * x)")
    inputs = metadata_features(DICTIONARY, target)
    answers = ask(clean, _SEPARATION_SQL, target, inputs)
    [labels] = columns(clean, target)
    for name in inputs:
        truth, values = columns(clean, target, name)
        totals, counts, auc, r = answers[name]
        assert auc == pytest.approx(roc_auc_score(truth, values), abs=1e-12), name
        assert r == pytest.approx(pearsonr(truth, values)[0], abs=1e-9)
        assert totals == [np.sum(labels == 0), np.sum(labels == 1)]
        assert counts == [np.sum(truth == 0), np.sum(truth == 1)]


def test_correlations_are_those_of_scipy(clean: duckdb.DuckDBPyConnection) -> None:
    inputs = metadata_features(DICTIONARY, "weight")
    answers = ask(clean, _CORRELATION_SQL, "weight", inputs)
    for name in inputs:
        weight, values = columns(clean, "weight", name)
        assert answers[name] == [len(weight), pytest.approx(pearsonr(weight, values)[0], abs=1e-9)]


def test_a_column_that_nobody_has_or_that_is_constant_breaks_nothing(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("DELETE FROM feature WHERE name = 'smoking'")
    replace_values(clean, "worry", "1")
    codes = {finding.code for finding in alarms(audit_catalog(clean, DICTIONARY))}
    assert codes == {"constant-column"}
