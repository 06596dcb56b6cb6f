"""Small ways to put things into words."""

from collections.abc import Mapping
from typing import Any


def sentence(counts: Mapping[str, Any]) -> str:
    """Return counts as words.

    >>> sentence({"train": 80, "left_out": 3})
    '80 train, 3 left out'
    """
    return ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counts.items())


def duration(hours: float) -> str:
    """Return a time as words, in the unit that suits it.

    >>> [duration(hours) for hours in (0.0004, 0.02, 0.5, 3658.94)]
    ['1.4 seconds', '1.2 minutes', '30 minutes', '3,658.9 hours']
    """
    minutes = 60 * hours
    size = abs(minutes)
    if size < 1:
        return f"{60 * minutes:.1f} seconds"
    if size < 120:
        return f"{minutes:.1f} minutes" if size < 10 else f"{minutes:.0f} minutes"
    return f"{hours:,.1f} hours"
