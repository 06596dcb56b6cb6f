"""The members of a bulk item: of a zip archive, or of the folder it was unpacked to.

Members are read one by one into memory, never extracted, so a member's path cannot write anything anywhere; an archive
that tries is refused all the same, because nobody made it in good faith.
"""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

from mmbase.input_files import require_regular
from mmdata.errors import ScanRejected
from mmdata.volume.nifti import MAX_VOLUME_BYTES

_OF_MAC_OS = "__MACOSX/"
"""Folder of an archive packed by macOS: what its file system knows of the members, under their names."""
NOT_DATA = ("unusable", "incompatible")
"""Words in a member's path by which UK Biobank marks images that are not data."""
MAX_DIRECTORY_BYTES = 1 << 24
"""A zip archive with a larger table of contents is refused; a dMRI archive's takes some 50 kB."""
_END_RECORD, _END_RECORD_BYTES, _MAX_COMMENT_BYTES = b"PK\x05\x06", 22, 1 << 16


class Members(Protocol):
    """What an archive and a folder have in common."""

    def names(self) -> Sequence[str]:
        """Return the paths of all members, with forward slashes."""

    def find(self, name: str) -> str | None:
        """Return the path of a member by its own path or the end of it, unless it is marked as no data."""

    def read(self, found: str) -> bytes:
        """Return a member's bytes.

        Raises
        ------
        ScanRejected
            ``bad-dimensions``: it is larger than any volume that is read.
        """


@contextmanager
def open_members(path: Path) -> Iterator[Members]:
    """Open a zip archive or a folder for reading.

    Raises
    ------
    ScanRejected
        ``bad-archive``, ``unsafe-archive`` or ``unreadable``.
    """
    try:
        if path.is_dir():
            yield _Folder(path)
            return
        require_regular(path)
        _refuse_endless_directory(path)
        with zipfile.ZipFile(path) as archive:
            _refuse_outside_paths(list(map(_with_slashes, archive.namelist())))
            yield _Archive(archive)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise ScanRejected("bad-archive", f"the zip archive is damaged ({type(error).__name__})") from error
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> ScanRejected:
    """Return the rejection of a file or folder that the machine cannot read."""
    is_dangling = isinstance(error, FileNotFoundError) and path.is_symlink()
    fault = "a link leads to no file; fetch it, e.g. datalad get" if is_dangling else error.strerror
    return ScanRejected("unreadable", f"the file cannot be read ({fault})")


def read_member(members: Members, *names: str, missing_reason: str = "missing-image") -> bytes:
    """Return the first of several members that is there.

    Raises
    ------
    ScanRejected
        ``unusable`` where only members marked as no data are left, else `missing_reason`.
    """
    for name in names:
        if found := members.find(name):
            return members.read(found)
    for mark in NOT_DATA:
        if any(mark in name for name in members.names()):
            raise ScanRejected("unusable", f"the source marks its images as {mark}")
    raise ScanRejected(missing_reason, f"expected {' or '.join(names)}")


class _Archive:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members = {_with_slashes(member.filename): member for member in archive.infolist()}

    def names(self) -> Sequence[str]:
        return list(self._members)

    def find(self, name: str) -> str | None:
        return _find(self.names(), name)

    def read(self, found: str) -> bytes:
        member = self._members[found]
        _refuse_large(member.file_size, found)
        return self._archive.read(member)  # stops at the size it declares


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> Sequence[str]:
        return [path.relative_to(self._root).as_posix() for path in sorted(self._root.rglob("*"))]

    def find(self, name: str) -> str | None:
        return name if self._root.joinpath(name).is_file() else _find(self.names(), name)

    def read(self, found: str) -> bytes:
        path = self._root / found
        _refuse_large(require_regular(path).st_size, found)
        return path.read_bytes()


def _find(names: Sequence[str], wanted: str) -> str | None:
    for name in names:
        if (name == wanted or name.endswith("/" + wanted)) and not any(
            mark in name for mark in (*NOT_DATA, _OF_MAC_OS)
        ):
            return name
    return None


def _with_slashes(name: str) -> str:
    """Return a member's path as the format has it; programs of Windows have packed backslashes."""
    return name.replace("\\", "/")


def _refuse_large(num_bytes: int, name: str) -> None:
    if num_bytes > MAX_VOLUME_BYTES:
        raise ScanRejected(
            "bad-dimensions",
            f"expected at most {MAX_VOLUME_BYTES:,} bytes, {PurePosixPath(name).name} has {num_bytes:,}",
        )


def _refuse_outside_paths(names: Sequence[str]) -> None:
    if any(name.startswith("/") or ".." in PurePosixPath(name).parts for name in names):
        raise ScanRejected("unsafe-archive", "a member's path leads out of the archive")


def _refuse_endless_directory(path: Path) -> None:
    """Refuse an archive whose table of contents alone would fill the memory; see APPNOTE.TXT, 4.3.16."""
    with path.open("rb") as file:
        num_bytes = file.seek(0, 2)
        file.seek(max(0, num_bytes - _END_RECORD_BYTES - _MAX_COMMENT_BYTES))
        tail = file.read()
    end = tail.rfind(_END_RECORD)
    if end >= 0 and int.from_bytes(tail[end + 12 : end + 16], "little") > MAX_DIRECTORY_BYTES:
        raise ScanRejected("bad-archive", "the archive's table of contents is beyond all measure")
