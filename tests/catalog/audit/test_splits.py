import duckdb
import numpy as np
import pytest

from catalog.audit.audit import audit_catalog
from catalog.audit.splits import MIN_HELD_OUT
from catalog.fields import load_dictionary
from tests.catalog.audit.clean import NUM_PARTICIPANTS, NUM_REPEATED, alarms, only_alarm, replace_values

DICTIONARY = load_dictionary()


def rows_of(connection: duckdb.DuckDBPyConnection, split: str) -> list[int]:
    return [
        row for (row,) in connection.execute("SELECT row FROM sample WHERE split = ? ORDER BY row", [split]).fetchall()
    ]


def test_a_participant_in_two_splits_is_critical(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute(
        "UPDATE sample SET split = 'test' WHERE instance = 3 AND participant_key IN "
        "(SELECT participant_key FROM sample WHERE split = 'train' AND instance = 3 ORDER BY row LIMIT 4)"
    )
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert (finding.code, finding.severity) == ("participant-in-two-splits", "critical")
    assert finding.numbers == {"participants": 4, "samples": 8}
    assert finding.num_samples == 8


def test_the_splits_of_a_run_count_not_those_of_the_study(clean: duckdb.DuckDBPyConnection) -> None:
    samples = clean.sql("SELECT sample_id, participant_key, instance, split FROM sample").pl()
    divided = samples.with_columns(split=samples["instance"].replace_strict({2: "train", 3: "test"}, default="train"))
    run = {"target": "age", "modalities": ["t1"]}
    assert alarms(audit_catalog(clean, DICTIONARY, cohort=samples, **run)) == []
    codes = {finding.code for finding in audit_catalog(clean, DICTIONARY, cohort=divided, **run)}
    assert "participant-in-two-splits" in codes
    whole = divided.filter(divided["split"] == "train")
    assert "participant-in-two-splits" not in {f.code for f in audit_catalog(clean, DICTIONARY, cohort=whole, **run)}


def test_relatives_in_two_splits_are_told_with_what_cohorts_lose(clean: duckdb.DuckDBPyConnection) -> None:
    once = "participant_key NOT IN (SELECT participant_key FROM sample WHERE instance = 3)"
    train, val, test = (
        [
            key
            for (key,) in clean.execute(
                f"SELECT participant_key FROM sample WHERE split = '{split}' AND {once}"
            ).fetchall()
        ]
        for split in ("train", "val", "test")
    )
    pairs = [(train[0], test[0]), (train[0], test[1]), (train[1], val[0]), (val[1], test[2]), (train[3], train[4])]
    clean.executemany("INSERT INTO kinship VALUES (least(?1, ?2), greatest(?1, ?2), 0.25)", pairs)
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert (finding.code, finding.severity) == ("relatives-in-two-splits", "warning")
    assert finding.numbers == {"pairs": 4, "training_left_out": 2, "validation_left_out": 1}
    assert finding.num_samples == 3


def test_relatives_in_one_split_are_no_finding(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("UPDATE sample SET split = 'train' WHERE participant_key IN ('key00000', 'key00001')")
    clean.execute("INSERT INTO kinship VALUES ('key00000', 'key00001', 0.25)")
    assert alarms(audit_catalog(clean, DICTIONARY)) == []


def test_a_held_out_split_with_few_values_of_the_target_is_told(clean: duckdb.DuckDBPyConnection) -> None:
    lost = rows_of(clean, "test")[MIN_HELD_OUT // 2 :]
    clean.execute("DELETE FROM sample WHERE row IN (SELECT unnest(?))", [lost])
    finding = only_alarm(audit_catalog(clean, DICTIONARY, target="age"))
    num_left = clean.execute(
        "SELECT count(*) FROM feature JOIN sample USING (row) WHERE split = 'test' AND name = 'age'"
    )
    assert (finding.code, finding.severity, finding.subject) == ("small-split", "warning", "test")
    assert finding.numbers["test"] == finding.num_samples == num_left.fetchall()[0][0]


def test_the_size_of_a_study_is_only_noted(clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute("DELETE FROM sample WHERE row IN (SELECT unnest(?))", [rows_of(clean, "val")[10:]])
    noted = [finding for finding in audit_catalog(clean, DICTIONARY) if finding.code == "small-split"]
    assert [(finding.subject, finding.severity, finding.num_samples) for finding in noted] == [("val", "note", 10)]


def test_another_distribution_in_test_is_told(clean: duckdb.DuckDBPyConnection) -> None:
    replace_values(clean, "reaction_time", "value + 600", "split = 'test'")
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    assert (finding.code, finding.severity, finding.subject) == ("split-shift", "warning", "reaction_time")
    values = {
        split: clean.sql(
            f"SELECT value FROM feature JOIN sample USING (row) WHERE name = 'reaction_time' AND split = '{split}'"
        ).fetchnumpy()["value"]
        for split in ("train", "test")
    }
    both = np.concatenate([values["train"], values["test"]])
    difference = values["test"].mean() - values["train"].mean()
    z = difference / both.std() / np.sqrt(1 / len(values["train"]) + 1 / len(values["test"]))
    assert finding.numbers["split"] == "test"
    assert finding.numbers["train_mean"] == pytest.approx(values["train"].mean(), rel=1e-3)
    assert finding.numbers["test_mean"] == pytest.approx(values["test"].mean(), rel=1e-3)
    assert finding.numbers["standardised_difference"] == pytest.approx(difference / both.std(), rel=1e-3)
    assert finding.numbers["z"] == pytest.approx(z, rel=1e-3)
    assert finding.num_samples == len(values["test"])


def test_a_shift_in_what_a_run_does_not_use_does_not_concern_it(clean: duckdb.DuckDBPyConnection) -> None:
    replace_values(clean, "reaction_time", "value + 600", "split = 'test'")
    assert alarms(audit_catalog(clean, DICTIONARY, target="age", shown=["sex", "weight"])) == []
    run = audit_catalog(clean, DICTIONARY, target="age", shown=["sex", "reaction_time"])
    assert only_alarm(run).subject == "reaction_time"


def test_values_that_only_validation_lacks_are_told(clean: duckdb.DuckDBPyConnection) -> None:
    before = clean.execute(
        "SELECT count(*) FROM feature JOIN sample USING (row) WHERE name = 'bmi' AND split = 'train'"
    )
    num_train = before.fetchall()[0][0]
    val = rows_of(clean, "val")
    clean.execute("DELETE FROM feature WHERE name = 'bmi' AND row IN (SELECT unnest(?))", [val[: len(val) // 2]])
    finding = only_alarm(audit_catalog(clean, DICTIONARY))
    num_val = clean.execute("SELECT count(*) FROM feature JOIN sample USING (row) WHERE name = 'bmi' AND split = 'val'")
    assert (finding.code, finding.severity, finding.subject) == ("split-missingness", "warning", "bmi")
    assert finding.numbers["split"] == "val"
    missing = 1 - num_val.fetchall()[0][0] / len(val)
    assert finding.numbers["val_missing"] == pytest.approx(missing, rel=1e-3)
    assert finding.numbers["train_missing"] == pytest.approx(1 - num_train / len(rows_of(clean, "train")), rel=1e-3)
    assert finding.num_samples == round(missing * len(val))


def test_the_clean_catalogue_has_what_these_tests_need(clean: duckdb.DuckDBPyConnection) -> None:
    sizes = {split: len(rows_of(clean, split)) for split in ("train", "val", "test")}
    assert sum(sizes.values()) == NUM_PARTICIPANTS + NUM_REPEATED
    assert min(sizes.values()) > 2 * MIN_HELD_OUT
