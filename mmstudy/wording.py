"""Small ways to put things into words."""

import re
from collections.abc import Mapping
from typing import Any


def without_numbers(text: str) -> str:
    """Hide what may be an eid in a path or a file's name.

    >>> without_numbers("1000223_20252_2_0.zip")
    '…_20252_2_0.zip'
    """
    return re.sub(r"\d{6,}", "…", text)


def sentence(counts: Mapping[str, Any]) -> str:
    """Return counts as words.

    >>> sentence({"train": 80, "left_out": 3})
    '80 train, 3 left out'
    """
    return ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counts.items())
