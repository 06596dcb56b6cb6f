"""Read the lists of participants who have withdrawn."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from catalog.errors import TableError
from catalog.participant_lists import parse_participant, read_text

_HEADERS = ("eid", "f.eid", "participant.eid", "participant_id")
"""What a program that exported the list may have put above it; UK Biobank's own lists have no header."""


def read_withdrawals(paths: Sequence[Path]) -> frozenset[int]:
    """Return the eids of withdrawal lists: one number a line; numbers below 1, which stand for nobody, are passed over.

    Raises
    ------
    TableError
        A list cannot be read as text, or a line is not a participant.
    """
    return frozenset(eid for path in paths for eid in _read_list(path)) - {0}


def _read_list(path: Path) -> Iterator[int]:
    if path.name.isdecimal() and not path.exists():
        raise TableError("Expected a file with one participant number a line, got a number: write it to a file.")
    lines = read_text(path, "withdrawal list", "one participant number a line").splitlines()
    cells = [(number, line.strip().rstrip(",; \t").strip('"')) for number, line in enumerate(lines, start=1)]
    given = [(number, text) for number, text in cells if text]
    if given and given[0][1].lower() in _HEADERS:
        del given[0]
    for number, text in given:
        eid = parse_participant(text)
        if eid is None:
            raise TableError(
                f"{path.name}, line {number}: expected one participant number, or sub- and a label; got other text."
            )
        yield eid
