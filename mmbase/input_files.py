"""Read files that somebody else made: regular ones alone, and no more bytes than one may hold.

To open a named pipe waits for ever, and a device or a line without end fills the memory. Every reader of a path that
comes from a source or an option asks here first; what is wrong is an `OSError`, as for a file that cannot be read.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_STEP_BYTES = 1 << 16
"""Longer than most rows, and much shorter than the stretch that one is looked for in."""
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


class NotAFileError(OSError):
    """A pipe, socket, device or folder stands where a file should."""


def require_regular(path: Path) -> os.stat_result:
    """Return what the file system says of a file, through links; it is not opened.

    Raises
    ------
    NotAFileError
        It is something else than a file.
    OSError
        It is not there, or cannot be reached.
    """
    entry = path.stat()
    if not stat.S_ISREG(entry.st_mode):
        kind = _KINDS.get(stat.S_IFMT(entry.st_mode), "something else")
        raise NotAFileError(errno.EINVAL, f"it is {kind}, not a file", str(path))
    return entry


def is_regular(path: Path) -> bool:
    """Return whether a file is a regular one; what cannot be reached counts as one, so that its reader says why."""
    try:
        require_regular(path)
    except NotAFileError:
        return False
    except OSError:
        pass
    return True


def read_regular(path: Path, limit_bytes: int) -> bytes:
    """Return a file's content.

    Raises
    ------
    OSError
        As `require_regular`; or it holds more than `limit_bytes`.
    """
    num_bytes = require_regular(path).st_size
    if num_bytes > limit_bytes:
        raise OSError(errno.EFBIG, f"it has {num_bytes:,} bytes, more than {limit_bytes:,}", str(path))
    with path.open("rb") as file:
        content = file.read(num_bytes + 1)
    if len(content) > num_bytes:
        raise OSError(errno.EBUSY, "it grows while it is read", str(path))
    return content


def require_lines(path: Path, limit_bytes: int) -> None:
    """Make sure that no line of a text file is as long as a limit, so that its readers' memory is bounded.

    Of each stretch of the limit's length a little of the end is read, where rows are shorter than that.

    Raises
    ------
    OSError
        As `require_regular`; or a line is longer.
    """
    num_bytes = require_regular(path).st_size
    with path.open("rb") as file:
        start = 0
        while num_bytes - start >= limit_bytes:
            end = _last_line_end(file, start, start + limit_bytes)
            if end is None:
                raise OSError(errno.EFBIG, f"it has a line of {limit_bytes:,} bytes or more", str(path))
            start = end + 1


def _last_line_end(file: BinaryIO, start: int, end: int) -> int | None:
    """Return where the last LF or CR between two positions is; None without any."""
    for first in (max(start, end - _STEP_BYTES), start):
        file.seek(first)
        part = file.read(end - first)
        found = max(part.rfind(b"\n"), part.rfind(b"\r"))
        if found >= 0:
            return first + found
    return None
