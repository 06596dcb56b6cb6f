"""Read lists of participants: text files of one participant number, or ``sub-`` and a label, a line.

Read as well is what programs and people make of such a list: any line ends, a byte order mark or UTF-16, blank lines,
comments behind ``#``, a header, quotes, numbers as ``1000223.0``, and a second column that says nothing of another
participant: the same number (PLINK's family and individual), a date, or nothing.
"""

import codecs
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from catalog.errors import TableError
from mmbase.input_files import read_regular
from mmbase.printable import shown
from mmbase.records import participant_number, without_zeros

MAX_LIST_BYTES = 1 << 26
"""Half a million participants take 4 MB."""
_LABEL_PREFIX = "sub-"
_HEADERS = frozenset(
    ("eid", "f.eid", "n_eid", "participant.eid", "participant_id", "participant", "id", "fid", "iid", "subject", "x")
)
"""What a program that exported the list may have put above it; UK Biobank's own lists have no header."""
_SEPARATORS = re.compile(r"[,;\t ]+")
_WHOLE = re.compile(r"(-?\d+)\.0+", re.ASCII)
_DATE = re.compile(
    r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}(T[\d:.]+Z?)?|\d{1,2}-[A-Z]{3}-\d{2,4}|\d{1,2}(:\d{2}){1,2}",
    re.ASCII | re.IGNORECASE,
)
"""Or the time that stands behind it."""


def read_participant_list(path: Path, name: str) -> frozenset[str]:
    """Return the labels of a list's participants; numbers below 0, which stand for nobody, are passed over.

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
    text = read_text(path, name, "one participant number a line")
    lines = ((number, _cells(line)) for number, line in enumerate(text.splitlines(), start=1))
    given = [(number, cells) for number, cells in lines if cells]
    if given and given[0][1][0].lower() in _HEADERS:
        del given[0]
    labels = set()
    for number, (first, *others) in given:
        label = parse_label(first)
        if label is None or not all(other == first or _DATE.fullmatch(other) for other in others):
            raise TableError(
                f"The {name} {shown(path)}, line {number}: expected one participant number, or sub- and a label, and "
                "behind it at most the same number again or a date; got other text.",
                "Keep the column of participants alone, or give the file another name if it is no such list.",
            )
        labels.add(label)
    return frozenset(labels - {""})


def read_test_list(path: Path) -> frozenset[str]:
    """Return the labels of the participants who alone are to be tested on.

    Raises
    ------
    TableError
        As `read_participant_list`, or the list is empty.
    """
    listed = read_participant_list(path, "test list")
    if not any(listed - {"0"}):
        raise TableError(f"The test list {shown(path)} names nobody. Expected one participant number a line.")
    return listed


def find_listed(listed: Collection[str], label_of: Mapping[int, str], lists: str) -> frozenset[int]:
    """Return the numbers of listed participants, whom a list may name with other leading zeros than their label has.

    A spreadsheet makes 1 of 01. A label of digits that no participant has means the one whose label is the same number.
    Zeros alone mean a participant or nobody.

    Parameters
    ----------
    label_of
        Of every participant who is known.
    lists
        What the labels are from, for messages, e.g. ``withdrawal lists``.

    Raises
    ------
    TableError
        A label may mean several participants.

    >>> find_listed(["1", "007"], {5: "5", participant_number("01"): "01", 7: "7"}, "lists") == {
    ...     *map(participant_number, ("1", "01", "007", "7"))
    ... }
    True
    """
    known = frozenset(label_of.values())
    namesakes: dict[str, list[int]] = defaultdict(list)
    for eid, label in label_of.items():
        namesakes[without_zeros(label)].append(eid)
    found = {participant_number(label) for label in listed if label in known or label.strip("0")}
    meant = [namesakes[number] for label in listed if label not in known and (number := without_zeros(label))]
    if num_unclear := sum(len(eids) > 1 for eids in meant):
        raise TableError(
            f"{num_unclear:,} numbers of the {lists} may each mean several participants: their labels differ only in "
            "leading zeros.",
            "Spell them as the images do.",
        )
    return frozenset(found.union(*meant))


def parse_participant(text: str) -> int | None:
    """Return the number that stands for a participant; 0 for a number that is nobody's, None for other text.

    >>> parse_participant("1000223"), parse_participant("-5"), parse_participant("eid")
    (1000223, 0, None)
    """
    label = parse_label(text)
    if label is None:
        return None
    is_somebody = label.strip("0") or text != label
    return participant_number(label) if label and is_somebody else 0


def parse_label(text: str) -> str | None:
    """Return a participant's label; empty for a number that is nobody's, None for other text.

    >>> parse_label("1000223"), parse_label("sub-01"), parse_label("-5"), parse_label("eid")
    ('1000223', '01', '', None)
    """
    if text.lower().startswith(_LABEL_PREFIX):
        return text[len(_LABEL_PREFIX) :] or None
    if not without_zeros(text.removeprefix("-")):
        return None
    return "" if text.startswith("-") else text


def read_text(path: Path, name: str, expected: str) -> str:
    """Return a file's text: UTF-8, or UTF-16 where its byte order mark says so.

    Parameters
    ----------
    name, expected
        What the file is called, and what a message says should be in it.

    Raises
    ------
    TableError
        It is not there, cannot be read, is no text or is longer than `MAX_LIST_BYTES`.
    """
    try:
        content = read_regular(path, MAX_LIST_BYTES)
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(
            f"The {name} {shown(path)} cannot be read ({_why(error)}). Expected a text file with {expected}."
        ) from None
    if "\0" in text:
        raise TableError(f"The {name} {shown(path)} is not text. Expected a text file with {expected}.")
    return text


def _why(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__


def _cells(line: str) -> list[str]:
    """Return what a line says, none for a comment.

    >>> _cells('"1000223.0", 2026-01-01'), _cells("# nobody")
    (['1000223', '2026-01-01'], [])
    """
    cells = (cell.strip("\"'") for cell in _SEPARATORS.split(line.partition("#")[0].strip()))
    return [_WHOLE.sub(r"\1", cell) for cell in cells if cell]
