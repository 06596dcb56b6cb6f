"""List folders by name, in order and through links; no file is opened."""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmdata.errors import SourceError

FolderIdentity = tuple[int, int]
"""Device and inode: the same for a folder and every link to it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """What lies in one folder."""

    folder: Path = field(repr=False)
    folders: list[str] = field(repr=False)
    """Names of folders and of links to folders, sorted."""
    files: list[str] = field(repr=False)
    """Names of everything else, sorted."""

    def path(self, name: str) -> Path:
        """Return where a name of this folder lies."""
        return self.folder / name


def require_folder(root: Path, meaning: str) -> None:
    """Refuse a source that is no folder.

    Parameters
    ----------
    meaning
        What the folder should be, for the message.

    Raises
    ------
    SourceError
        It does not exist or is something else.
    """
    if not root.is_dir():
        raise SourceError(f"The source {root} is not a folder.", f"Give {meaning}.")


def list_folder(folder: Path, root: Path) -> Listing:
    """List one folder of a source.

    Raises
    ------
    SourceError
        It cannot be read. The message names the source, not the folder, whose name may be a participant's.
    """
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                (folders if _is_folder(entry) else files).append(entry.name)
    except OSError as error:
        raise _unreadable(root, error) from error
    return Listing(folder=folder, folders=sorted(folders), files=sorted(files))


def walk_folders(root: Path, seen: set[FolderIdentity]) -> Iterator[Listing]:
    """List a folder and all below it, each before its own folders, and each folder once however many links lead to it.

    A caller may take names out of a listing's `folders`: these are not entered.

    Parameters
    ----------
    seen
        Folders not to enter; those entered are added.

    Raises
    ------
    SourceError
        A folder cannot be read.
    """
    pending = [root]
    while pending:
        folder = pending.pop()
        identity = folder_identity(folder, root)
        if identity in seen:
            continue
        seen.add(identity)
        listing = list_folder(folder, root)
        yield listing
        pending.extend(map(listing.path, reversed(listing.folders)))


def folder_identity(folder: Path, root: Path) -> FolderIdentity:
    """Return what tells a folder of a source from every other.

    Raises
    ------
    SourceError
        It cannot be reached.
    """
    try:
        entry = folder.stat()
    except OSError as error:
        raise _unreadable(root, error) from error
    return entry.st_dev, entry.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link to itself leads nowhere
            return False
        raise


def _unreadable(root: Path, error: OSError) -> SourceError:
    return SourceError(
        f"The source {root} holds a folder that cannot be read ({error.strerror}). Expected to read all of them.",
        "Check the permissions of the folders and links below it.",
    )
