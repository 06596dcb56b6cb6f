"""What mm needs of the machine and the shell it runs in, looked at before anything large is loaded.

What is loaded later ends in many ways where it lacks something: it prints a traceback, hangs, or ends the process
without a word.
"""

import codecs
import errno
import getpass
import os
import resource
import sys
import unicodedata
from collections.abc import Iterator
from io import TextIOWrapper

from mmbase.errors import MmError

LEAST_ADDRESS_SPACE = 3 << 30
ADDRESS_SPACE_PER_CORE = 64 << 20
"""Of the libraries and their threads, in bytes: measured, with 3 GB all commands work on 2 cores, with 2 GB few."""
_UNLIMITED = "Raise it in this shell, e.g. with: ulimit -v unlimited"
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("‐‑–—−─━", "-"),
        **dict.fromkeys("‘’", "'"),
        **dict.fromkeys("“”", '"'),
        **{"×": "x", "→": "->", "≥": ">=", "≤": "<=", "±": "+-", "·": ".", "•": "*", "│": "|"},
        **dict.fromkeys("▁▂", "."),
        **dict.fromkeys("▃▄▅", "+"),
        **dict.fromkeys("▆▇█", "#"),
    }
)
"""Characters of our own messages to ASCII; what has an ASCII letter in it keeps that, and all else becomes ``?``."""


def write_any_text() -> None:
    """Let standard output and error take any text, whatever their encoding: ``²`` becomes ``2`` where it has none."""
    codecs.register_error("mm.plain", _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="mm.plain")


def plain(text: str) -> str:
    """Return a text in ASCII, for a terminal that can show no more.

    >>> plain("R² – 3 × 64³ é 日")
    'R2 - 3 x 643 e ?'
    """
    return "".join(_in_ascii(character) for character in text)


def require_address_space() -> None:
    """Refuse a process that may not have the memory its libraries map.

    Raises
    ------
    MmError
        Says what is needed and how to get it.
    """
    limit = address_space_limit()
    needed = LEAST_ADDRESS_SPACE + ADDRESS_SPACE_PER_CORE * _num_cores()
    if limit is not None and limit < needed:
        raise MmError(
            f"mm needs {needed / 1e9:.1f} GB of address space on this machine, and this process may have "
            f"{limit / 1e9:.1f} GB (ulimit -v).",
            _UNLIMITED,
        )


def address_space_limit() -> int | None:
    """Return how many bytes a process may map; None: any number."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def set_threads() -> None:
    """Take OMP_NUM_THREADS as OpenMP defines it: a number, or several for levels of parallel regions in each other.

    Raises
    ------
    MmError
        It is neither.
    """
    given = os.environ.get("OMP_NUM_THREADS", "").strip()
    if not given:
        os.environ.pop("OMP_NUM_THREADS", None)  # set to nothing: libraries would say on the screen that it is wrong
        return
    counts = [count.strip() for count in given.split(",")]
    if not all(count.isascii() and count.isdecimal() and int(count) > 0 for count in counts):
        raise MmError(
            f"OMP_NUM_THREADS is {given!r}. Expected a number of threads, such as 4, or several with commas.",
            "Set it so, or unset it.",
        )
    if len(counts) > 1:
        os.environ.setdefault("NUMEXPR_NUM_THREADS", counts[0])  # it takes OMP_NUM_THREADS for one number


def name_user() -> None:
    """Give a user without a name their number for one: PyTorch and MONAI end where a container's user has none."""
    try:
        getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        os.environ["USER"] = str(os.getuid())


def memory_message(errors: Iterator[BaseException]) -> str | None:
    """Return what to tell about errors that caused each other if one says that memory, or threads, have run out."""
    for error in errors:
        if isinstance(error, RuntimeError) and str(error) == "can't start new thread":
            return "No more threads can be started: see ulimit -u and ulimit -v. What was stored is intact."
        if isinstance(error, MemoryError) or os.strerror(errno.ENOMEM) in str(error):
            limit = address_space_limit()
            of = "" if limit is None else f": this process may have {limit / 1e9:.1f} GB (ulimit -v)"
            return (
                f"Memory has run out{of}. What was stored is intact: free some, ask for fewer --workers or smaller "
                "batches, then run the same command again."
            )
    return None


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _replace(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return plain(error.object[error.start : error.end]), error.end


def _in_ascii(character: str) -> str:
    mapped = character.translate(_PLAIN)
    if mapped.isascii():
        return mapped
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"
