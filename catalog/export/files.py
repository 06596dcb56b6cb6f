"""Files that somebody takes away: named as their format is, and over nothing unasked."""

from collections.abc import Sequence
from pathlib import Path

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
        raise CatalogError(f"The folder {path.parent} does not exist.", "Make it, or give another name.")
    if path.exists() and not overwrite:
        raise CatalogError(f"{path} exists.", "Give another name, or --overwrite.")
