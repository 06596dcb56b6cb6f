from itertools import combinations

import duckdb
import pytest

from catalog.audit.audit import audit_catalog
from catalog.audit.copied import MIN_COPIED
from catalog.fields import load_dictionary
from tests.catalog.audit.clean import alarms, column, only_alarm, replace_values

DICTIONARY = load_dictionary()


def sample_ids(connection: duckdb.DuckDBPyConnection, *splits: str) -> list[str]:
    """Return one sample for each of some splits, all of different participants."""
    ids = {
        split: connection.execute(
            "SELECT sample_id FROM sample WHERE split = ? AND participant_key NOT IN "
            "(SELECT participant_key FROM sample WHERE instance = 3) ORDER BY row LIMIT 9",
            [split],
        ).fetchall()
        for split in set(splits)
    }
    return [ids[split].pop()[0] for split in splits]


@pytest.mark.parametrize(("splits", "severity"), [(("train", "test"), "critical"), (("train", "train"), "warning")])
@pytest.mark.parametrize(("similarity", "code"), [(0.97, "similar-scans"), (1.0, "identical-scans")])
def test_scans_that_are_one_are_critical_across_splits(
    splits: tuple[str, str], severity: str, similarity: float, code: str, clean: duckdb.DuckDBPyConnection
) -> None:
    one, other = sample_ids(clean, *splits)
    clean.execute("INSERT INTO similar_scan VALUES (?, ?, 'flair', ?)", [one, other, similarity])
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert (finding.code, finding.severity, finding.subject) == (code, severity, "flair")
    assert finding.numbers == {
        "pairs": 1,
        "across_splits": int(splits[0] != splits[1]),
        "least_similarity": similarity,
        "most_similarity": similarity,
        "example": f"{one} and {other}",
    }
    assert finding.num_samples == 2
    run = {"target": "age", "shown": ["sex"]}
    assert only_alarm(audit_catalog(clean, DICTIONARY, modalities=["flair", "t1"], **run)).code == code
    assert alarms(audit_catalog(clean, DICTIONARY, modalities=["t1"], **run)) == [], "it does not read flair"


def test_a_group_of_one_scan_is_one_finding(clean: duckdb.DuckDBPyConnection) -> None:
    ids = sample_ids(clean, "train", "train", "train")
    rows = [[one, other, "t1", 0.98 + n / 1000] for n, (one, other) in enumerate(combinations(ids, 2))]
    clean.executemany("INSERT INTO similar_scan VALUES (?, ?, ?, ?)", rows)
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert (finding.num_samples, finding.numbers["pairs"]) == (3, 3)
    assert (finding.numbers["least_similarity"], finding.numbers["most_similarity"]) == (0.98, 0.982)


def test_scans_that_are_rejected_leak_nothing_and_are_told_as_duplicates(clean: duckdb.DuckDBPyConnection) -> None:
    one, other = sample_ids(clean, "train", "test")
    clean.execute("INSERT INTO similar_scan VALUES (?, ?, 't1', 1)", [one, other])
    clean.execute(
        "UPDATE scan_outcome SET status = 'rejected', reason = 'duplicate' "
        "WHERE modality = 't1' AND sample_id IN (?, ?)",
        [one, other],
    )
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert (finding.code, finding.severity, finding.subject) == ("duplicate-scans", "warning", "t1")
    assert finding.num_samples == finding.numbers["scans"] == 2
    assert alarms(audit_catalog(clean, DICTIONARY, target="age", modalities=["t1"])) == []


@pytest.mark.parametrize("rejected", [0, 1])
def test_a_pair_of_which_one_scan_is_rejected_leaks_nothing(rejected: int, clean: duckdb.DuckDBPyConnection) -> None:
    ids = sample_ids(clean, "train", "test")
    clean.execute("INSERT INTO similar_scan VALUES (?, ?, 't1', 1)", ids)
    clean.execute(
        "UPDATE scan_outcome SET status = 'rejected', reason = 'damaged' WHERE modality = 't1' AND sample_id = ?",
        [ids[rejected]],
    )
    assert alarms(audit_catalog(clean, DICTIONARY)) == []


def copy_measurements(connection: duckdb.DuckDBPyConnection, row: int, other_row: int, names: list[str]) -> int:
    """Give one sample another's values; return how many they then share."""
    values = [(name, column(connection, name).get(row)) for name in names]
    for name, value in values:
        replace_values(connection, name, str(value), f"feature.row = {other_row}") if value is not None else None
    return sum(value is not None and column(connection, name).get(other_row) == value for name, value in values)


MEASURED = [
    name
    for name, definition in DICTIONARY.items()
    if definition.kind == "continuous" and name not in ("age", "recruitment_age", "birth_year")
]


@pytest.mark.parametrize(("splits", "severity"), [(("train", "val"), "critical"), (("test", "test"), "warning")])
def test_a_copied_row_of_the_table_is_told(
    splits: tuple[str, str], severity: str, clean: duckdb.DuckDBPyConnection
) -> None:
    ids = sample_ids(clean, *splits)
    rows = [clean.execute("SELECT row FROM sample WHERE sample_id = ?", [name]).fetchall()[0][0] for name in ids]
    num_equal = copy_measurements(clean, *rows, MEASURED)
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert (finding.code, finding.severity) == ("copied-participants", severity)
    assert finding.num_samples == 2
    assert finding.numbers["pairs"] == 1
    assert finding.numbers["most_identical_values"] >= num_equal >= MIN_COPIED
    assert set(str(finding.numbers["example"]).split(" and ")) == set(ids)


def test_two_visits_of_one_participant_may_share_everything(clean: duckdb.DuckDBPyConnection) -> None:
    pair = "SELECT min(row), max(row) FROM sample GROUP BY participant_key HAVING count(*) = 2 LIMIT 1"
    row, other_row = clean.execute(pair).fetchall()[0]
    assert copy_measurements(clean, row, other_row, MEASURED) >= MIN_COPIED
    assert alarms(audit_catalog(clean, DICTIONARY)) == []


def test_a_few_equal_values_are_chance(clean: duckdb.DuckDBPyConnection) -> None:
    copy_measurements(clean, 0, 1, MEASURED[: MIN_COPIED - 1])
    assert alarms(audit_catalog(clean, DICTIONARY)) == []


def test_scores_that_everybody_shares_are_no_copies(clean: duckdb.DuckDBPyConnection) -> None:
    for name in MEASURED:
        low, high = DICTIONARY[name].plausible or (-3.0, 3.0)
        replace_values(clean, name, f"{low} + {(high - low) / 4} * (hash(feature.row || name) % 4)::INT")
    assert "copied-participants" not in {finding.code for finding in audit_catalog(clean, DICTIONARY)}


def test_whoever_withdrew_and_is_still_there_is_critical(clean: duckdb.DuckDBPyConnection) -> None:
    keys = ["key00000", "key00050", "key99999"]
    clean.execute("INSERT INTO withdrawn VALUES ('key00050')")
    [(num_samples,)] = clean.execute(
        "SELECT count(*) FROM sample WHERE participant_key IN ('key00000', 'key00050')"
    ).fetchall()
    finding = only_alarm(audit_catalog(clean, DICTIONARY, pending_withdrawals=keys))
    assert (finding.code, finding.severity) == ("withdrawn-participants", "critical")
    assert finding.numbers == {"participants": 2, "samples": num_samples}
    assert finding.num_samples == num_samples


def test_a_run_is_refused_only_where_a_withdrawn_participant_is_in_it(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("INSERT INTO withdrawn VALUES ('key00050')")
    run = {"target": "age", "modalities": ["t1"]}
    assert alarms(audit_catalog(clean, DICTIONARY, pending_withdrawals=["key00050"], **run)) == []
    finding = only_alarm(audit_catalog(clean, DICTIONARY, pending_withdrawals=["key00050", "key00051"], **run))
    assert (finding.code, finding.numbers["participants"]) == ("withdrawn-participants", 1)


def test_whoever_withdrew_and_is_gone_is_no_finding(clean: duckdb.DuckDBPyConnection) -> None:
    assert alarms(audit_catalog(clean, DICTIONARY, pending_withdrawals=["key99999"])) == []
