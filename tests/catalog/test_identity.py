from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from catalog.identity import fold_number, participant_key, sample_id, split_position

SALT = "salt-of-the-test-study"
salts = st.text(alphabet="0123456789abcdef", min_size=16, max_size=32)
eids = st.integers(1_000_000, 9_999_999)
instances = st.sampled_from([2, 3])


def test_identities_are_the_same_for_ever() -> None:
    assert sample_id(SALT, 1000223, 2) == "7405f8fb93f368df"
    assert split_position(SALT, 1000223) == pytest.approx(0.3212662059649587, abs=1e-15)
    assert [fold_number("7405f8fb93f368df", folds) for folds in (3, 5, 10)] == [2, 1, 9]


@given(salts, eids, instances)
def test_identities_are_stable_and_opaque(salt: str, eid: int, instance: int) -> None:
    first, again = (sample_id(salt, eid, instance) for _ in range(2))
    assert first == again
    assert len(first) == 16
    assert int(first, 16) >= 0
    assert first != participant_key(salt, eid)


@given(salts, salts, eids, instances)
def test_identities_differ_from_study_to_study(one: str, other: str, eid: int, instance: int) -> None:
    assume(one != other)
    assert sample_id(one, eid, instance) != sample_id(other, eid, instance)
    assert participant_key(one, eid) != participant_key(other, eid)


@given(salts, eids)
def test_visits_of_one_participant_have_different_sample_ids(salt: str, eid: int) -> None:
    assert sample_id(salt, eid, 2) != sample_id(salt, eid, 3)


def test_no_two_of_20000_participants_share_an_identity() -> None:
    assert len({sample_id(SALT, eid, i) for eid in range(1_000_000, 1_010_000) for i in (2, 3)}) == 20_000


def test_positions_of_20000_participants_are_evenly_spread() -> None:
    tenths = Counter(int(10 * split_position(SALT, eid)) for eid in range(1_000_000, 1_020_000))
    # Five standard deviations of a tenth of 20,000 are 212.
    assert set(tenths) == set(range(10))
    assert all(number == pytest.approx(2_000, abs=212) for number in tenths.values())


def test_positions_of_two_studies_are_independent() -> None:
    one, other = (
        {eid for eid in range(1_000_000, 1_010_000) if split_position(salt, eid) < 0.1}
        for salt in (SALT, "another-salt-of-16")
    )
    assert len(one & other) == pytest.approx(100, abs=45)


@pytest.mark.parametrize("num_folds", [3, 5, 10])
def test_folds_of_20000_participants_are_evenly_filled_and_independent_of_splits(num_folds: int) -> None:
    folds = {eid: fold_number(participant_key(SALT, eid), num_folds) for eid in range(1_000_000, 1_020_000)}
    tested = Counter(fold for eid, fold in folds.items() if split_position(SALT, eid) < 0.5)
    assert set(tested) == set(range(1, num_folds + 1))
    for fold, number in Counter(folds.values()).items():
        assert number == pytest.approx(20_000 / num_folds, abs=5 * (20_000 / num_folds) ** 0.5)
        assert tested[fold] / number == pytest.approx(0.5, abs=0.06)
