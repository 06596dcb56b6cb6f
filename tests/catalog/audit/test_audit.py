from pathlib import Path

import duckdb
import pytest

from catalog.audit.audit import audit_catalog
from catalog.database import open_catalog
from catalog.errors import UnknownTargetError
from catalog.fields import load_dictionary, metadata_features
from tests.catalog.audit.clean import ASSAYS, alarms, clean_catalog

DICTIONARY = load_dictionary()
TARGETS = [name for name, definition in DICTIONARY.items() if definition.target and definition.field not in ASSAYS]


@pytest.mark.parametrize("seed", range(4))
def test_a_clean_study_raises_no_alarm(seed: int) -> None:
    with clean_catalog(seed) as connection:
        findings = audit_catalog(connection, DICTIONARY)
    assert alarms(findings) == []
    assert findings, "and yet it tells something"


@pytest.mark.parametrize("target", TARGETS)
def test_a_clean_run_raises_no_alarm(target: str, clean: duckdb.DuckDBPyConnection) -> None:
    shown = metadata_features(DICTIONARY, target)
    assert alarms(audit_catalog(clean, DICTIONARY, target=target, shown=shown, modalities=["t1"])) == []


def test_a_handful_of_samples_raises_no_alarm() -> None:
    with clean_catalog() as connection:
        connection.execute("DELETE FROM sample WHERE row >= 12")
        assert alarms(audit_catalog(connection, DICTIONARY)) == []


def test_an_empty_study_has_nothing_to_tell(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("DELETE FROM sample")
    assert {finding.code for finding in audit_catalog(clean, DICTIONARY)} <= {"small-split"}


def test_an_unknown_target_is_refused(clean: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(UnknownTargetError, match="Did you mean age"):
        audit_catalog(clean, DICTIONARY, target="agee")


def test_a_snapshot_that_nobody_may_write_to_is_enough_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    with open_catalog(path, writable=True) as connection:
        connection.execute("INSERT INTO participant (participant_key, eid) VALUES ('k', 1000001)")
        connection.execute("INSERT INTO sample VALUES ('a', 'k', 2, 0, 'train')")
    with open_catalog(path) as connection:
        first = audit_catalog(connection, DICTIONARY)
        assert audit_catalog(connection, DICTIONARY) == first
        assert connection.execute("SELECT count(*) FROM duckdb_tables() WHERE temporary").fetchall() == [(0,)]


def test_findings_come_worst_first(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("UPDATE feature SET value = 1e6 WHERE name = 'weight' AND row = 0")
    clean.execute("UPDATE sample SET split = CASE instance WHEN 2 THEN 'train' ELSE 'test' END")
    severities = [finding.severity for finding in audit_catalog(clean, DICTIONARY)]
    assert severities[0] == "critical"
    assert severities == sorted(severities, key=["critical", "warning", "note"].index)
    assert set(severities) == {"critical", "warning", "note"}


def test_no_finding_names_an_eid(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("UPDATE sample SET split = CASE instance WHEN 2 THEN 'train' ELSE 'test' END")
    clean.execute(
        "INSERT INTO similar_scan SELECT a.sample_id, b.sample_id, 't1', 1 FROM sample a, sample b "
        "WHERE a.row = 1 AND b.row = 2"
    )
    told = repr(audit_catalog(clean, DICTIONARY))
    eids = [str(eid) for (eid,) in clean.execute("SELECT eid FROM participant").fetchall()]
    assert not any(eid in told for eid in eids)
