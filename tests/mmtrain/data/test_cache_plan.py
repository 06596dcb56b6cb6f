import pytest

from mmtrain.config.execution import CacheChoice
from mmtrain.data.cache_plan import CacheDevice, allowed_share, plan_cache

ALLOWED: dict[CacheDevice, int] = {"device": 1000, "host": 3000}


@pytest.mark.parametrize(
    ("choice", "needed", "device"),
    [
        ("auto", 900, "device"),
        ("auto", 1001, "host"),
        ("auto", 3001, None),
        ("auto", 0, None),
        ("none", 900, None),
        ("host", 900, "host"),
        ("host", 3001, "host"),
        ("device", 3001, "device"),
        ("device", 0, None),
    ],
)
def test_rows_are_kept_where_they_fit_or_where_they_are_wanted(
    choice: CacheChoice, needed: int, device: CacheDevice | None
) -> None:
    plan = plan_cache(choice, needed, ALLOWED, is_read_again=True)
    assert plan.device == device
    assert plan.allowed_bytes == (ALLOWED[device] if device else 0)


@pytest.mark.parametrize(
    ("choice", "needed", "told"),
    [
        ("auto", 900, ""),
        ("auto", 4_000_000_000, "the rows of this run take 4.00 GB and may take 0.00 GB of the device's memory or"),
        ("host", 3001, "what does not fit is read from the stores in every epoch"),
        ("none", 900, ""),
    ],
)
def test_what_is_kept_and_what_is_not_is_told(choice: CacheChoice, needed: int, told: str) -> None:
    note = plan_cache(choice, needed, ALLOWED, is_read_again=True).note
    assert told in note if told else not note


def test_rows_that_take_much_memory_are_told_of() -> None:
    note = plan_cache("auto", 5_000_000_000, {"device": 10_000_000_000}, is_read_again=True).note
    assert "take 5.00 GB; once read they stay in the device's memory, up to 10.00 GB" in note


def test_rows_that_are_read_once_are_kept_only_where_asked_for() -> None:
    assert plan_cache("auto", 9, ALLOWED, is_read_again=False).device is None
    assert plan_cache("host", 9, ALLOWED, is_read_again=False).device == "host"


def test_no_more_is_allowed_than_is_free() -> None:
    assert allowed_share(free=100, held=20, limit=10_000, num_sharing=1) == 120
    assert allowed_share(free=100, held=20, limit=30, num_sharing=1) == 30
    assert allowed_share(free=100, held=20, limit=None, num_sharing=4) == 22


def test_ranks_of_one_machine_never_take_more_than_their_share_together() -> None:
    free = 1_000_003
    assert sum(allowed_share(free, 0, None, 8) for _ in range(8)) <= free // 2
