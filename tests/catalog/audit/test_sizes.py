"""A fault of every kind, planted in studies of 1,000 to 100,000 participants: all are found, and nothing else."""

import tracemalloc
from collections.abc import Callable, Iterator

import duckdb
import polars as pl
import pytest

from catalog.audit.audit import audit_catalog
from catalog.audit.copied import find_copied_participants
from catalog.audit.reach import state_reach
from catalog.audit.scope import open_scope
from catalog.fields import load_dictionary
from catalog.statements import insert_frame
from tests.catalog.audit.clean import alarms, clean_catalog, replace_values

DICTIONARY = load_dictionary()
RESOLUTIONS = {
    **{"weight": 0.1, "body_fat": 0.1, "Hb": 0.01, "HDL": 0.001, "LDL": 0.001, "hba1c": 0.1, "reaction_time": 1.0},
    **{"bmi": 0.01, "haematocrit": 0.01, "head_size": 0.001, "head_motion": 0.001, "head_motion_t1": 0.01},
    **{"table_x": 0.01, "table_y": 0.01, "table_z": 0.01, "table_position": 0.01, "neuroticism": 1.0},
}
"""Last digits as UK Biobank has them."""
NUM_COPIES = 100
SIZES = [1_000, 10_000, pytest.param(100_000, marks=pytest.mark.slow)]
BYTES_PER_PARTICIPANT, BYTES_AT_LEAST = 4_000, 50_000_000
"""What a search for copies may take beside the catalogue."""
Connection = duckdb.DuckDBPyConnection


@pytest.fixture(scope="module", params=SIZES)
def sized(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A clean catalogue whose measurements have few digits."""
    with clean_catalog(num_participants=request.param) as connection:
        for name, resolution in RESOLUTIONS.items():
            replace_values(connection, name, f"round(value / {resolution}) * {resolution}")
        yield connection


@pytest.fixture
def planted(sized: Connection) -> Iterator[Connection]:
    """A catalogue to plant faults in; they are taken back."""
    sized.begin()
    yield sized
    sized.rollback()


def copy_rows(connection: Connection, num_copies: int, share: float = 1.0) -> set[tuple[str, str]]:
    """Give people the measurements of others, or a share of each one's; return the pairs of sample ids."""
    ids = connection.sql("SELECT row, sample_id FROM sample WHERE instance = 2 ORDER BY sample_id").pl()
    pairs = pl.DataFrame({"source": ids["row"][:num_copies], "copied": ids["row"][-num_copies:]})
    insert_frame(connection, "CREATE TEMP TABLE pair AS SELECT * FROM incoming", pairs)
    names = ", ".join(f"'{name}'" for name in RESOLUTIONS)
    connection.execute(
        f"UPDATE feature SET value = taken.value FROM feature taken, pair WHERE taken.row = pair.source "
        f"AND feature.row = pair.copied AND feature.name = taken.name AND feature.name IN ({names}) "
        f"AND hash(feature.row || feature.name) % 1000 < {1000 * share}"
    )
    connection.execute("DROP TABLE pair")
    return {
        tuple(sorted(pair)) for pair in zip(ids["sample_id"][:num_copies], ids["sample_id"][-num_copies:], strict=True)
    }


def divide_participant(connection: Connection) -> None:
    key = "(SELECT min(participant_key) FROM sample WHERE instance = 3 AND split = 'train')"
    connection.execute(f"UPDATE sample SET split = 'test' WHERE instance = 3 AND participant_key = {key}")


def relate(connection: Connection) -> None:
    keys = [
        f"(SELECT max(participant_key) FROM sample WHERE instance = 2 AND split = '{s}')" for s in ("train", "test")
    ]
    connection.execute(f"INSERT INTO kinship VALUES (least({', '.join(keys)}), greatest({', '.join(keys)}), 0.25)")


def store_one_scan_twice(connection: Connection) -> None:
    ids = [f"(SELECT max(sample_id) FROM sample WHERE split = '{split}')" for split in ("train", "test")]
    connection.execute(f"INSERT INTO similar_scan SELECT {ids[0]}, {ids[1]}, 't1', 1.0")


def reject_duplicates(connection: Connection) -> None:
    connection.execute(
        "UPDATE scan_outcome SET status = 'rejected', reason = 'duplicate' WHERE modality = 'flair' "
        "AND sample_id IN (SELECT sample_id FROM sample ORDER BY row LIMIT 2)"
    )


def values(name: str, value: str, where: str = "true") -> Callable[[Connection], None]:
    return lambda connection: replace_values(connection, name, value, where)


def lose(name: str, where: str) -> Callable[[Connection], None]:
    return lambda connection: connection.execute(
        f"DELETE FROM feature USING sample WHERE sample.row = feature.row AND name = '{name}' AND {where}"
    )


OF_OTHER = "coalesce((SELECT other.value FROM feature other WHERE other.row = feature.row AND other.name = '{}'), 0)"
FAULTS: dict[tuple[str, str], Callable[[Connection], object]] = {
    ("copied-participants", "tables"): lambda connection: copy_rows(connection, NUM_COPIES),
    ("participant-in-two-splits", "splits"): divide_participant,
    ("relatives-in-two-splits", "splits"): relate,
    ("identical-scans", "t1"): store_one_scan_twice,
    ("duplicate-scans", "flair"): reject_duplicates,
    ("age-against-birth-year", "age"): values("birth_year", "value - 9", "feature.row % 100 = 7"),
    ("label-of-another-visit", "head_size"): lambda connection: connection.execute(
        "UPDATE feature SET instance = 0 WHERE name = 'head_size' AND row = 5"
    ),
    ("impossible-values", "weight"): values("weight", "999", "feature.row = 3"),
    ("not-binary", "anxious"): values("anxious", "-3", "feature.row = 3"),
    ("constant-column", "lonely"): values("lonely", "0"),
    ("almost-constant-column", "table_z"): values("table_z", "7", "feature.row % 1000 > 0"),
    ("constant-in-training", "fed_up"): values("fed_up", "0", "split = 'train'"),
    ("gives-target-away", "hba1c"): values("hba1c", f"20 + {OF_OTHER.format('Hb')}"),
    ("missingness-gives-target-away", "sex"): lose(
        "sex", "feature.row IN (SELECT row FROM feature WHERE name = 'tense' AND value = 1)"
    ),
    ("missing-values", "table_x"): lose("table_x", "feature.row % 100 < 95"),
    ("class-imbalance", "guilty"): values("guilty", "feature.row % 20 = 0"),
    ("rare-class", "worry"): values("worry", "feature.row % 500 = 0"),
    ("split-shift", "bmi"): values("bmi", "value + 5", "split = 'test'"),
    ("split-missingness", "haematocrit"): lose("haematocrit", "split = 'test' AND feature.row % 3 = 0"),
    ("centre-confounded", "reaction_time"): values("reaction_time", f"value + 300 * ({OF_OTHER.format('centre')} % 4)"),
    ("target-follows-motion", "body_fat"): values("body_fat", f"value / 4 + {OF_OTHER.format('head_motion')}"),
}


def test_a_clean_study_of_any_size_raises_no_alarm(sized: Connection) -> None:
    assert alarms(audit_catalog(sized, DICTIONARY)) == []


def test_every_planted_fault_is_found_at_any_size(planted: Connection) -> None:
    for plant in FAULTS.values():
        plant(planted)
    found = {(finding.code, finding.subject) for finding in audit_catalog(planted, DICTIONARY)}
    assert FAULTS.keys() <= found, sorted(FAULTS.keys() - found)


@pytest.mark.parametrize("share", [1.0, 0.9])
def test_all_copied_participants_are_found_and_nobody_else(planted: Connection, share: float) -> None:
    pairs = copy_rows(planted, NUM_COPIES, share)
    findings = [f for f in audit_catalog(planted, DICTIONARY) if f.code == "copied-participants"]
    found = sum(int(finding.numbers["pairs"]) for finding in findings)
    assert found == len(pairs) if share == 1 else 0.95 * len(pairs) <= found <= len(pairs)
    assert all(float(finding.numbers["expected_by_chance"]) < 0.01 for finding in findings)
    assert all(tuple(sorted(str(f.numbers["example"]).split(" and "))) in pairs for f in findings)


def test_memory_grows_with_participants_and_not_with_their_pairs(planted: Connection) -> None:
    copy_rows(planted, NUM_COPIES)
    with open_scope(planted, DICTIONARY, target=None, shown=(), modalities=(), cohort=None) as scope:
        tracemalloc.start()
        assert list(find_copied_participants(scope))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < BYTES_AT_LEAST + BYTES_PER_PARTICIPANT * scope.num_samples


def test_what_can_be_found_is_stated_at_any_size(sized: Connection) -> None:
    with open_scope(sized, DICTIONARY, target=None, shown=(), modalities=(), cohort=None) as scope:
        reaches = state_reach(scope)
    told = {code: reach.finds for reach in reaches for code in reach.codes}
    assert {code for code, _ in FAULTS} <= told.keys()
    assert "at least 10 of the" in told["copied-participants"]
    assert all(told.values())
