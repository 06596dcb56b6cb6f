"""Values that are kept: found by their keys, never more than the bound, the oldest gone first."""

import pytest

from mmtrain import kept_values
from mmtrain.kept_values import MOST_BYTES, KeptValues, values_budget


def test_what_was_not_asked_for_the_longest_goes_first() -> None:
    kept = KeptValues(budget_bytes=10)
    for key in "abc":
        kept.keep(key, key, 3)
    assert kept.find("a") == "a"
    kept.keep("d", "d", 3)
    assert [kept.find(key) for key in "abcd"] == ["a", None, "c", "d"]
    assert kept.held_bytes == 9


@pytest.mark.parametrize("sizes", [[4, 4, 4], [11, 1], [10], [5, 5, 1, 9]])
def test_never_more_is_held_than_the_bound(sizes: list[int]) -> None:
    kept = KeptValues(budget_bytes=10)
    for number, size in enumerate(sizes):
        kept.keep(number, "value", size)
        assert kept.held_bytes <= 10
    held = sum(size for number, size in enumerate(sizes) if kept.find(number) is not None)
    assert kept.held_bytes == held


def test_a_value_takes_the_place_of_the_one_before_also_where_it_is_too_large() -> None:
    kept = KeptValues(budget_bytes=10)
    for size, expected in ((3, 3), (4, 4), (11, 0)):
        kept.keep("a", size, size)
        assert kept.held_bytes == expected
    assert kept.find("a") is None


@pytest.mark.parametrize(
    ("available", "num_sharing", "limit", "expected"),
    [
        (1000, 1, None, 250),
        (1000, 5, None, 50),
        (1000, 5, 40, 40),
        (1000, 5, 60, 50),
        (64 * MOST_BYTES, 8, None, MOST_BYTES),
        (8 * MOST_BYTES, 8, None, MOST_BYTES // 4),
    ],
)
def test_the_bound_is_a_share_of_what_is_available_and_no_more_than_is_allowed(
    monkeypatch: pytest.MonkeyPatch, available: int, num_sharing: int, limit: int | None, expected: int
) -> None:
    monkeypatch.setattr(kept_values, "available_bytes", lambda: available)
    assert values_budget(num_sharing, limit) == expected
