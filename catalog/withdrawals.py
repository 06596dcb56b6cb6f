"""Read the lists of participants who have withdrawn."""

from collections.abc import Sequence
from pathlib import Path

from catalog.errors import TableError


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
            if not text.removeprefix("-").isdecimal() or not text.isascii():
                raise TableError(f"{path.name}, line {number}: expected one participant number, got other text.")
            eids.add(int(text))
    return frozenset(eid for eid in eids if eid > 0)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(
            f"The withdrawal list {path.name} cannot be read ({type(error).__name__}). Expected a text file with one "
            "participant number a line."
        ) from None
