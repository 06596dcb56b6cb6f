"""Read the lists of participants who have withdrawn."""

from collections.abc import Sequence
from pathlib import Path

from catalog.errors import TableError
from catalog.records import participant_number

_LABEL_PREFIX = "sub-"


def read_withdrawals(paths: Sequence[Path]) -> frozenset[int]:
    """Return the eids of withdrawal lists: one positive number per line, no header.

    Raises
    ------
    TableError
        A list cannot be read as text, or a line is not a number.
    """
    eids = set()
    for path in paths:
        for number, line in enumerate(_read_text(path).splitlines(), start=1):
            text = line.strip().rstrip(",").strip('"')
            if not text:
                continue
            if text.startswith(_LABEL_PREFIX):
                eids.add(participant_number(text.removeprefix(_LABEL_PREFIX)))
            elif text.isascii() and text.removeprefix("-").isdecimal():
                eids.add(participant_number(text) if int(text) > 0 else 0)
            else:
                raise TableError(
                    f"{path.name}, line {number}: expected one participant number, or sub- and a label; got other text."
                )
    return frozenset(eid for eid in eids if eid > 0)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(
            f"The withdrawal list {path.name} cannot be read ({type(error).__name__}). Expected a text file with one "
            "participant number a line."
        ) from None
