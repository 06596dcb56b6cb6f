"""The source tree of a commit, put into a folder of its own without a trace in the repository."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

WORKING_TREE = "."
"""In place of a revision: what lies in the repository now, committed or not."""


def export_source(repository: Path, revision: str, folder: Path) -> str:
    """Write the files of a revision into a new folder; return how to call it in a report.

    Of the working tree these are the files that git does not ignore, as they are now: it may be edited afterwards.

    Raises
    ------
    SystemExit
        There is no such revision.
    """
    if revision == WORKING_TREE:
        listed = _git(repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard").decode()
        for name in filter(None, listed.split("\0")):
            if (repository / name).is_file():  # not if it was deleted and that is not committed
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(repository / name, folder / name)
        return f"working tree on {_describe(repository, 'HEAD')}"
    described = _describe(repository, revision)
    with tarfile.open(fileobj=io.BytesIO(_git(repository, "archive", "--format=tar", revision))) as archive:
        archive.extractall(folder, filter="data")
    return described


def find_repository(folder: Path) -> Path:
    """Return the top of the repository that a folder belongs to."""
    return Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())


def _describe(repository: Path, revision: str) -> str:
    """Return a commit's short hash and subject."""
    return _git(repository, "log", "-1", "--format=%h %s", revision, "--").decode().strip()


def _git(folder: Path, *words: str) -> bytes:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {' '.join(words[:2])} failed: {done.stderr.decode().strip()}")
    return done.stdout
