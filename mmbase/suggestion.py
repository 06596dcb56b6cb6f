"""Suggest the name that somebody may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question about the known name that is most like another, to end a message; empty where none is like it.

    >>> did_you_mean("flare", ["t1", "flair"]), did_you_mean("x", ["t1", "flair"])
    (' Did you mean flair?', '')
    """
    of_lower = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), of_lower, n=1, cutoff=0.5)
    return f" Did you mean {of_lower[near[0]]}?" if near else ""
