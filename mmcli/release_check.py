"""`mm release-check`: what must not be published, found before somebody publishes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmcli.console import fail, report, show_progress, warn
from mmcli.options import JsonOption, study_at_hand

if TYPE_CHECKING:
    from mmstudy.release.check import Finding, ReleaseCheck

_SHORT_COMMIT = 12


def release_check(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(help="A folder, or git:REPOSITORY for every commit of it.", metavar="DIR | git:REPOSITORY")
    ] = ".",
    staged: Annotated[
        bool, typer.Option("--staged", help="Check what the next commit of the repository would bring, and no more.")
    ] = False,
    exceptions: Annotated[
        Path | None, typer.Option(help="File of stated exceptions; left out: .release-check.toml of what is checked.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find what must not be published, before it is.

    Participants of the study, rows of single people, notebook outputs, images, pickles, keys and the like, also in
    archives. Nothing of them is printed. Exit code 1 where something is found.

    \b
    mm release-check paper/                 a folder
    mm release-check git:paper              all that any commit of a repository ever held
    mm release-check --staged               what the next commit would bring, for a hook
    """  # noqa: D301 - click wants the control character itself
    from mmstudy.release.check import GIT, check_folder, check_history, check_staged
    from mmstudy.release.exceptions import read_exceptions
    from mmstudy.release.people import read_people

    study = study_at_hand(context)
    people = None if study is None else read_people(study)
    stated = None if exceptions is None else read_exceptions(exceptions)
    where = Path(what.removeprefix(GIT))
    if staged:
        check = check_staged(where, people, show_progress, stated)
    elif what.startswith(GIT):
        check = check_history(where, people, show_progress, stated)
    else:
        check = check_folder(where, people, show_progress, stated)
        if (where / ".git").exists():
            warn(f"what earlier commits held was not looked at: mm release-check git:{where} does.")
    if people is None:
        warn(
            "there is no study here, so participants are known by what stands beside a number alone. Name it: --study."
        )
    report(as_json, _plain(check), list(_lines(check)))
    if check.findings:
        fail("What is named above must not be published as it is.")


def _plain(check: "ReleaseCheck") -> dict[str, object]:
    return {
        "findings": [finding.to_json() for finding in check.findings],
        "excused": [finding.to_json() for finding in check.excused],
        "stale": list(check.stale),
        "files": check.num_files,
        "bytes": check.num_bytes,
    }


def _lines(check: "ReleaseCheck") -> Iterator[str]:
    by_remedy: dict[str, list[Finding]] = {}
    for finding in check.findings:
        by_remedy.setdefault(finding.do, []).append(finding)
    for remedy, findings in by_remedy.items():
        yield from (f"{_place(finding)}: {finding.what} ({finding.kind.value})" for finding in findings)
        yield f"  {remedy}"
    yield from (f"An exception that is not needed any more: {one}. Take it out." for one in check.stale)
    excused = f", and {len(check.excused)} that exceptions excuse" if check.excused else ""
    yield f"Files: {check.num_files:,}, {check.num_bytes / 1e6:,.1f} MB. Findings: {len(check.findings)}{excused}."


def _place(finding: "Finding") -> str:
    """Return where something was found, e.g. ``a.zip > b.csv, line 3, and in 4 other places``."""
    file = f"{finding.file} > {finding.member}" if finding.member else finding.file
    where = ", ".join(filter(None, (file, finding.at)))
    more = f", and in {finding.places - 1} more places" if finding.places > 1 else ""
    commit = f"commit {finding.commit[:_SHORT_COMMIT]}: " if finding.commit else ""
    return f"{commit}{where}{more}"
