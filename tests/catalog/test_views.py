import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from catalog.database import open_catalog
from catalog.summary import summarise


@pytest.fixture
def database(study: Path) -> Iterator[Any]:
    """The study's catalogue as a user's script opens it: with duckdb alone."""
    with duckdb.connect(str(study / "catalog.duckdb"), read_only=True) as connection:
        yield connection


@pytest.mark.parametrize(
    ("view", "columns"),
    [
        ("samples", ["sample_id", "eid", "instance", "row"]),
        ("scans", ["sample_id", "modality", "status", "reason", "source"]),
        ("features", ["sample_id", "name", "value"]),
        ("splits", ["sample_id", "split"]),
        ("runs", ["run_id", "target", "inputs"]),
    ],
)
def test_each_public_view_has_the_columns_promised(database: Any, view: str, columns: list[str]) -> None:
    database.execute(f"SELECT {', '.join(columns)} FROM {view}")
    assert [column[0] for column in database.description] == columns
    assert view == "runs" or database.fetchone() is not None


def test_the_runs_view_has_every_metric_of_validation_and_test(database: Any) -> None:
    names = ("mae", "r2", "r", "balanced_accuracy", "auc", "f1", "precision", "recall")
    database.execute(f"SELECT {', '.join(f'{split}_{name}' for split in ('val', 'test') for name in names)} FROM runs")


def test_every_sample_has_one_split_and_one_scan_of_every_modality(database: Any) -> None:
    samples = {name for (name,) in database.execute("SELECT sample_id FROM samples").fetchall()}
    splits = dict(database.execute("SELECT sample_id, split FROM splits").fetchall())
    assert set(splits) == samples
    assert set(splits.values()) == {"train", "val", "test"}
    scans = database.execute("SELECT sample_id, modality, status, reason FROM scans").fetchall()
    assert Counter(scan[:2] for scan in scans) == Counter(
        (name, modality) for name in samples for modality in ("t1", "flair", "dwi", "connectivity")
    )
    assert {scan[2] for scan in scans} == {"stored", "rejected", "absent"}
    assert all(reason for _, _, status, reason in scans if status != "stored")
    assert not any(reason for _, _, status, reason in scans if status == "stored")


def test_stored_scans_are_those_of_the_receipts(database: Any, study: Path) -> None:
    lines = [json.loads(line) for line in (study / "receipts" / "scans.jsonl").read_text().splitlines()]
    receipts = {(r["sample_id"], r["modality"]): (r["status"], r["row"]) for r in lines if "modality" in r}
    stored = database.execute(
        "SELECT sample_id, modality, status, row FROM scans JOIN samples USING (sample_id) WHERE status <> 'absent'"
    ).fetchall()
    assert {(name, modality): rest for name, modality, *rest in stored} == {k: list(v) for k, v in receipts.items()}


def test_rows_are_unique_and_dense(database: Any) -> None:
    rows = [row for (row,) in database.execute("SELECT row FROM samples ORDER BY row").fetchall()]
    assert len(rows) == len(set(rows))
    withdrawn = database.execute("SELECT count(*) FROM withdrawn").fetchone()[0]
    assert withdrawn > 0
    assert rows == list(range(len(rows)))


def test_no_sample_has_a_feature_twice(database: Any) -> None:
    query = "SELECT count(*), count(DISTINCT (sample_id, name)), count(value) FROM features"
    total, distinct, valued = database.execute(query).fetchone()
    assert total == distinct == valued > 100


def test_the_summary_counts_what_the_views_hold(database: Any, study: Path) -> None:
    def pairs(query: str) -> dict[Any, Any]:
        return {tuple(key): number for *key, number in database.execute(query).fetchall()}

    with open_catalog(study / "catalog.duckdb") as connection:
        summary = summarise(connection)
    scans = pairs("SELECT modality, status, count(*) FROM scans GROUP BY ALL")
    assert {(m, s): n for m, counts in summary.scans.items() for s, n in counts.items() if n} == scans
    rejected = pairs("SELECT modality, reason, count(*) FROM scans WHERE status = 'rejected' GROUP BY ALL")
    assert {(m, r): n for m, counts in summary.rejected.items() for r, n in counts.items()} == rejected
    assert {(s,): n for s, n in summary.splits.items()} == pairs("SELECT split, count(*) FROM splits GROUP BY ALL")
    eids, samples = database.execute("SELECT count(DISTINCT eid), count(*) FROM samples").fetchone()
    assert (summary.participants, summary.samples) == (eids, samples)
    assert (summary.features,) == database.execute("SELECT count(DISTINCT name) FROM features").fetchone()
