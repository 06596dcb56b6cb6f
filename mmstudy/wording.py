"""Small ways to put things into words."""

from collections.abc import Mapping
from typing import Any


def sentence(counts: Mapping[str, Any]) -> str:
    """Return counts as words.

    >>> sentence({"train": 80, "left_out": 3})
    '80 train, 3 left out'
    """
    return ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counts.items())
