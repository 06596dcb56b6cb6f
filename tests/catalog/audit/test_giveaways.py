import re
from typing import Any

import duckdb
import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score

from catalog.audit.audit import audit_catalog
from catalog.audit.pairs import correlations, fetch_drawn, presence, separations
from catalog.audit.scope import open_scope
from catalog.fields import load_dictionary, metadata_features
from tests.catalog.audit.clean import alarms, columns, only_alarm, replace_values

DICTIONARY = load_dictionary()
OTHER = "(SELECT any_value(o.value) FROM feature o WHERE o.name = '{}' AND o.row = feature.row)"


def make_of(connection: duckdb.DuckDBPyConnection, name: str, other: str, formula: str) -> None:
    """Make a feature out of another, where that has a value: ``x`` in the formula."""
    value = re.sub(r"\bx\b", OTHER.format(other), formula)
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


def ask(connection: duckdb.DuckDBPyConnection, compare: Any, targets: list[str], **bounds: float) -> dict[Any, Any]:
    with open_scope(connection, DICTIONARY, target=None, shown=(), modalities=(), cohort=None) as scope:
        drawn = fetch_drawn(scope, [*targets, *scope.inputs])
        rows = list(compare(drawn.of(targets), drawn.of(scope.inputs), **bounds))
    return {(target, name): rest for target, name, *rest in rows}


def test_aucs_are_those_of_scikit_learn(clean: duckdb.DuckDBPyConnection) -> None:
    make_of(clean, "age", "sex", "floor(feature.value + 4 * x)")
    targets = ["sex", "hypertension", "lonely"]
    answers = ask(clean, separations, targets, auc=0.0, r=0.0)
    assert answers.keys() == {(target, name) for target in targets for name in metadata_features(DICTIONARY, target)}
    for (target, name), (counts, auc, r) in answers.items():
        truth, values = columns(clean, target, name)
        assert auc == pytest.approx(roc_auc_score(truth, values), abs=1e-12), name
        assert r == pytest.approx(pearsonr(truth, values)[0], abs=1e-9)
        assert counts == [np.sum(truth == 0), np.sum(truth == 1)]


@pytest.mark.parametrize("lost", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("sign", [1, -1])
def test_no_column_with_so_high_an_auc_is_passed_over(lost: float, sign: int, clean: duckdb.DuckDBPyConnection) -> None:
    names = metadata_features(DICTIONARY, "sex")
    for number, name in enumerate(names):  # from no separation to a perfect one
        make_of(clean, name, "sex", f"x * {sign * number / len(names)} + (hash(feature.row || '{name}') % 1000) / 1000")
    clean.execute(f"DELETE FROM feature WHERE name = 'sex' AND value = 0 AND row % 100 < {100 * lost}")
    high = {}
    for name in names:
        truth, values = columns(clean, "sex", name)
        auc = roc_auc_score(truth, values)
        if max(auc, 1 - auc) >= 0.95:
            high["sex", name] = auc
    answers = ask(clean, separations, ["sex"], auc=0.95, r=1.1)
    assert 3 < len(high) <= len(answers) < len(names) or lost == 0.9
    assert {key: answers[key][1] for key in high} == pytest.approx(high)


def test_samples_without_the_target_hide_no_column_that_gives_it_away(clean: duckdb.DuckDBPyConnection) -> None:
    """Four in a hundred cases lie on the wrong side, and between them and the others are all who have no label."""
    clean.execute("DELETE FROM feature WHERE name = 'sex' AND row >= 200")
    rows = clean.execute("SELECT row, value FROM feature WHERE name = 'sex' ORDER BY value DESC, row").fetchall()
    replace_values(clean, "weight", "0")
    for place, (row, value) in enumerate(rows):
        replace_values(clean, "weight", str(-1000 if place < 4 else 1000 * (1 + value) + place), f"feature.row = {row}")
    auc = roc_auc_score(*columns(clean, "sex", "weight"))
    assert 0.95 <= auc < 0.98
    assert ask(clean, separations, ["sex"], auc=0.95, r=1.1)["sex", "weight"][1] == pytest.approx(auc)


def test_correlations_are_those_of_scipy(clean: duckdb.DuckDBPyConnection) -> None:
    answers = ask(clean, correlations, ["weight", "age"], least=0.0)
    assert {name for target, name in answers if target == "weight"} == set(metadata_features(DICTIONARY, "weight"))
    for (target, name), answer in answers.items():
        truth, values = columns(clean, target, name)
        assert answer == [len(truth), pytest.approx(pearsonr(truth, values)[0], abs=1e-9)]


def test_who_lacks_an_input_is_counted_by_class(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("DELETE FROM feature WHERE name = 'worry'")
    answers = ask(clean, presence, ["sex"])
    assert {name for _, name in answers} == set(metadata_features(DICTIONARY, "sex"))
    [sex] = columns(clean, "sex")
    for (_, name), (totals, counts) in answers.items():
        both = columns(clean, "sex", name)[0]
        assert totals == [np.sum(sex == 0), np.sum(sex == 1)]
        assert counts == [np.sum(both == 0), np.sum(both == 1)]


def test_a_column_that_nobody_has_or_that_is_constant_breaks_nothing(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("DELETE FROM feature WHERE name = 'smoking'")
    replace_values(clean, "worry", "1")
    codes = {finding.code for finding in alarms(audit_catalog(clean, DICTIONARY))}
    assert codes == {"constant-column"}


def test_a_pair_is_not_passed_over_for_a_value_far_off_that_only_one_of_the_two_has(
    clean: duckdb.DuckDBPyConnection,
) -> None:
    """Beside one value of 10^12, all others of the column seem to be the same."""
    make_of(clean, "body_fat", "weight", "x / 8")
    clean.execute(
        "DELETE FROM feature WHERE name = 'weight' AND row = (SELECT min(row) FROM feature WHERE name = 'body_fat')"
    )
    first = "feature.row = (SELECT min(o.row) FROM feature o WHERE o.name = 'body_fat')"
    replace_values(clean, "body_fat", "1e12", first)
    truth, values = columns(clean, "weight", "body_fat")
    answers = ask(clean, correlations, ["weight"], least=0.95)
    assert answers == {("weight", "body_fat"): [len(truth), pytest.approx(pearsonr(truth, values)[0], abs=1e-9)]}


def test_a_run_reads_possible_inputs_only_of_the_drawn_samples(
    clean: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.audit.scope.MAX_DRAWN", 100)
    with open_scope(clean, DICTIONARY, target="weight", shown=["sex"], modalities=(), cohort=None) as scope:
        judges = {"centre", "scan_date", "recruitment_age", "birth_year", "head_motion", "head_motion_t1"}
        values = {name for (name,) in scope.fetch("SELECT DISTINCT name FROM audit_value")}
        assert values == {"weight", "sex", *(judges & DICTIONARY.keys())}
        drawn = {name for (name,) in scope.fetch("SELECT DISTINCT name FROM audit_drawn")}
        assert drawn == values | {name for name, definition in DICTIONARY.items() if definition.block}
        assert scope.fetch("SELECT count(DISTINCT row) FROM audit_drawn") == [(100,)]
