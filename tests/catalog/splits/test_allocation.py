from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.splits.allocation import Newcomer, Shares, allocate, fix_test_list
from catalog.splits.kinship import find_families
from mmbase.names import SPLITS
from mmbase.records import NOT_TEST

SHARES = Shares(val=0.1, test=0.1)
KEYS = [f"{number:03}" for number in range(60)]
keys = st.sampled_from(KEYS)
some_shares = st.builds(Shares, val=st.floats(0.02, 0.45), test=st.floats(0.02, 0.45))
kin = st.lists(st.tuples(keys, keys), max_size=40).map(lambda pairs: [pair for pair in pairs if pair[0] != pair[1]])
waves = st.lists(st.sets(keys), min_size=1, max_size=4)
"""Who comes, ingest after ingest."""


def position(key: str) -> float:
    return Random(key).random()


def come(who: Sequence[str], fixed: Mapping[str, str] | None = None) -> list[Newcomer]:
    return [Newcomer(key=key, position=position(key), fixed=(fixed or {}).get(key)) for key in who]


def strata_of(who: Sequence[str], number: int) -> dict[str, str]:
    return {key: str(Random(f"stratum of {key}").randrange(number)) for key in who}


def distances(shares: Shares, splits: Mapping[str, str], strata: Mapping[str, str]) -> dict[tuple[str, str], float]:
    """How far each split of each stratum is from its share, in participants."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for key, split in splits.items():
        counts[strata[key]][split] += 1
    share = {"train": 1 - shares.val - shares.test, "val": shares.val, "test": shares.test}
    return {
        (stratum, split): abs(found[split] - share[split] * found.total())
        for stratum, found in counts.items()
        for split in SPLITS
    }


@given(some_shares, kin, waves, st.none() | st.integers(1, 5))
def test_everybody_gets_one_split_and_keeps_it_whoever_comes_later(
    shares: Shares, pairs: list[tuple[str, str]], comers: list[set[str]], num_strata: int | None
) -> None:
    strata = None if num_strata is None else strata_of(KEYS, num_strata)
    settled: dict[str, str] = {}
    for wave in comers:
        new = come(sorted(wave - settled.keys()))
        added = allocate(new, shares, settled=settled, families=find_families(pairs), strata=strata)
        assert added.keys() == {one.key for one in new}
        assert set(added.values()) <= set(SPLITS)
        settled |= added
    assert settled.keys() == set.union(*comers)


@given(some_shares, kin, waves, st.none() | st.integers(1, 5))
def test_families_are_whole_however_their_members_come(
    shares: Shares, pairs: list[tuple[str, str]], comers: list[set[str]], num_strata: int | None
) -> None:
    strata = None if num_strata is None else strata_of(KEYS, num_strata)
    families, settled = find_families(pairs), dict[str, str]()
    for wave in comers:
        new = come(sorted(wave - settled.keys()))
        settled |= allocate(new, shares, settled=settled, families=families, strata=strata)
    assert all(settled[one] == settled[other] for one, other in pairs if one in settled and other in settled)


@given(some_shares, kin, st.permutations(KEYS), st.none() | st.integers(1, 5))
def test_the_order_of_newcomers_does_not_matter(
    shares: Shares, pairs: list[tuple[str, str]], order: list[str], num_strata: int | None
) -> None:
    strata = None if num_strata is None else strata_of(KEYS, num_strata)
    one, other = (
        allocate(come(who), shares, settled={}, families=find_families(pairs), strata=strata) for who in (KEYS, order)
    )
    assert one == other


@given(some_shares, st.integers(1, 9), waves)
def test_every_split_of_every_stratum_is_within_one_participant_of_its_share_after_every_ingest(
    shares: Shares, num_strata: int, comers: list[set[str]]
) -> None:
    strata, settled = strata_of(KEYS, num_strata), dict[str, str]()
    for wave in comers:
        new = come(sorted(wave - settled.keys()))
        settled |= allocate(new, shares, settled=settled, families={}, strata=strata)
        assert max(distances(shares, settled, strata).values(), default=0) <= 1 + 1e-9


@given(some_shares, st.integers(1, 5), kin)
def test_with_families_of_one_stratum_each_split_is_within_the_largest_of_its_share(
    shares: Shares, num_strata: int, pairs: list[tuple[str, str]]
) -> None:
    own = strata_of(KEYS, num_strata)
    families = find_families((one, other) for one, other in pairs if own[one] == own[other])
    splits = allocate(come(KEYS), shares, settled={}, families=families, strata=own)
    largest = max(Counter(families.values()).values(), default=1)
    assert max(distances(shares, splits, own).values()) <= largest + 1e-9


def test_those_without_relatives_even_out_what_families_across_strata_leave() -> None:
    who = [f"{number:04}" for number in range(2_000)]
    strata = strata_of(who, 20)
    families = find_families(zip(who[0:400:2], who[1:400:2], strict=True))
    splits = allocate(come(who), SHARES, settled={}, families=families, strata=strata)
    assert max(distances(SHARES, splits, strata).values()) <= 2


@given(st.permutations(range(60)))
def test_those_without_relatives_even_out_what_large_families_leave_whatever_their_hashes(order: list[int]) -> None:
    newcomers = [Newcomer(key=key, position=place / 60) for key, place in zip(KEYS, order, strict=True)]
    families = {key: KEYS[5 * (number // 5)] for number, key in enumerate(KEYS[:20])}
    splits = allocate(newcomers, SHARES, settled={}, families=families, strata=dict.fromkeys(KEYS, "all"))
    assert Counter(splits.values()) == {"train": 48, "val": 6, "test": 6}


def test_strata_of_one_participant_do_not_starve_a_split() -> None:
    who = [f"{number:04}" for number in range(1_000)]
    splits = allocate(come(who), SHARES, settled={}, families={}, strata={key: key for key in who})
    assert Counter(splits.values()) == {"train": 800, "val": 100, "test": 100}


def test_a_stratum_that_was_settled_askew_is_evened_out_by_those_who_come() -> None:
    settled = {f"old {number}": "train" for number in range(20)}
    who = [f"new {number:02}" for number in range(80)]
    strata = dict.fromkeys((*settled, *who), "all")
    splits = allocate(come(who), SHARES, settled=settled, families={}, strata=strata)
    assert Counter({**settled, **splits}.values()) == {"train": 80, "val": 10, "test": 10}


@pytest.mark.parametrize("shares", [SHARES, Shares(val=0.25, test=0.05)])
def test_shares_approach_the_ratios_by_hashes_alone_with_and_without_families(shares: Shares) -> None:
    who = [f"{number:05}" for number in range(20_000)]
    families = find_families(zip(who[0:6000:3], who[1:6000:3], strict=True))
    for kinship in ({}, families):
        counts = Counter(allocate(come(who), shares, settled={}, families=kinship).values())
        # Five standard deviations of a share of 20,000, with pairs that go together, are below 0.018.
        assert counts["val"] / 20_000 == pytest.approx(shares.val, abs=0.018)
        assert counts["test"] / 20_000 == pytest.approx(shares.test, abs=0.018)
        assert counts.total() == 20_000


@given(st.floats(0.01, 0.4), st.floats(0.01, 0.2), st.floats(0.0, 0.2))
def test_a_larger_validation_share_moves_nobody_into_or_out_of_the_test_split(
    val: float, test: float, more: float
) -> None:
    before, after = (
        allocate(come(KEYS), Shares(val=share, test=test), settled={}, families={}) for share in (val, val + more)
    )
    assert all((before[key] == "test") == (after[key] == "test") for key in KEYS)


@given(kin, st.sets(keys), st.none() | st.integers(1, 5))
def test_a_test_list_is_exact_whatever_the_families(
    pairs: list[tuple[str, str]], listed: set[str], num_strata: int | None
) -> None:
    fixed = {key: "test" if key in listed else NOT_TEST for key in KEYS}
    strata = None if num_strata is None else strata_of(KEYS, num_strata)
    splits = allocate(come(KEYS, fixed), SHARES, settled={}, families=find_families(pairs), strata=strata)
    assert {key for key, split in splits.items() if split == "test"} == listed
    families = find_families(pairs)
    groups = defaultdict(set)
    for key in set(KEYS) - listed:
        groups[families.get(key, key)].add(splits[key])
    assert all(len(group) == 1 for group in groups.values())


def test_who_is_not_to_be_tested_is_divided_by_the_ratio_of_the_other_two() -> None:
    who = [f"{number:04}" for number in range(900)]
    splits = allocate(
        come(who, dict.fromkeys(who, NOT_TEST)), SHARES, settled={}, families={}, strata=dict.fromkeys(who, "all")
    )
    assert Counter(splits.values()) == {"train": 800, "val": 100}


def test_a_relative_of_those_whom_a_source_has_placed_joins_them() -> None:
    families = find_families([("000", "001"), ("002", "003"), ("004", "005")])
    fixed = {"000": "test", "002": "val", "004": "train"}
    splits = allocate(come(KEYS[:6], fixed), SHARES, settled={}, families=families)
    assert splits == {"000": "test", "001": "test", "002": "val", "003": "val", "004": "train", "005": "train"}


@pytest.mark.parametrize(
    ("settled", "expected"),
    [({"001": "train", "002": "test"}, "test"), ({"001": "train", "002": "val"}, "val"), ({"001": "val"}, "val")],
)
def test_a_newcomer_to_a_divided_family_joins_the_part_where_they_can_be_used(
    settled: dict[str, str], expected: str
) -> None:
    families = find_families([("000", "001"), ("000", "002")])
    assert allocate(come(["000"]), SHARES, settled=settled, families=families) == {"000": expected}


def test_a_family_goes_where_one_of_its_members_would_go_alone() -> None:
    alone = allocate(come(KEYS), SHARES, settled={}, families={})
    together = allocate(come(KEYS), SHARES, settled={}, families=dict.fromkeys(KEYS, "000"))
    assert set(together.values()) == {alone["000"]}


def test_a_test_list_keeps_what_a_source_says_of_training_and_validation() -> None:
    settled = {1: "train", 2: "val", 3: "test", 4: "train", 5: NOT_TEST}
    assert fix_test_list(frozenset({4, 7}), range(1, 8), settled) == {
        1: "train",
        2: "val",
        3: NOT_TEST,
        4: "test",
        5: NOT_TEST,
        6: NOT_TEST,
        7: "test",
    }
