"""A catalogue in which nothing is wrong, made in memory, for tests that plant one fault each."""

from typing import Any

import duckdb
import numpy as np
import polars as pl

from catalog.audit.findings import Finding
from catalog.fields import Dictionary, FeatureDefinition, load_dictionary
from catalog.migrations import MIGRATIONS
from catalog.statements import insert_frame

NUM_PARTICIPANTS = 600
NUM_REPEATED = 20
FIRST_SCAN_DAY, DAYS_OF_SCANNING = 16_200, 3_000
ASSAYS = (30020, 30030, 30750, 30760, 30780)


def clean_catalog(
    seed: int = 0, dictionary: Dictionary | None = None, num_participants: int = NUM_PARTICIPANTS
) -> duckdb.DuckDBPyConnection:
    """Make a catalogue of participants, 20 of them with a repeat visit, and every feature of a dictionary."""
    connection = duckdb.connect(":memory:")
    for migration in MIGRATIONS:
        connection.execute(migration.sql)
    rng = np.random.default_rng(seed)
    samples = _samples(rng, num_participants)
    people = samples.unique("participant_key", maintain_order=True)
    insert_frame(connection, "INSERT INTO participant BY NAME SELECT participant_key, eid FROM incoming", people)
    insert_frame(
        connection,
        "INSERT INTO sample BY NAME SELECT sample_id, participant_key, instance, row, split FROM incoming",
        samples,
    )
    connection.execute("INSERT INTO modality VALUES ('t1'), ('flair')")
    connection.execute(
        "INSERT INTO scan_outcome BY NAME SELECT sample_id, modality, 'stored' AS status FROM sample, modality"
    )
    for name, definition in (dictionary or load_dictionary()).items():
        values = _values(rng, name, definition, samples)
        insert_frame(
            connection,
            "INSERT INTO feature BY NAME SELECT row, name, value, field, instance, days_from_scan FROM incoming",
            values.with_columns(name=pl.lit(name)).select(
                "row", "name", "value", "field", "instance", "days_from_scan"
            ),
        )
    return connection


def replace_values(connection: duckdb.DuckDBPyConnection, name: str, value: str, where: str = "true") -> None:
    """Set a feature's values by an SQL expression over feature and sample."""
    connection.execute(
        f"UPDATE feature SET value = {value} FROM sample WHERE sample.row = feature.row AND name = '{name}' AND {where}"
    )


def column(connection: duckdb.DuckDBPyConnection, name: str) -> dict[int, float]:
    """Return a feature's values by row."""
    return dict(connection.execute("SELECT row, value FROM feature WHERE name = ? ORDER BY row", [name]).fetchall())


def columns(connection: duckdb.DuckDBPyConnection, *names: str) -> Any:
    """Return the values of features in the rows that have all of them, one array each."""
    found = [column(connection, name) for name in names]
    rows = sorted(set.intersection(*(set(values) for values in found)))
    return [np.array([values[row] for row in rows]) for values in found]


def _samples(rng: np.random.Generator, num_participants: int) -> pl.DataFrame:
    people = [*range(num_participants), *range(NUM_REPEATED)]
    splits = rng.choice(["train", "val", "test"], num_participants, p=[0.7, 0.15, 0.15])
    hashes = rng.permutation(10**6)
    first_day = rng.integers(FIRST_SCAN_DAY, FIRST_SCAN_DAY + DAYS_OF_SCANNING, num_participants)
    is_repeat = np.arange(len(people)) >= num_participants
    return pl.DataFrame(
        {
            "sample_id": [f"{hashes[row]:016x}" for row in range(len(people))],
            "participant_key": [f"key{person:05d}" for person in people],
            "eid": [1_000_000 + person for person in people],
            "instance": np.where(is_repeat, 3, 2),
            "row": np.arange(len(people)),
            "split": splits[people],
            "scan_day": first_day[people] + np.where(is_repeat, 900, 0),
            "birth_day": rng.integers(-12_000, 1_000, num_participants)[people],
            "recruitment_day": first_day[people] - rng.integers(1500, 4000, num_participants)[people],
            "sex": rng.integers(0, 2, num_participants)[people],
        }
    )


def _values(rng: np.random.Generator, name: str, definition: FeatureDefinition, samples: pl.DataFrame) -> pl.DataFrame:
    """Draw a feature: of the scan's own visit, but of recruitment where the dictionary or the field says so."""
    n = samples.height
    is_early = definition.policy in ("earliest", "fixed") or definition.field in ASSAYS
    days = samples["recruitment_day"] - samples["scan_day"] if is_early else pl.Series([0] * n)
    values = pl.DataFrame(
        {
            "row": samples["row"],
            "value": _draw(rng, name, definition, samples).astype(float),
            "field": pl.Series([definition.fields[0]] * n),
            "instance": pl.Series([0] * n) if is_early else samples["instance"],
            "days_from_scan": days,
        }
    )
    return values.filter(pl.Series(rng.random(n) < 0.97))


def _draw(rng: np.random.Generator, name: str, definition: FeatureDefinition, samples: pl.DataFrame) -> Any:
    n = samples.height
    special = {
        "sex": samples["sex"],
        "age": ((samples["scan_day"] - samples["birth_day"]) / 365.25).floor(),
        "recruitment_age": ((samples["recruitment_day"] - samples["birth_day"]) / 365.25).floor(),
        "birth_year": (1970 + samples["birth_day"] / 365.25).floor(),
        "scan_date": samples["scan_day"],
    }
    if name in special:
        return special[name].to_numpy()
    match definition.kind:
        case "binary":
            return rng.random(n) < 0.3
        case "categorical":
            return rng.choice([11025, 11026, 11027, 11028], n)
        case _:
            low, high = definition.plausible or (-3.0, 3.0)
            middle, spread = (low + high) / 2, (high - low) / 12
            return np.clip(rng.normal(middle, spread, n), low, high).round(4)


def alarms(findings: list[Finding]) -> list[Finding]:
    """Return what is not a mere note."""
    return [finding for finding in findings if finding.severity != "note"]


def only_alarm(findings: list[Finding]) -> Finding:
    """Return the one finding that is not a note."""
    found = alarms(findings)
    assert [(finding.code, finding.subject) for finding in found] == [(found[0].code, found[0].subject)], found
    return found[0]
