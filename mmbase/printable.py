"""Show texts of other people, without what a terminal would act on and without eids.

File names, labels, columns and values may hold control characters, by which a terminal is made to hide, forge or run
something. Each is shown by its number. The same goes for characters that turn the direction of writing round, and for
the bytes of file names that are no text.
"""

import re
from pathlib import Path

_NOT_SHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and newline, marks of direction, and what stands for bytes that are no text (PEP 383)."""


def without_numbers(text: str) -> str:
    """Hide what may be an eid in a path or a file's name.

    >>> without_numbers("1000223_20252_2_0.zip")
    '…_20252_2_0.zip'
    """
    return re.sub(r"\d{6,}", "…", text)


def shown(path: Path) -> str:
    """Return a file's name as a message may show it: `without_numbers`."""
    return without_numbers(path.name)


def printable(text: str) -> str:
    r"""Return a text with whatever a terminal would act on shown by its number.

    >>> print(printable(f"scan{chr(27)}[2J.nii"))
    scan\x1b[2J.nii
    """
    return _NOT_SHOWN.sub(lambda found: ascii(found[0])[1:-1], text)
