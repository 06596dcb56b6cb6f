from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from catalog.identity import participant_key, sample_id, split_of

SALT = "salt-of-the-test-study"
salts = st.text(alphabet="0123456789abcdef", min_size=16, max_size=32)
eids = st.integers(1_000_000, 9_999_999)
instances = st.sampled_from([2, 3])


def test_identities_are_the_same_for_ever() -> None:
    assert sample_id(SALT, 1000223, 2) == "7405f8fb93f368df"
    assert split_of(SALT, 1000223, val=0.1, test=0.1) == "train"


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


@pytest.mark.parametrize(("val", "test"), [(0.1, 0.1), (0.25, 0.05)])
def test_split_shares_approach_the_ratios_over_20000_eids(val: float, test: float) -> None:
    counts = Counter(split_of(SALT, eid, val=val, test=test) for eid in range(1_000_000, 1_020_000))
    # Four standard deviations of a share of 20,000 are below 0.0125.
    assert counts["val"] / 20_000 == pytest.approx(val, abs=0.0125)
    assert counts["test"] / 20_000 == pytest.approx(test, abs=0.0125)
    assert sum(counts.values()) == 20_000
    assert set(counts) == {"train", "val", "test"}


def test_splits_of_two_studies_are_independent() -> None:
    one, other = (
        {eid for eid in range(1_000_000, 1_010_000) if split_of(salt, eid, val=0.1, test=0.1) == "test"}
        for salt in (SALT, "another-salt-of-16")
    )
    assert len(one & other) == pytest.approx(100, abs=45)


@given(salts, eids, st.floats(0.01, 0.4), st.floats(0.01, 0.2), st.floats(0.0, 0.2))
def test_a_larger_validation_share_moves_nobody_into_or_out_of_the_test_split(
    salt: str, eid: int, val: float, test: float, more: float
) -> None:
    before, after = (split_of(salt, eid, val=share, test=test) for share in (val, val + more))
    assert (before == "test") == (after == "test")
