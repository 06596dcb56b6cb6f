"""Append-only files of JSON objects, one a line, each with a checksum of its bytes.

Terms
-----
content   a JSON object of at least one entry, as bytes. Its line has one more, `CHECKSUM`: the CRC-32 of the others.
torn      what follows the last newline: a kill or a power cut ended the writing. Readers pass it over, the next writer
          cuts it off.
damaged   a line that is not as it was written. Nobody reads past it.

mm 0.1.0 wrote lines without checksums. They stay readable, but only in front of all others, so that no line can lose
its checksum unseen.
"""

import os
from collections.abc import Iterable, Iterator
from operator import ne
from pathlib import Path
from typing import IO
from zlib import crc32

from mmbase.files import replace_file, sync_directory

CHECKSUM = "crc32"
_BEFORE, _BEHIND = f',"{CHECKSUM}":"'.encode(), b'"}\n'
_DIGITS = 8
_TAIL_BYTES = len(_BEFORE) + _DIGITS + len(_BEHIND)
_MAX_WRONG_BYTES = 3
_STEP_BYTES = 4096


class DamagedLineError(ValueError):
    """A line is not as it was written.

    Parameters
    ----------
    number
        Of the line, from 1.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"line {number} is not as it was written")
        self.number = number


def append_lines(path: Path, contents: Iterable[bytes]) -> None:
    """Add lines to a file and make sure that they are on the disk; what is torn goes."""
    lines = b"".join(map(_to_line, contents))
    with path.open("ab+") as file:
        if not file.tell():  # new: a file with lines in it is known to stay
            sync_directory(path.parent)
        _cut_torn_line(file)
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of each line; nothing where there is no file.

    Raises
    ------
    DamagedLineError
        A line is damaged; those before it have been yielded.
    """
    for number, content in look_at_lines(path):
        if content is None:
            raise DamagedLineError(number)
        yield number, content


def look_at_lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yield number and content of each line, None for a damaged one; nothing where there is no file."""
    if not path.exists():
        return
    with path.open("rb") as file:
        has_checksums = False
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            has_checksums = has_checksums or _has_checksum(line)
            yield number, _content(line) if has_checksums else line[:-1]


def replace_lines(path: Path, contents: Iterable[bytes]) -> None:
    """Write all lines of a file in one step; `contents` may be read from the file itself."""
    with replace_file(path) as file:
        file.writelines(map(_to_line, contents))


def lacks_checksums(path: Path) -> bool:
    """Return whether a file begins with a line without a checksum."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        first = file.readline()
    return first.endswith(b"\n") and not _has_checksum(first)


def is_torn(path: Path) -> bool:
    """Return whether the writing of a file was ended in the middle of a line."""
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def _to_line(content: bytes) -> bytes:
    return b"%b%b%08x%b" % (content[:-1], _BEFORE, crc32(content), _BEHIND)


def _content(line: bytes) -> bytes | None:
    """Return what a line with a checksum says; None where it is damaged."""
    content = line[:-_TAIL_BYTES] + b"}"
    return content if line == _to_line(content) else None


def _has_checksum(line: bytes) -> bool:
    """Return whether a line ends as one with a checksum does, or nearly so: a flipped bit makes no line without one."""
    if line.endswith(_BEHIND) and line[-_TAIL_BYTES:].startswith(_BEFORE):
        return True
    pattern = _BEFORE + bytes(_DIGITS) + _BEHIND
    num_differing = sum(map(ne, line[-_TAIL_BYTES:], pattern))
    return len(line) > _TAIL_BYTES and num_differing <= _DIGITS + _MAX_WRONG_BYTES


def _cut_torn_line(file: IO[bytes]) -> None:
    """Remove what follows the last newline."""
    end = start = file.seek(0, os.SEEK_END)
    newline = -1
    while start > 0 and newline < 0:
        stop, start = start, max(0, start - _STEP_BYTES)
        file.seek(start)
        newline = file.read(stop - start).rfind(b"\n")
    kept = start + newline + 1
    if kept < end:
        file.truncate(kept)
