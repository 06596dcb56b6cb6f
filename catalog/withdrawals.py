"""Read the lists of participants who have withdrawn."""

from collections.abc import Sequence
from pathlib import Path

from catalog.participant_lists import read_participant_list


def read_withdrawals(paths: Sequence[Path]) -> frozenset[int]:
    """Return the eids of withdrawal lists: one number a line; numbers below 1, which stand for nobody, are passed over.

    Raises
    ------
    TableError
        A list cannot be read as text, or a line is not a participant.
    """
    return frozenset[int]().union(*(read_participant_list(path, "withdrawal list") for path in paths))
