"""Read the lists of participants who have withdrawn, and find whom they mean."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from catalog.errors import TableError
from catalog.participant_lists import read_participant_list


def read_withdrawals(paths: Sequence[Path]) -> frozenset[int]:
    """Return the eids of withdrawal lists: one number a line; numbers below 1, which stand for nobody, are passed over.

    Raises
    ------
    TableError
        A list cannot be read as text, or a line is not a participant.
    """
    return frozenset[int]().union(*(read_participant_list(path, "withdrawal list") for path in paths))


def with_lost_zeros(listed: Collection[int], known: Collection[int], labels: Mapping[int, str]) -> frozenset[int]:
    """Add those who are listed without the leading zeros of their label: a spreadsheet makes 1 of 01.

    Parameters
    ----------
    known
        All participants; a number that is one of theirs means nobody else.
    labels
        Of those who are not called by their number.

    Raises
    ------
    TableError
        A number may mean several of them.

    >>> zero_one = 1 << 62
    >>> with_lost_zeros([1], [zero_one], {zero_one: "01"}) == {1, zero_one}
    True
    """
    namesakes: dict[int, list[int]] = defaultdict(list)
    for eid, label in labels.items():
        if label.isascii() and label.isdecimal():
            namesakes[int(label)].append(eid)
    meant = [namesakes[number] for number in namesakes.keys() & set(listed) - set(known)]
    if num_unclear := sum(len(eids) > 1 for eids in meant):
        raise TableError(
            f"The withdrawal lists have {num_unclear:,} numbers that may each mean several participants, whose labels "
            "differ in leading zeros alone.",
            "Write them as sub- and the label.",
        )
    return frozenset(listed).union(*meant)
