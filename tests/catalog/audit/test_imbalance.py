import duckdb
import pytest

from catalog.audit.audit import audit_catalog
from catalog.fields import load_dictionary
from tests.catalog.audit.clean import alarms, column, only_alarm, replace_values

DICTIONARY = load_dictionary()


def make_rare(connection: duckdb.DuckDBPyConnection, name: str, num_rare: int, *, rare: int = 1) -> None:
    """Let every so manieth answer be the rare one, so that the splits have equal shares."""
    rows = sorted(column(connection, name))
    chosen = ", ".join(str(rows[k * len(rows) // num_rare]) for k in range(num_rare))
    replace_values(connection, name, f"CASE WHEN feature.row IN ({chosen}) THEN {rare} ELSE {1 - rare} END")


@pytest.mark.parametrize(("num_rare", "code"), [(30, "class-imbalance"), (8, "rare-class"), (2, "rare-class")])
@pytest.mark.parametrize("rare", [0, 1])
@pytest.mark.parametrize("target", [None, "nervous"])
def test_a_rare_class_is_told_with_what_each_split_has(
    num_rare: int, code: str, rare: int, target: str | None, clean: duckdb.DuckDBPyConnection
) -> None:
    make_rare(clean, "nervous", num_rare, rare=rare)
    finding = only_alarm(audit_catalog(clean, DICTIONARY, target=target))
    assert (finding.code, finding.severity, finding.subject) == (code, "warning", "nervous")
    assert finding.numbers["rarer_class"] == rare
    assert finding.numbers["share"] == pytest.approx(num_rare / len(column(clean, "nervous")), rel=1e-3)
    counts = dict(
        clean.execute(
            "SELECT split, count(*) FROM feature JOIN sample USING (row) WHERE name = 'nervous' AND value = ? "
            "GROUP BY split",
            [rare],
        ).fetchall()
    )
    assert {split: finding.numbers[f"rarer_{split}"] for split in counts} == counts
    assert finding.num_samples == sum(counts.values()) == num_rare


def test_a_share_that_may_be_a_tenth_is_no_finding(clean: duckdb.DuckDBPyConnection) -> None:
    make_rare(clean, "nervous", 52)
    assert 52 / len(column(clean, "nervous")) < 0.1
    assert alarms(audit_catalog(clean, DICTIONARY)) == []
