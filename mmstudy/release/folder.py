"""The files of a folder, to be looked into."""

import io
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmstudy.release.errors import ReleaseError
from mmstudy.release.stream import Stream

_REPOSITORY = ".git"
"""Whose history has a check of its own."""


@dataclass(frozen=True, slots=True)
class OfferedFile:
    """One file that may be published."""

    name: str
    """With its folders, from where the check began."""
    stream: Stream
    """To be read before the next file is asked for."""
    commit: str = ""
    """That brought it; empty outside a repository."""


def files_below(root: Path) -> list[str]:
    """Return the names of all regular files below a folder; links are not followed.

    Raises
    ------
    ReleaseError
        It is no folder.
    """
    if not root.is_dir():
        raise ReleaseError(f"{root} is not a folder.", "Give a folder, or git:REPOSITORY for all of its history.")
    return sorted(_walk(root, ""))


def offer_files(root: Path, names: Iterable[str]) -> Iterator[OfferedFile]:
    """Yield files of a folder, each open until the next is asked for."""
    for name in names:
        try:
            file = (root / name).open("rb")
        except OSError:
            yield OfferedFile(name, Stream(name, _Unreadable()))
            continue
        with file:
            yield OfferedFile(name, Stream(name, file, os.fstat(file.fileno()).st_size))


def offer_contents(contents: Mapping[str, bytes]) -> Iterator[OfferedFile]:
    """Yield files that are not written yet, by name."""
    for name, content in contents.items():
        yield OfferedFile(name, Stream(name, io.BytesIO(content)))


def _walk(root: Path, below: str) -> Iterator[str]:
    with os.scandir(root / below) as entries:
        for entry in entries:
            name = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if entry.name != _REPOSITORY:
                    yield from _walk(root, f"{name}/")
            elif stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                yield name


class _Unreadable(io.RawIOBase):
    """A file that may not be opened."""

    def read(self, size: int = -1, /) -> bytes:
        raise PermissionError
