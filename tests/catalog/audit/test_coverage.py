import duckdb
import pytest

from catalog.audit.audit import audit_catalog
from catalog.fields import load_dictionary
from tests.catalog.audit.clean import NUM_PARTICIPANTS, alarms, only_alarm

DICTIONARY = load_dictionary()


def add_table(connection: duckdb.DuckDBPyConnection, num_imaged: int) -> None:
    """Let a table have been read that names 502,000 participants and some of those with images."""
    known = {"name": "'ukb.csv'", "num_participants": "502000", "num_imaged": str(num_imaged)}
    names = [name for name, *_ in connection.execute("DESCRIBE feature_table").fetchall()]
    values = ", ".join(known.get(name, "0") for name in names)
    connection.execute(f"INSERT INTO feature_table ({', '.join(names)}) VALUES ({values})")


@pytest.mark.parametrize(
    ("num_imaged", "severity"),
    [(0, "critical"), (1, "warning"), (NUM_PARTICIPANTS // 2 - 1, "warning"), (NUM_PARTICIPANTS // 2, None)],
)
def test_a_table_of_other_people_is_told(
    num_imaged: int, severity: str | None, clean: duckdb.DuckDBPyConnection
) -> None:
    add_table(clean, NUM_PARTICIPANTS)
    add_table(clean, num_imaged)
    findings = audit_catalog(clean, DICTIONARY)
    if severity is None:
        assert alarms(findings) == []
        return
    finding = only_alarm(findings)
    assert (finding.code, finding.severity, finding.subject) == ("table-mismatch", severity, "ukb.csv")
    assert finding.numbers == {
        "named": 502000,
        "imaged": num_imaged,
        "participants": NUM_PARTICIPANTS,
        "share": pytest.approx(num_imaged / NUM_PARTICIPANTS, rel=1e-3),
    }
    assert finding.num_samples == NUM_PARTICIPANTS - num_imaged


def test_tables_are_no_matter_of_a_run(clean: duckdb.DuckDBPyConnection) -> None:
    add_table(clean, 0)
    assert alarms(audit_catalog(clean, DICTIONARY, target="age")) == []
