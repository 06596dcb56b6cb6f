"""Write files so that a kill or a power cut leaves the old content or the new one, never a part of it.

Terms
-----
draft    the temporary file beside the one that is written; a killed writer may leave it, and the next one replaces it.

The order is: write the draft, fsync it, rename it, fsync its folder. Only then is the new content certain to stay, and
only in a folder that is certain to stay itself.
Source: rename(2) and fsync(2).
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import IO, Any

DRAFT_SUFFIX = ".tmp"
PRIVATE_MODE, PRIVATE_FOLDER_MODE = 0o600, 0o700
SHARED_MODE, SHARED_FOLDER_MODE = 0o666, 0o777
"""Less what the umask takes away: for what the user may want to share."""


def draft_of(path: Path) -> Path:
    """Return where the new content of a file is written first.

    >>> draft_of(Path("runs/age/config.json")).as_posix()
    'runs/age/config.json.tmp'
    """
    return path.with_name(path.name + DRAFT_SUFFIX)


@contextmanager
def replace_file(path: Path, *, mode: int = PRIVATE_MODE) -> Iterator[IO[bytes]]:
    """Open a file whose content takes the place of `path`'s when the block succeeds, and is discarded when it fails.

    Parameters
    ----------
    mode
        Who can read and write the file; left out: its owner alone.

    Raises
    ------
    OSError
        The disk is full or the folder cannot be written; `path` is as it was.
    """
    draft = draft_of(path)
    try:
        draft.unlink(missing_ok=True)  # a killed writer's, or a link that would lead elsewhere
        with open(draft, "xb", opener=partial(os.open, mode=mode)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_bytes(path: Path, content: bytes, *, mode: int = PRIVATE_MODE) -> None:
    """Write a file in one step; see `replace_file`."""
    with replace_file(path, mode=mode) as file:
        file.write(content)


def write_text(path: Path, text: str, *, mode: int = PRIVATE_MODE) -> None:
    """Write a UTF-8 text file in one step; see `replace_file`."""
    write_bytes(path, text.encode(), mode=mode)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object in one step; see `replace_file`."""
    write_bytes(path, to_json(content))


def to_json(content: Mapping[str, Any]) -> bytes:
    """Return the bytes of a JSON file."""
    return (json.dumps(content, indent=2) + "\n").encode()


def write_json_lines(path: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line in one step; see `replace_file`."""
    write_text(path, "".join(json.dumps(entry) + "\n" for entry in entries))


def make_directory(path: Path, *, mode: int = PRIVATE_FOLDER_MODE) -> None:
    """Make a folder and those above it; once it returns, they stay."""
    missing = missing_directories(path)
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    sync_made(missing)


def missing_directories(path: Path) -> list[Path]:
    """Return which of a folder and those above it are not there, the lowest first."""
    return list(takewhile(lambda folder: not folder.exists(), (path, *path.parents)))


def sync_made(directories: Iterable[Path]) -> None:
    """Make sure that folders which were made, the lowest first, are on the disk."""
    for directory in directories:
        sync_directory(directory.parent)


def sync_file(path: Path) -> None:
    """Make sure that a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make sure that files which were made, renamed or removed in a folder are so on the disk."""
    sync_file(path)
