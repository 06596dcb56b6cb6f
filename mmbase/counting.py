"""Counting how far work is."""

from collections.abc import Callable


def counting(total: int, on_progress: Callable[[int, int], None]) -> Callable[[int], None]:
    """Return a function that is told how many more are done, and tells how many are done in all.

    >>> done = counting(5, lambda done, total: print(f"{done}/{total}"))
    0/5
    >>> done(2)
    2/5
    """
    done = 0

    def on_done(number: int) -> None:
        nonlocal done
        done += number
        on_progress(done, total)

    on_progress(0, total)
    return on_done
