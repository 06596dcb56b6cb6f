from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import CohortError
from catalog.splits.schemes import (
    Fold,
    LeaveOutCentre,
    SplitScheme,
    StudySplit,
    assign_splits,
    leave_relatives_out,
    parse_fold,
)

CENTRES = (11025.0, 11026.0, 11027.0)
people = st.integers(0, 15).map("{:02}".format)
rows = st.tuples(people, st.sampled_from([*CENTRES, None]))
"""Samples: a participant, who may have several, and a centre."""
kin = st.lists(st.tuples(people, people).filter(lambda pair: pair[0] != pair[1]), max_size=20)
schemes = st.sampled_from([StudySplit(), Fold(1, 3), Fold(3, 4), LeaveOutCentre(11025)])


def study_split(person: str) -> str:
    return ("train", "train", "val", "test")[int(person) % 4]


def frame(samples: list[tuple[str, float | None]]) -> pl.DataFrame:
    """One family is one person here: kinship is late, so relatives are in different splits and folds."""
    return pl.DataFrame(
        [(number, person, person, study_split(person), centre) for number, (person, centre) in enumerate(samples)],
        schema={
            "row": pl.Int64,
            "participant_key": pl.String,
            "founder": pl.String,
            "split": pl.String,
            "centre": pl.Float64,
        },
        orient="row",
    )


def select(scheme: SplitScheme, samples: pl.DataFrame, pairs: list[tuple[str, str]]) -> pl.DataFrame:
    return leave_relatives_out(assign_splits(scheme, samples), pairs)


def members(chosen: pl.DataFrame, split: str) -> set[str]:
    return set(chosen.filter(pl.col("left_out").is_null() & (pl.col("split") == split))["participant_key"])


some_samples = st.lists(rows, max_size=40).map(lambda samples: [("00", 11025.0), *samples])


@given(schemes, some_samples, kin)
def test_nobody_is_trained_or_validated_on_who_or_whose_relative_is_in_test(
    scheme: SplitScheme, samples: list[tuple[str, float | None]], pairs: list[tuple[str, str]]
) -> None:
    chosen = select(scheme, frame(samples), pairs)
    train, val, test = (members(chosen, split) for split in ("train", "val", "test"))
    assert train.isdisjoint(val | test) and val.isdisjoint(test)
    for one, other in [*pairs, *((other, one) for one, other in pairs)]:
        assert not (one in test and other in train | val)
        assert not (one in val and other in train)


@given(schemes, some_samples, kin)
def test_no_more_are_left_out_than_that_takes(
    scheme: SplitScheme, samples: list[tuple[str, float | None]], pairs: list[tuple[str, str]]
) -> None:
    chosen = select(scheme, frame(samples), pairs)
    val, test = (members(chosen, split) for split in ("val", "test"))
    near = {person: {person} for person in "".join(f"{number:02} " for number in range(16)).split()}
    for one, other in pairs:
        near[one].add(other)
        near[other].add(one)
    reasons = {
        "other-visit-in-test": lambda person: person in test,
        "relatives-in-test": lambda person: bool(near[person] & test) and person not in test,
        "other-visit-in-validation": lambda person: person in val,
        "relatives-in-validation": lambda person: bool(near[person] & val) and not near[person] & test,
    }
    for person, split, centre, reason in chosen.select("participant_key", "split", "centre", "left_out").iter_rows():
        if reason == "unknown-centre":
            assert isinstance(scheme, LeaveOutCentre) and centre is None
        elif reason is not None:
            assert split != "test" and reasons[reason](person)
            assert split == "train" or reason.endswith("in-test")


@given(schemes, some_samples, kin)
def test_samples_are_neither_lost_nor_doubled_and_all_others_keep_everything(
    scheme: SplitScheme, samples: list[tuple[str, float | None]], pairs: list[tuple[str, str]]
) -> None:
    before = frame(samples)
    after = select(scheme, before, pairs)
    assert after.drop("split", "left_out").equals(before.drop("split"))
    assert after["split"].is_in(["train", "val", "test"]).all()


@pytest.mark.parametrize("num_folds", [3, 5, 10])
def test_the_folds_test_everybody_once_validate_everybody_once_and_train_on_all_others(num_folds: int) -> None:
    samples = pl.DataFrame(
        {
            "participant_key": [f"{number // 2:04}" for number in range(1_000)],  # two visits each
            "founder": [f"{number // 4:04}" for number in range(1_000)],  # in families of two
            "split": "train",
        }
    )
    uses = Counter[tuple[str, str]]()
    tested, validated = {}, {}
    for number in range(1, num_folds + 1):
        assigned = assign_splits(Fold(number, num_folds), samples)
        assert assigned["left_out"].null_count() == 1_000
        uses.update(assigned.select("participant_key", "split").rows())
        tested[number], validated[number] = members(assigned, "test"), members(assigned, "val")
        assert assigned.group_by("participant_key").agg(pl.col("split").n_unique())["split"].max() == 1
        assert assigned.group_by("founder").agg(pl.col("split").n_unique())["split"].max() == 1
    assert all(validated[number] == tested[number % num_folds + 1] for number in tested)
    for person in samples["participant_key"].unique():
        assert [uses[person, split] for split in ("test", "val", "train")] == [2, 2, 2 * (num_folds - 2)]


@given(st.sets(st.integers(0, 500), min_size=1), st.sets(st.integers(0, 500)))
def test_those_who_come_later_change_nobodys_fold(before: set[int], more: set[int]) -> None:
    first, second = (
        {
            row["founder"]: row["split"]
            for row in assign_splits(Fold(2, 5), frame([(f"{n:03}", None) for n in sorted(who)])).iter_rows(named=True)
        }
        for who in (before, before | more)
    )
    assert first.items() <= second.items()


def test_leaving_a_centre_out_tests_on_all_of_it_and_on_nothing_else() -> None:
    samples = frame([("00", 11025.0), ("03", 11025.0), ("02", 11026.0), ("01", 11026.0), ("07", 11027.0), ("05", None)])
    chosen = select(LeaveOutCentre(11025), samples, [])
    assert chosen["split"].to_list()[:5] == ["test", "test", "val", "train", "train"]  # 07 was the study's test
    assert chosen["left_out"].to_list() == [None] * 5 + ["unknown-centre"]


def test_another_visit_of_whom_the_left_out_centre_scanned_is_left_out() -> None:
    samples = frame([("00", 11025.0), ("00", 11026.0), ("02", 11026.0), ("01", 11026.0), ("04", 11026.0)])
    chosen = select(LeaveOutCentre(11025), samples, [("00", "02"), ("02", "04")])
    assert chosen["left_out"].to_list() == [None, "other-visit-in-test", "relatives-in-test", None, None]


@pytest.mark.parametrize(
    ("samples", "said"),
    [([("00", 11026.0), ("01", 11025.0)], "those are of 11025, 11026"), ([("00", None)], "no centre is known")],
)
def test_a_centre_without_samples_is_refused_with_those_there_are(
    samples: list[tuple[str, float | None]], said: str
) -> None:
    with pytest.raises(CohortError, match=f"scanned at centre 11099; {said}"):
        assign_splits(LeaveOutCentre(11099), frame(samples))


@pytest.mark.parametrize("text", ["0/5", "6/5", "1/2", "1/1", "1/0"])
def test_folds_that_do_not_exist_are_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(CohortError, match=f"no fold {text}. Expected K/N with at least 3 folds"):
        parse_fold(text)


@pytest.mark.parametrize("text", ["", "2", "2/5/7", "a/b", "-1/5", "2.0/5", "²/5"])
def test_a_fold_written_otherwise_is_refused(text: str) -> None:
    with pytest.raises(CohortError, match="not written as expected: K/N"):
        parse_fold(text)


def test_schemes_say_what_they_are() -> None:
    names = [str(scheme) for scheme in (StudySplit(), parse_fold(" 2 / 5"), LeaveOutCentre(11025))]
    assert names == ["study", "fold-2/5", "without-centre-11025"]
