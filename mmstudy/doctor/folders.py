"""The folders that commands write to: whether they can, whether two commands keep apart there, and how much fits."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from mmbase.lock import NO_LOCK, NoLocksError, hold_lock
from mmstudy.doctor.finding import Finding

LITTLE_SPACE_BYTES = 1 << 30
"""Where less is free, the next command is likely to fill it."""
LOCK_SECONDS = 60.0
_ANOTHER_FOLDER = "Name a folder that you can write to: mm --study DIR"
_ANOTHER_TMPDIR = "Free some space, or set TMPDIR to a folder on another disk."
_GIB = 1 << 30
_LOCK_AGAIN = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'a'), fcntl.LOCK_EX | fcntl.LOCK_NB)"


def examine_folders(study: Path) -> Iterator[Finding]:
    """Yield what the file systems of the study and of temporary files are like.

    Parameters
    ----------
    study
        Its folder, which need not be there: then the folder that it would be made in is looked at.
    """
    folder = next(path for path in (study.absolute(), *study.absolute().parents) if path.is_dir())
    named = str(folder) if folder == study.absolute() else f"{folder}, where {study.name} would be made"
    try:
        with tempfile.TemporaryDirectory(prefix=".mm-doctor-", dir=folder) as scratch:
            yield _examine_space("study", folder, named, "Free some space, or use another disk.")
            yield _examine_locks(Path(scratch) / "lock")
    except OSError as error:
        yield Finding("study", "stops", f"{named}: {error.strerror}", _ANOTHER_FOLDER)
    yield _examine_temporary()


def file_system_of(folder: Path) -> str:
    """Return the kind of the file system that a folder lies on, such as ext4 or nfs4."""
    mounts = {partition.mountpoint: partition.fstype for partition in psutil.disk_partitions(all=True)}
    found = (mounts.get(str(path)) for path in (folder.resolve(), *folder.resolve().parents))
    return next((kind for kind in found if kind), "of an unknown kind")


def _examine_space(subject: str, folder: Path, named: str, remedy: str) -> Finding:
    free = shutil.disk_usage(folder).free
    found = f"{named}: file system {file_system_of(folder)}, {free / _GIB:.1f} GiB free"
    if free >= LITTLE_SPACE_BYTES:
        return Finding(subject, "ok", found)
    return Finding(subject, "note", found, remedy)


def _examine_locks(path: Path) -> Finding:
    """Return whether a lock that this process holds keeps another process out."""
    if os.environ.get(NO_LOCK):
        return Finding("locks", "note", "not looked at, because of --no-lock", "One command at a time on a study.")
    try:
        with hold_lock(path):
            command = [sys.executable, "-c", _LOCK_AGAIN, str(path)]
            other = subprocess.run(command, capture_output=True, check=False, timeout=LOCK_SECONDS)
    except NoLocksError as error:
        return Finding("locks", "stops", error.what_happened, error.what_to_do)
    if other.returncode == 0:
        remedy = "Put the study on another file system, or take care that one command works at a time."
        return Finding("locks", "stops", "the file system gives one lock to two processes at once", remedy)
    return Finding("locks", "ok", "a second process on this machine is kept out")


def _examine_temporary() -> Finding:
    try:
        folder = Path(tempfile.gettempdir())
    except OSError:
        return Finding("temporary files", "stops", "no folder for them can be written to", "Set TMPDIR to one.")
    return _examine_space("temporary files", folder, str(folder), _ANOTHER_TMPDIR)
