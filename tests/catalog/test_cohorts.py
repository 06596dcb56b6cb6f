from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.cohorts import build_cohort, write_cohort
from catalog.database import open_catalog, open_scratch
from catalog.errors import CohortError, UnknownTargetError
from catalog.fields import load_dictionary
from catalog.samples import enrol
from catalog.scans import record_outcomes, record_sources
from catalog.splits.kinship import Relatives
from catalog.splits.schemes import Fold, LeaveOutCentre, SplitScheme, StudySplit
from mmbase.records import EnrolledSample, ScanOutcome, Visit

VISITS = [Visit(eid, 2) for eid in range(1_000_001, 1_000_061)]
UKB = load_dictionary()


@pytest.fixture
def samples(catalog: Any) -> list[EnrolledSample]:
    """60 enrolled samples in the order of rows: all have t1, every even row has flair."""
    samples = sorted(enrol(catalog, VISITS, salt="s" * 16, val=0.25, test=0.25).samples.values(), key=lambda s: s.row)
    record_sources(catalog, {}, [], ["t1", "flair"])
    record_outcomes(
        catalog,
        [
            ScanOutcome(sample_id=s.sample_id, modality=modality, status=status, reason="", detail="", measures={})
            for s in samples
            for modality, status in (("t1", "stored"), ("flair", "rejected" if s.row % 2 else "stored"))
        ],
    )
    return samples


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Any]:
    with open_catalog(tmp_path / "catalog.duckdb", writable=True) as connection:
        yield connection


def give(catalog: Any, name: str, values: dict[int, float]) -> None:
    catalog.executemany(
        "INSERT INTO feature (row, name, value) VALUES (?, ?, ?)", [[row, name, value] for row, value in values.items()]
    )


@pytest.fixture
def aged(catalog: Any, samples: list[EnrolledSample]) -> list[EnrolledSample]:
    """The samples, all but rows 0 and 1 with an age, rows below 30 with an LDL."""
    give(catalog, "age", {s.row: 50.0 + s.row for s in samples if s.row > 1})
    give(catalog, "LDL", {s.row: s.row / 10 for s in samples if s.row < 30})
    return samples


@pytest.mark.parametrize(
    ("modalities", "rows"),
    [([], range(2, 60)), (["t1"], range(2, 60)), (["flair"], range(2, 60, 2)), (["t1", "flair"], range(2, 60, 2))],
)
def test_a_cohort_has_exactly_the_complete_cases_in_the_order_of_rows(
    catalog: Any, aged: list[EnrolledSample], modalities: list[str], rows: range
) -> None:
    cohort = build_cohort(catalog, UKB, ["age"], modalities, []).frame
    assert cohort["row"].to_list() == list(rows)
    assert cohort["target"].to_list() == [50.0 + row for row in rows]
    expected = [(aged[row].sample_id, aged[row].split) for row in rows]
    assert cohort.select("sample_id", "split").rows() == expected


def test_a_missing_feature_is_null_and_drops_nobody(catalog: Any, aged: list[EnrolledSample]) -> None:
    cohort = build_cohort(catalog, UKB, ["age"], ["t1"], ["LDL", "Hb"]).frame
    assert cohort.columns == [
        *("sample_id", "row", "split", "target", "weight", "augmented"),
        *("participant", "group_sex", "group_age", "group_centre", "feature_LDL", "feature_Hb"),
    ]
    assert cohort["feature_LDL"].to_list() == [row / 10 if row < 30 else None for row in range(2, 60)]
    assert cohort["feature_Hb"].null_count() == cohort.height == 58


def test_visits_of_a_participant_share_a_number_within_the_cohort(catalog: Any, aged: list[EnrolledSample]) -> None:
    later = enrol(catalog, [Visit(visit.eid, 3) for visit in VISITS[::3]], salt="s" * 16, val=0.25, test=0.25).samples
    give(catalog, "age", {sample.row: 70.0 for sample in later.values() if sample.row >= 60})
    frame = build_cohort(catalog, UKB, ["age"], [], []).frame
    assert frame.height == 78
    key_of_row = {sample.row: sample.participant_key for sample in [*aged, *later.values()]}
    keys = [key_of_row[row] for row in frame["row"]]
    pairs = set(zip(keys, frame["participant"], strict=True))
    assert len(pairs) == len(set(keys)) == frame["participant"].n_unique()
    assert sorted(set(frame["participant"])) == list(range(len(set(keys))))


def test_groups_are_the_studys_own_features_unless_it_means_something_else_by_them(
    catalog: Any, aged: list[EnrolledSample]
) -> None:
    give(catalog, "sex", {row: float(row % 2) for row in range(50)})
    give(catalog, "centre", dict.fromkeys(range(10), 11025.0))
    frame = build_cohort(catalog, UKB, ["sex"], ["t1"], []).frame
    assert frame["group_sex"].to_list() == frame["target"].to_list() == [0.0, 1.0] * 25
    assert frame["group_age"].to_list() == [None, None, *(50.0 + row for row in range(2, 50))]
    assert frame["group_centre"].to_list() == [11025.0] * 10 + [None] * 40
    in_months = {**UKB, "age": replace(UKB["age"], unit="months")}
    other = build_cohort(catalog, in_months, ["sex"], ["t1"], []).frame
    assert other["group_age"].to_list() == [None] * 50 and other["group_sex"].to_list() == [0.0, 1.0] * 25


def test_a_cohort_file_names_no_eid(catalog: Any, aged: list[EnrolledSample], tmp_path: Path) -> None:
    path = tmp_path / "cohort.parquet"
    cohort = build_cohort(catalog, UKB, ["age"], ["t1"], ["LDL"]).frame
    write_cohort(cohort, path)
    read = pl.read_parquet(path)
    assert read.equals(cohort)
    assert "eid" not in read.columns
    numbers = {value for column in read.select(pl.selectors.numeric()) for value in column.drop_nulls()}
    assert numbers.isdisjoint(visit.eid for visit in VISITS)
    assert not any(str(visit.eid).encode() in path.read_bytes() for visit in VISITS)


def test_the_withdrawn_are_in_no_cohort(catalog: Any, aged: list[EnrolledSample]) -> None:
    gone = catalog.execute("SELECT eid FROM samples WHERE row = 10").fetchone()[0]
    enrol(catalog, VISITS, salt="s" * 16, val=0.25, test=0.25, withdrawn_eids=frozenset({gone}))
    assert build_cohort(catalog, UKB, ["age"], ["t1"], []).frame["row"].to_list() == [
        r for r in range(2, 60) if r != 10
    ]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_too_few_samples_of_a_split_are_refused(catalog: Any, samples: list[EnrolledSample], split: str) -> None:
    others = [s for s in samples if s.split != split]
    few = [s for s in samples if s.split == split][: 7 if split == "train" else 1]
    give(catalog, "age", {s.row: 60.0 for s in [*others, *few]})
    refused = rf"Only {len(few)} {split} samples have a value of age and t1 stored; at least {len(few) + 1}"
    with pytest.raises(CohortError, match=refused):
        build_cohort(catalog, UKB, ["age"], ["t1"], [])


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_one_class_alone_is_refused(catalog: Any, samples: list[EnrolledSample], split: str) -> None:
    give(catalog, "sex", {s.row: float(s.split != split and s.row % 2) for s in samples})
    with pytest.raises(CohortError, match=rf"All \d+ {split} samples .* have the same sex"):
        build_cohort(catalog, UKB, ["sex"], ["t1"], [])


def test_an_unknown_target_is_refused(catalog: Any, samples: list[EnrolledSample]) -> None:
    with pytest.raises(UnknownTargetError, match="Did you mean age"):
        build_cohort(catalog, UKB, ["agee"], ["t1"], [])


def relate(catalog: Any, *pairs: tuple[EnrolledSample, EnrolledSample]) -> None:
    """Let participants be relatives, now that they have their splits."""
    catalog.executemany(
        "INSERT INTO kinship VALUES (?, ?, 0.25)",
        [sorted((one.participant_key, other.participant_key)) for one, other in pairs],
    )


def of_split(samples: list[EnrolledSample], split: str) -> list[EnrolledSample]:
    return [sample for sample in samples if sample.split == split and sample.row > 1]


def test_relatives_of_those_held_out_are_left_out_and_counted(catalog: Any, aged: list[EnrolledSample]) -> None:
    train, val, test = (of_split(aged, split) for split in ("train", "val", "test"))
    relate(
        catalog, (train[0], test[0]), (test[1], val[0]), (val[1], train[1]), (train[2], train[3]), (val[0], train[4])
    )
    selection = build_cohort(catalog, UKB, ["age"], ["t1"], [])
    gone = {sample.row for sample in (train[0], val[0], train[1])}  # not train[4]: val[0] is not validated on
    assert selection.frame["row"].to_list() == [row for row in range(2, 60) if row not in gone]
    assert selection.left_out == {"relatives-in-test": 2, "relatives-in-validation": 1}


def test_relatives_whom_the_run_does_not_use_leave_nobody_out(catalog: Any, aged: list[EnrolledSample]) -> None:
    unused, train = aged[0], of_split(aged, "train")[0]  # the first has no age
    catalog.execute("UPDATE sample SET split = 'test' WHERE row = 0")
    relate(catalog, (unused, train))
    selection = build_cohort(catalog, UKB, ["age"], ["t1"], [])
    assert selection.frame.height == 58 and selection.left_out == {}


def test_augmented_copies_are_those_of_the_studys_own_training_split(catalog: Any, aged: list[EnrolledSample]) -> None:
    split_of_row = {sample.row: sample.split for sample in aged}
    for scheme in (StudySplit(), Fold(2, 3)):
        frame = build_cohort(catalog, UKB, ["age"], ["t1"], [], scheme).frame
        assert frame["augmented"].to_list() == [split_of_row[row] == "train" for row in frame["row"]]
    assert not (frame["augmented"] == (frame["split"] == "train")).all()


def test_folds_keep_families_whole_and_are_the_same_for_every_target(catalog: Any, aged: list[EnrolledSample]) -> None:
    give(catalog, "weight", dict.fromkeys(range(20, 60), 70.0))
    relate(catalog, *zip(aged[0:40:2], aged[1:40:2], strict=True))
    tested = list[int]()
    for number in (1, 2, 3):
        by_target = {}
        for target in ("age", "weight"):
            selection = build_cohort(catalog, UKB, [target], [], [], Fold(number, 3))
            assert selection.left_out == {}
            by_target[target] = dict(selection.frame.select("row", "split").rows())
        assert by_target["weight"].items() <= by_target["age"].items()
        assert all(by_target["age"][row] == by_target["age"][row + 1] for row in range(2, 40, 2))
        tested += [row for row, split in by_target["age"].items() if split == "test"]
    assert sorted(tested) == list(range(2, 60))


def test_a_cohort_that_leaves_a_centre_out_tests_on_it_and_counts_whose_centre_is_unknown(
    catalog: Any, aged: list[EnrolledSample]
) -> None:
    centres = {row: 11025.0 + row % 2 for row in range(2, 50)}
    give(catalog, "centre", centres)
    train = [sample for sample in of_split(aged, "train") if centres.get(sample.row) == 11025]
    tested = [sample for sample in of_split(aged, "train") if centres.get(sample.row) == 11026]
    relate(catalog, (train[0], tested[0]))
    selection = build_cohort(catalog, UKB, ["age"], ["t1"], ["LDL"], LeaveOutCentre(11026))
    assert selection.left_out == {"unknown-centre": 10, "relatives-in-test": 1}
    split_of_row = {s.row: "val" if s.split == "val" else "train" for s in aged}
    for row, split in selection.frame.select("row", "split").rows():
        assert split == ("test" if centres[row] == 11026 else split_of_row[row])
    assert selection.frame.height == 47
    with pytest.raises(CohortError, match=r"No sample that .* scanned at centre 11028; those are of 11025, 11026\."):
        build_cohort(catalog, UKB, ["age"], ["t1"], [], LeaveOutCentre(11028))


def test_relatives_who_come_later_change_nobodys_fold(catalog: Any, aged: list[EnrolledSample]) -> None:
    before = dict(build_cohort(catalog, UKB, ["age"], [], [], Fold(1, 3)).frame.select("row", "split").rows())
    relatives = [Relatives(visit.eid, visit.eid + 1_000, 0.25) for visit in VISITS]
    more = [Visit(pair.relative_eid, 2) for pair in relatives]
    samples = enrol(catalog, more, salt="s" * 16, val=0.25, test=0.25, kinship=relatives).samples
    give(catalog, "age", {samples[visit].row: 60.0 for visit in more})
    after = dict(build_cohort(catalog, UKB, ["age"], [], [], Fold(1, 3)).frame.select("row", "split").rows())
    assert before.items() <= after.items()
    for pair in relatives:
        row, relative_row = (samples[Visit(eid, 2)].row for eid in (pair.eid, pair.relative_eid))
        assert row < 2 or after[row] == after[relative_row]


def test_a_refusal_says_who_was_left_out(catalog: Any, aged: list[EnrolledSample]) -> None:
    val, tested = of_split(aged, "val"), of_split(aged, "test")[0]
    relate(catalog, *((sample, tested) for sample in val))
    told = rf"Only 0 val samples have a value of age and t1 stored \(left out: {len(val)} relatives-in-test\)"
    with pytest.raises(CohortError, match=told):
        build_cohort(catalog, UKB, ["age"], ["t1"], [])


eids = st.integers(1_000_001, 1_000_060)
pairs_of_eids = st.lists(st.tuples(eids, eids).filter(lambda pair: pair[0] != pair[1]), max_size=12)


@settings(max_examples=20, deadline=None)
@given(pairs_of_eids, st.booleans(), st.sampled_from([StudySplit(), Fold(1, 3), LeaveOutCentre(11025)]))
def test_no_relative_of_whom_is_held_out_is_trained_on_whenever_kinship_was_given(
    pairs: list[tuple[int, int]], is_late: bool, scheme: SplitScheme
) -> None:
    visits = [Visit(eid, instance) for eid in range(1_000_001, 1_000_061) for instance in (2, 3)]
    kinship = [Relatives(*pair, 0.25) for pair in pairs]
    with open_scratch(Path("no-such-catalogue")) as catalog:
        if is_late:
            enrol(catalog, visits[::2], salt="s" * 16, val=0.25, test=0.25)
        enrol(catalog, visits, salt="s" * 16, val=0.25, test=0.25, kinship=kinship)
        for name, value in (("age", "60 + random()"), ("centre", "11025 + row % 4")):
            catalog.execute(f"INSERT INTO feature (row, name, value) SELECT row, '{name}', {value} FROM sample")
        selection = build_cohort(catalog, UKB, ["age"], [], [], scheme)
        eid_of_row = dict(catalog.execute("SELECT row, eid FROM samples").fetchall())
    assert selection.frame.height + sum(selection.left_out.values()) == len(visits)
    groups = {
        split: {eid_of_row[row] for row in selection.frame.filter(pl.col("split") == split)["row"]}
        for split in ("train", "val", "test")
    }
    assert groups["train"].isdisjoint(groups["val"] | groups["test"]) and groups["val"].isdisjoint(groups["test"])
    for one, other in [*pairs, *((other, one) for one, other in pairs)]:
        assert not (one in groups["test"] and other in groups["train"] | groups["val"])
        assert not (one in groups["val"] and other in groups["train"])


def test_a_cohort_of_several_targets_has_whoever_has_one_of_them(catalog: Any, aged: list[EnrolledSample]) -> None:
    frame = build_cohort(catalog, UKB, ["age", "LDL"], ["t1"], ["Hb"]).frame
    assert frame.columns == [
        *("sample_id", "row", "split", "target_age", "target_LDL", "weight", "augmented"),
        *("participant", "group_sex", "group_age", "group_centre", "feature_Hb"),
    ]
    assert frame["row"].to_list() == list(range(60))
    assert frame["target_age"].to_list() == [None, None, *(50.0 + row for row in range(2, 60))]
    assert frame["target_LDL"].to_list() == [row / 10 if row < 30 else None for row in range(60)]
    with_flair = build_cohort(catalog, UKB, ["LDL", "age"], ["t1", "flair"], []).frame
    assert with_flair["row"].to_list() == list(range(0, 60, 2))
    alone = build_cohort(catalog, UKB, ["age"], ["t1"], []).frame
    both = frame.filter(pl.col("target_age").is_not_null()).select(
        "sample_id", "row", "split", "weight", "augmented", "group_age", target="target_age"
    )
    assert both.select(alone.select(both.columns).columns).equals(alone.select(both.columns))


def test_a_value_of_zero_is_a_value(catalog: Any, aged: list[EnrolledSample]) -> None:
    give(catalog, "sex", {s.row: float(s.row % 2) for s in aged})
    assert build_cohort(catalog, UKB, ["sex"], ["t1"], []).frame["target"].to_list() == [0.0, 1.0] * 30


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_one_of_several_targets_needs_enough_samples_and_both_classes(
    catalog: Any, aged: list[EnrolledSample], split: str
) -> None:
    few = of_split(aged, split)[: 7 if split == "train" else 1]
    give(catalog, "Hb", {s.row: 14.0 for s in [*few, *(s for s in aged if s.split != split)]})
    with pytest.raises(CohortError, match=rf"Only {len(few)} {split} samples have a value of Hb and t1 stored"):
        build_cohort(catalog, UKB, ["age", "Hb"], ["t1"], [])
    give(catalog, "sex", {s.row: float(s.split != split and s.row % 2) for s in aged})
    with pytest.raises(CohortError, match=rf"All \d+ {split} samples .* have the same sex"):
        build_cohort(catalog, UKB, ["age", "sex"], ["t1"], [])


def test_an_unknown_one_of_several_targets_is_refused(catalog: Any, aged: list[EnrolledSample]) -> None:
    with pytest.raises(UnknownTargetError, match="Did you mean sex"):
        build_cohort(catalog, UKB, ["age", "sexx"], ["t1"], [])


def test_a_data_size_takes_training_samples_alone_and_a_smaller_one_takes_some_of_them(
    catalog: Any, aged: list[EnrolledSample]
) -> None:
    whole = build_cohort(catalog, UKB, ["age"], ["t1"], []).frame
    training = whole.filter(split="train")["row"].to_list()
    taken = [build_cohort(catalog, UKB, ["age"], ["t1"], [], data_size=size) for size in (8, 12, len(training))]
    rows = [selection.frame.filter(split="train")["row"].to_list() for selection in taken]
    assert [len(of_size) for of_size in rows] == [8, 12, len(training)] and rows[2] == training
    assert set(rows[0]) < set(rows[1]) < set(rows[2])
    ids = whole.filter(split="train").sort("sample_id")["row"]
    assert rows[0] == sorted(ids[:8])  # of keyed hashes: whoever was ingested first does not come first
    held_out = [frame.filter(pl.col("split") != "train").drop("participant") for frame in (whole, taken[0].frame)]
    assert held_out[0].equals(held_out[1])
    assert taken[0].left_out == {"beyond-data-size": len(training) - 8} and taken[2].left_out == {}


@pytest.mark.parametrize(
    ("size", "expected"), [(7, "at least 8 training samples"), (61, r"and \d+ training samples have all that the run")]
)
def test_a_data_size_that_cannot_be_had_is_refused(
    catalog: Any, aged: list[EnrolledSample], size: int, expected: str
) -> None:
    with pytest.raises(CohortError, match=expected):
        build_cohort(catalog, UKB, ["age"], ["t1"], [], data_size=size)
