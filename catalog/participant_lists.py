"""Read lists of participants: text files of one participant number, or ``sub-`` and a label, a line."""

from pathlib import Path

from catalog.errors import TableError
from mmbase.records import participant_number

_LABEL_PREFIX = "sub-"
_HEADERS = ("eid", "f.eid", "participant.eid", "participant_id")
"""What a program that exported the list may have put above it; UK Biobank's own lists have no header."""


def read_participant_list(path: Path, name: str) -> frozenset[int]:
    """Return the participants of a list; numbers below 1, which stand for nobody, are passed over.

    Parameters
    ----------
    name
        What the list is called in messages, e.g. ``test list``.

    Raises
    ------
    TableError
        It cannot be read as text, or a line is not a participant.
    """
    if path.name.isdecimal() and not path.exists():
        raise TableError("Expected a file with one participant number a line, got a number: write it to a file.")
    lines = read_text(path, name, "one participant number a line").splitlines()
    cells = [(number, line.strip().rstrip(",; \t").strip('"')) for number, line in enumerate(lines, start=1)]
    given = [(number, text) for number, text in cells if text]
    if given and given[0][1].lower() in _HEADERS:
        del given[0]
    eids = set()
    for number, text in given:
        eid = parse_participant(text)
        if eid is None:
            raise TableError(
                f"{path.name}, line {number}: expected one participant number, or sub- and a label; got other text."
            )
        eids.add(eid)
    return frozenset(eids - {0})


def read_test_list(path: Path) -> frozenset[int]:
    """Return the eids of the participants who alone are to be tested on.

    Raises
    ------
    TableError
        As `read_participant_list`, or the list is empty.
    """
    listed = read_participant_list(path, "test list")
    if not listed:
        raise TableError(f"The test list {path.name} names nobody. Expected one participant number a line.")
    return listed


def parse_participant(text: str) -> int | None:
    """Return the number that stands for a participant; 0 for a number that is nobody's, None for other text.

    >>> parse_participant("1000223"), parse_participant("-5"), parse_participant("eid")
    (1000223, 0, None)
    """
    if text.startswith(_LABEL_PREFIX):
        return participant_number(text.removeprefix(_LABEL_PREFIX))
    if not (text.isascii() and text.removeprefix("-").isdecimal()):
        return None
    return 0 if text.startswith("-") or not text.strip("0") else participant_number(text)


def read_text(path: Path, name: str, expected: str) -> str:
    """Return a file's text, whatever its byte order mark.

    Parameters
    ----------
    name, expected
        What the file is called, and what a message says should be in it.

    Raises
    ------
    TableError
        It is not there, cannot be read or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(
            f"The {name} {path.name} cannot be read ({type(error).__name__}). Expected a text file with {expected}."
        ) from None
