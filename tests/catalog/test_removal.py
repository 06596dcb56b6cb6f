from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from catalog.database import open_catalog
from catalog.errors import CatalogError
from catalog.identity import participant_key
from catalog.removal import (
    count_entries,
    hidden_participants,
    hide_participants,
    participant_samples,
    remove_participants,
    require_same_salt,
)
from catalog.samples import enrol
from catalog.scans import record_outcomes, record_sources
from mmbase.records import ScanCandidate, ScanOutcome, Visit

SALT = "salt-of-the-test-study"
PEOPLE = [Visit(eid, instance) for eid in range(1_000_001, 1_000_006) for instance in (2, 3)]
GONE = 1_000_003
KEY = participant_key(SALT, GONE)
TABLES = {
    "participant": "participant_key",
    "sample": "sample_id",
    "scan_source": "sample_id",
    "scan_outcome": "sample_id",
    "feature": "row, name",
    "kinship": "participant_key, relative_key",
    "similar_scan": "sample_id, other_sample_id",
}


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Any]:
    """Five people with two visits, and something of each in every table."""
    with open_catalog(tmp_path / "catalog.duckdb", writable=True) as connection:
        fill(connection)
        yield connection


def fill(connection: Any) -> None:
    samples = enrol(connection, PEOPLE, salt=SALT, val=0.25, test=0.25).samples
    candidates = [ScanCandidate(visit=v, modality="t1", path=Path(f"/in/{v.eid}_20252.zip")) for v in PEOPLE]
    record_sources(connection, samples, candidates, ["t1"])
    outcomes = [
        ScanOutcome(sample_id=s.sample_id, modality="t1", status="stored", reason="", detail="", measures={})
        for s in samples.values()
    ]
    record_outcomes(connection, outcomes)
    for sample in samples.values():
        connection.execute("INSERT INTO feature (row, name, value) VALUES (?, 'age', 60.5)", [sample.row])
    keys = sorted({sample.participant_key for sample in samples.values()})
    names = sorted(sample.sample_id for sample in samples.values())
    for one, other in pairwise(keys):
        connection.execute("INSERT INTO kinship VALUES (?, ?, 0.25)", [one, other])
    for one, other in pairwise(names):
        connection.execute("INSERT INTO similar_scan VALUES (?, ?, 't1', 0.99)", [one, other])


def content(connection: Any, table: str) -> set[tuple[Any, ...]]:
    return set(connection.execute(f"SELECT {TABLES[table]} FROM {table}").fetchall())


def names_and_rows(connection: Any) -> tuple[set[str], set[int]]:
    samples = participant_samples(connection, [KEY])
    return {name for _, name, _ in samples}, {row for _, _, row in samples}


def test_nothing_of_a_participant_is_left_and_everything_of_the_others(catalog: Any) -> None:
    names, rows = names_and_rows(catalog)
    theirs = {KEY, *names, *rows}
    before = {table: content(catalog, table) for table in TABLES}
    remove_participants(catalog, {KEY}, rows)
    for table in TABLES:
        expected = {entry for entry in before[table] if theirs.isdisjoint(entry)}
        assert len(expected) < len(before[table])
        assert content(catalog, table) == expected
    assert set(count_entries(catalog, {KEY}, rows).values()) == {0}


@pytest.mark.parametrize("by", ["key", "row"])
def test_a_participant_is_found_by_key_and_samples_by_row_too(catalog: Any, by: str) -> None:
    _, rows = names_and_rows(catalog)
    keys, rows = ({KEY}, set()) if by == "key" else (set(), rows)
    counts = count_entries(catalog, keys, rows)
    assert (counts["sample"], counts["scan_source"], counts["scan_outcome"], counts["feature"]) == (2, 2, 2, 2)
    assert (counts["participant"], counts["kinship"] > 0) == (int(by == "key"), by == "key")
    remove_participants(catalog, keys, rows)
    assert set(count_entries(catalog, keys, rows).values()) == {0}
    assert len(content(catalog, "sample")) == 8


def test_features_whose_sample_is_gone_already_are_found_by_their_row(catalog: Any) -> None:
    _, rows = names_and_rows(catalog)
    catalog.execute("DELETE FROM sample WHERE participant_key = ?", [KEY])
    assert count_entries(catalog, {KEY}, rows)["feature"] == 2
    remove_participants(catalog, {KEY}, rows)
    assert len(content(catalog, "feature")) == 8


def test_strangers_change_nothing(catalog: Any) -> None:
    before = {table: content(catalog, table) for table in TABLES}
    assert set(count_entries(catalog, {"nobody"}, {99}).values()) == {0}
    remove_participants(catalog, {"nobody"}, {99})
    assert {table: content(catalog, table) for table in TABLES} == before
    assert set(count_entries(catalog, set(), set()).values()) == {0}


def test_the_hidden_are_in_no_view_and_still_found_by_us(catalog: Any) -> None:
    names, rows = names_and_rows(catalog)
    hide_participants(catalog, {KEY, "unknown"})
    hide_participants(catalog, {KEY})
    assert hidden_participants(catalog) == {KEY, "unknown"}
    for view in ("samples", "splits", "scans", "features"):
        seen = {name for (name,) in catalog.execute(f"SELECT sample_id FROM {view}").fetchall()}
        assert seen and seen.isdisjoint(names)
    for view in ("relatives", "similar_scans"):
        pairs = catalog.execute(f"SELECT * FROM {view}").fetchall()
        assert pairs and names.isdisjoint(name for pair in pairs for name in pair)
    assert names_and_rows(catalog) == (names, rows) and len(rows) == 2


def test_a_file_that_is_written_anew_holds_none_of_what_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    with open_catalog(path, writable=True) as connection:
        fill(connection)
        names, rows = names_and_rows(connection)
    traces = [*map(str.encode, names), str(GONE).encode(), (GONE + 2**63).to_bytes(8, "big"), KEY.encode()]
    before = path.read_bytes()
    assert sum(trace in before for trace in traces) >= 4
    with open_catalog(path, writable=True, rewrite=True) as connection:
        remove_participants(connection, {KEY}, rows)
    assert not [trace for trace in traces if trace in path.read_bytes()]
    with open_catalog(path) as connection:
        assert len(content(connection, "participant")) == 4


def test_another_salt_is_refused_because_nobody_would_be_found(catalog: Any, tmp_path: Path) -> None:
    require_same_salt(catalog, SALT)
    with pytest.raises(CatalogError, match=r"would not match\. Put the old salt back") as caught:
        require_same_salt(catalog, "another-salt-of-a-study")
    assert "another-salt" not in str(caught.value)
    with open_catalog(tmp_path / "empty.duckdb", writable=True) as empty:
        require_same_salt(empty, SALT)


def test_no_table_that_names_people_is_left_out(catalog: Any) -> None:
    naming = catalog.execute(
        "SELECT DISTINCT table_name FROM duckdb_columns() JOIN duckdb_tables() USING (table_name) "
        "WHERE column_name IN ('eid', 'row', 'label') OR ends_with(column_name, 'sample_id') "
        "OR ends_with(column_name, '_key')"
    ).fetchall()
    assert {table for (table,) in naming} - {"withdrawn"} == count_entries(catalog, (), ()).keys() == TABLES.keys()
