"""Check what somebody is about to publish: a folder, all of a repository's history, or what is staged."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from mmbase.printable import without_numbers
from mmstudy.progress import Progress
from mmstudy.release.errors import ReleaseError
from mmstudy.release.exceptions import FILE_NAME, StatedException, find_stale, parse_exceptions, read_exceptions
from mmstudy.release.folder import OfferedFile, files_below, offer_files
from mmstudy.release.kinds import WHAT_TO_DO, Kind, Mark
from mmstudy.release.look import Looker
from mmstudy.release.people import People
from mmstudy.release.repository import (
    history_blobs,
    offer_blobs,
    offer_messages,
    staged_blobs,
    stated_in,
)

GIT = "git:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """All of one kind that was found in one file."""

    file: str
    """Its name with its folders; what may be an eid is hidden."""
    commit: str
    """That brought the file; empty outside a repository."""
    member: str
    """The way into an archive; empty for the file itself."""
    at: str
    """Where the first is, e.g. ``line 12``; empty: the file as a whole."""
    kind: Kind
    what: str
    places: int
    """Where it was found in the file: stretches of text, cells, members."""
    reason: str = ""
    """Why it may leave, where an exception states so."""

    @property
    def do(self) -> str:
        """Return what to do about it."""
        return WHAT_TO_DO[self.kind]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {**asdict(self), "do": self.do}


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseCheck:
    """What a check came to."""

    findings: tuple[Finding, ...]
    """What must not be published."""
    excused: tuple[Finding, ...]
    """What was found and is stated to be an exception."""
    stale: tuple[str, ...]
    """Exceptions that were not needed, as path and kind."""
    num_files: int
    num_bytes: int
    """That were read, unpacked ones not counted."""


def check_folder(
    root: Path, people: People | None, progress: Progress, exceptions: Sequence[StatedException] | None = None
) -> ReleaseCheck:
    """Check every file below a folder.

    Parameters
    ----------
    people
        Of the study; None: participants are known by shape alone.
    exceptions
        None: those that the folder's own file states.

    Raises
    ------
    ReleaseError
        It is no folder, or its exceptions cannot be read.
    """
    names = files_below(root)
    if exceptions is None:
        own = root / FILE_NAME
        exceptions = read_exceptions(own) if own.is_file() else ()
    return check_files(root, names, people, progress, exceptions)


def check_files(
    root: Path, names: Sequence[str], people: People | None, progress: Progress, exceptions: Sequence[StatedException]
) -> ReleaseCheck:
    """Check some files of a folder."""
    return _check(offer_files(root, names), len(names), Looker(people), exceptions, progress)


def check_history(
    repository: Path, people: People | None, progress: Progress, exceptions: Sequence[StatedException] | None = None
) -> ReleaseCheck:
    """Check every file that a commit of a repository ever held, and what commits and tags say.

    Parameters
    ----------
    exceptions
        None: those that the newest commit states.

    Raises
    ------
    ReleaseError
        It is no repository, git cannot read it, or its exceptions cannot be read.
    """
    blobs = history_blobs(repository)
    if exceptions is None:
        exceptions = parse_exceptions(stated_in(repository, staged=False), FILE_NAME)
    offered = chain(offer_blobs(repository, blobs), offer_messages(repository))
    return _check(offered, len(blobs), Looker(people), exceptions, progress)


def check_staged(
    repository: Path, people: People | None, progress: Progress, exceptions: Sequence[StatedException] | None = None
) -> ReleaseCheck:
    """Check what the next commit of a repository would bring; no exception is stale for what is not staged.

    Raises
    ------
    ReleaseError
        As `check_history`.
    """
    blobs = staged_blobs(repository)
    if exceptions is None:
        exceptions = parse_exceptions(stated_in(repository, staged=True), FILE_NAME)
    check = _check(offer_blobs(repository, blobs), len(blobs), Looker(people), exceptions, progress)
    return replace(check, stale=())


def gather(file: OfferedFile, marks: Iterable[Mark]) -> list[Finding]:
    """Return what was seen in a file, all of one kind as one finding."""
    by_kind: dict[Kind, list[Mark]] = {}
    for mark in marks:
        by_kind.setdefault(mark.kind, []).append(mark)
    return [
        Finding(
            file=without_numbers(file.name),
            commit=file.commit,
            member=" > ".join(map(without_numbers, first.members)),
            at=first.at,
            kind=kind,
            what=first.what,
            places=1 + len(others),
        )
        for kind, (first, *others) in by_kind.items()
    ]


def _check(
    offered: Iterator[OfferedFile],
    num_offered: int,
    looker: Looker,
    exceptions: Sequence[StatedException],
    progress: Progress,
) -> ReleaseCheck:
    findings: list[Finding] = []
    excused: list[Finding] = []
    used: set[tuple[StatedException, Kind]] = set()
    num_files = num_bytes = 0
    with progress("files") as on_progress:
        for file in offered:
            for finding in gather(file, looker.look(file.stream, file.name)):
                needed = [one for one in exceptions if one.excuses(file.name, finding.kind)]
                used.update((one, finding.kind) for one in needed)
                if needed:
                    excused.append(replace(finding, reason=needed[0].reason))
                else:
                    findings.append(finding)
            num_files, num_bytes = num_files + 1, num_bytes + file.stream.num_bytes
            on_progress(min(num_files, num_offered), num_offered)
    return ReleaseCheck(
        findings=tuple(findings),
        excused=tuple(excused),
        stale=tuple(find_stale(exceptions, used)),
        num_files=num_files,
        num_bytes=num_bytes,
    )


def require_publishable(offered: Iterable[OfferedFile], people: People | None) -> None:
    """Refuse what mm is about to leave where others are meant to have it.

    Bare numbers are passed over: mm has computed them, and of a large study many are somebody's eid by chance.

    Raises
    ------
    ReleaseError
        Something in it must not be published.
    """
    looker = Looker(people, bare=False)
    for file in offered:
        for found in gather(file, looker.look(file.stream, file.name)):
            where = ", ".join(filter(None, (found.file, found.member, found.at)))
            raise ReleaseError(
                f"What was made must not leave the study, so it is not kept: {where}: {found.what}.", found.do
            )
