"""Write a file that somebody takes away: whole or not at all, readable by its owner alone, over nothing unasked."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from catalog.errors import CatalogError


def require_writable(path: Path, suffixes: Sequence[str], *, overwrite: bool) -> None:
    """Refuse a file whose name ends otherwise, or that is there already; called before the work begins.

    Raises
    ------
    CatalogError
        Says what was expected.
    """
    if path.suffix not in suffixes:
        got = f"ends in {path.suffix}" if path.suffix else "has no ending"
        raise CatalogError(f"Expected a file that ends in {' or '.join(suffixes)}; the name that was given {got}.")
    if not path.parent.is_dir():
        raise CatalogError(f"The folder {path.parent} does not exist. Make it, or give another name.")
    if path.exists() and not overwrite:
        raise CatalogError(f"{path} exists. Give another name, or --overwrite.")


@contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes its name when the block has ended; a block that fails leaves nothing."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(draft, "xb", opener=_open_private) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink(missing_ok=True)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
