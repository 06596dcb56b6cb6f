"""Read lists of participants: text files of one participant number, or ``sub-`` and a label, a line.

Read as well is what programs and people make of such a list: any line ends, a byte order mark or UTF-16, blank lines,
comments behind ``#``, a header, quotes, numbers as ``1000223.0``, and a second column that says nothing of another
participant: the same number (PLINK's family and individual), a date, or nothing.
"""

import codecs
import re
from pathlib import Path

from catalog.errors import TableError
from mmbase.input_files import read_regular
from mmbase.records import participant_number

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
    text = read_text(path, name, "one participant number a line")
    lines = ((number, _cells(line)) for number, line in enumerate(text.splitlines(), start=1))
    given = [(number, cells) for number, cells in lines if cells]
    if given and given[0][1][0].lower() in _HEADERS:
        del given[0]
    eids = set()
    for number, (first, *others) in given:
        eid = parse_participant(first)
        if eid is None or not all(other == first or _DATE.fullmatch(other) for other in others):
            raise TableError(
                f"The {name} {path.name}, line {number}: expected one participant number, or sub- and a label, and "
                "behind it at most the same number again or a date; got other text.",
                "Keep the column of participants alone, or give the file another name if it is no such list.",
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
    if text.lower().startswith(_LABEL_PREFIX):
        return participant_number(text[len(_LABEL_PREFIX) :])
    if not (text.isascii() and text.removeprefix("-").isdecimal()):
        return None
    return 0 if text.startswith("-") or not text.strip("0") else participant_number(text)


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
            f"The {name} {path.name} cannot be read ({_why(error)}). Expected a text file with {expected}."
        ) from None
    if "\0" in text:
        raise TableError(f"The {name} {path.name} is not text. Expected a text file with {expected}.")
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
