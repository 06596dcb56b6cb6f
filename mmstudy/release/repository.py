"""The files of a git repository, to be looked into: all that any commit ever held, or what is staged.

git itself is asked, so whatever it can read can be checked. A blob is looked at once, by the name under which the first
commit brought it.
"""

import io
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmstudy.release.errors import ReleaseError
from mmstudy.release.exceptions import FILE_NAME
from mmstudy.release.folder import OfferedFile
from mmstudy.release.stream import Readable, Stream

MESSAGE = "(commit message)"
_COMMIT = b"\x01"
_SUBMODULE = b"160000"
_DELETED = frozenset(b"0" * digits for digits in (40, 64))
"""Stands for no object, in repositories of SHA-1 and of SHA-256."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A file's content as git keeps it."""

    object_id: str
    name: str
    commit: str


def history_blobs(repository: Path) -> list[Blob]:
    """Return every blob that a commit of any branch or tag holds, the oldest first.

    Raises
    ------
    ReleaseError
        It is no repository, or git cannot read it.
    """
    # -c: of a merge, what is in none of its parents; everything else came with a commit before it
    log = ("log", "--all", "--reverse", "--raw", "-c", "--root", "--no-renames", "--no-abbrev", "-z", "--format=%x01%H")
    return list(_parse_raw(_git(repository, *log)))


def staged_blobs(repository: Path) -> list[Blob]:
    """Return every blob that the next commit would bring.

    Raises
    ------
    ReleaseError
        It is no repository, or git cannot read it.
    """
    return list(_parse_raw(_git(repository, "diff", "--cached", "--raw", "--no-renames", "--no-abbrev", "-z")))


def offer_blobs(repository: Path, blobs: Sequence[Blob]) -> Iterator[OfferedFile]:
    """Yield the files of some blobs."""
    with _reading(repository) as git:
        for blob in blobs:
            assert git.stdin is not None and git.stdout is not None  # as it was started
            git.stdin.write(f"{blob.object_id}\n".encode())
            git.stdin.flush()
            *_, kind, size = git.stdout.readline().split()
            if kind != b"blob":
                raise ReleaseError(f"git cannot read the object {blob.object_id} of {repository}.", "Run: git fsck")
            portion = _Portion(git.stdout, int(size))
            yield OfferedFile(blob.name, Stream(blob.name, portion), blob.commit)
            portion.skip_rest()
            git.stdout.read(1)  # the newline that git writes behind each


def offer_messages(repository: Path) -> Iterator[OfferedFile]:
    """Yield the messages of all commits and tags, as files."""
    for entry in _git(repository, "log", "--all", "-z", "--format=%H%n%B").split(b"\0"):
        commit, _, message = entry.partition(b"\n")
        if message:
            yield OfferedFile(MESSAGE, Stream(MESSAGE, io.BytesIO(message)), commit.decode())
    tags = _git(repository, "for-each-ref", "refs/tags", "--format=%(contents)")
    yield OfferedFile("(messages of tags)", Stream("(messages of tags)", io.BytesIO(tags)))


def stated_in(repository: Path, *, staged: bool) -> str:
    """Return the text of the file of exceptions in the newest commit, or as it is staged; empty where there is none."""
    named = f"{'' if staged else 'HEAD'}:{FILE_NAME}"
    found = subprocess.run(["git", "-C", repository, "show", named], capture_output=True, check=False)
    return found.stdout.decode(errors="replace") if found.returncode == 0 else ""


def _parse_raw(output: bytes) -> Iterator[Blob]:
    """Yield the blobs of git's raw format, each once.

    Source: git-diff(1), RAW OUTPUT FORMAT.
    """
    fields = iter(output.split(b"\0"))
    commit, seen = "", set()
    for field in fields:
        if field.startswith(_COMMIT):
            commit = field[1:].decode()
            continue
        change = field.lstrip(b"\n")
        if not change.startswith(b":"):
            continue
        num_parents = len(change) - len(change.lstrip(b":"))
        parts = change.lstrip(b":").split()
        mode, object_id = parts[num_parents], parts[2 * num_parents + 1]
        name = next(fields)
        if mode != _SUBMODULE and object_id not in _DELETED and object_id not in seen:
            seen.add(object_id)
            yield Blob(object_id.decode(), name.decode(errors="surrogateescape"), commit)


def _git(repository: Path, *words: str) -> bytes:
    try:
        found = subprocess.run(["git", "-C", repository, *words], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise ReleaseError("The program git is not installed here.", "Install it, or check a folder.") from error
    if found.returncode:
        said = found.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        raise ReleaseError(
            f"git cannot read {repository}. It says: {said[0]}", "Give git: and the folder of a repository."
        )
    return found.stdout


@contextmanager
def _reading(repository: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Start git to be asked for one object after another."""
    with subprocess.Popen(
        ["git", "-C", repository, "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as git:
        try:
            yield git
        finally:
            git.kill()


class _Portion(io.RawIOBase):
    """The next bytes of a longer file."""

    def __init__(self, file: Readable, num_bytes: int) -> None:
        self._file = file
        self._left = num_bytes

    def read(self, size: int = -1, /) -> bytes:
        content = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(content)
        return content

    def skip_rest(self) -> None:
        """Read on to the end."""
        while self._left and self.read(1 << 20):
            pass
