"""A sweep in words."""

from mmstudy.sweep.status import FailedJob
from mmstudy.sweep.tables import failure_lines


def test_one_reason_is_told_once_with_some_of_its_jobs_the_most_frequent_first() -> None:
    failed = [FailedJob(name="a", error="Alone.", remedy="")]
    failed += [FailedJob(name=f"head-{number}", error="Its trunk has failed.", remedy="Retry.") for number in range(5)]
    assert failure_lines(failed) == [
        "head-0, head-1, head-2 and 2 more failed: Its trunk has failed. Retry.",
        "a failed: Alone.",
    ]


def test_many_reasons_are_cut_short() -> None:
    failed = [FailedJob(name=f"j{number}", error=f"Reason {number}.", remedy="") for number in range(30)]
    lines = failure_lines(failed)
    assert len(lines) == 9
    assert lines[-1].startswith("22 more reasons")
