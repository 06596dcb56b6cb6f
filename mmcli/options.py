"""Options and arguments that several commands share, and the study that `mm --study` names."""

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmcli.console import warn

if TYPE_CHECKING:
    from catalog.fields import Dictionary
    from mmdata.study import Study

NUM_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _print_version(wanted: bool) -> None:
    if wanted:
        from mmstudy.doctor.installation import told_version

        typer.echo(f"mm {told_version()}")
        raise typer.Exit


StudyOption = Annotated[Path, typer.Option("--study", envvar="MM_STUDY", help="The study's directory.")]
VersionOption = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and leave.")
]
NoLockOption = Annotated[
    bool, typer.Option("--no-lock", help="Work where the file system has no locks: one command at a time.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Remove many participants without a question.")]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=0, help="Worker processes; 0: work in the command's own process.")
]


def with_study_first(words: Sequence[str]) -> list[str]:
    """Put ``--study`` before the command, where it belongs, also when it was given behind it.

    >>> with_study_first(["status", "--json", "--study", "x"])
    ['--study', 'x', 'status', '--json']
    """
    study: list[str] = []
    others: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            others += [word, *rest]
        elif word == "--study":
            study += [word, *islice(rest, 1)]
        else:
            (study if word.startswith("--study=") else others).append(word)
    return study + others


def study_of(context: typer.Context) -> "Study":
    """Open the study that the command works on.

    Raises
    ------
    StudyError
        There is none, or its settings cannot be used.
    """
    from mmstudy.settings import load_study

    return load_study(context.obj)


def study_at_hand(context: typer.Context) -> "Study | None":
    """Open the study that the command works on; None where there is none and none was named, for bundles need none.

    Raises
    ------
    StudyError
        There is none where one was named, or its settings cannot be used.
    """
    source = context.find_root().get_parameter_source("study")
    is_named = source is not None and source.name != "DEFAULT"
    root: Path = context.obj
    return study_of(context) if is_named or (root / "study.toml").exists() else None


def dictionary_at_hand(context: typer.Context) -> "Dictionary":
    """Return the features that the study at hand knows; where there is no study, those that mm knows.

    Raises
    ------
    StudyError
        There is no study where one was named, or its settings cannot be used.
    """
    from catalog.fields import load_dictionary
    from mmstudy.dictionary import study_dictionary

    study = study_at_hand(context)
    return load_dictionary() if study is None else study_dictionary(study)


def warn_of_salt(study: "Study") -> None:
    """Say so where a study that was made before salts were looked at has one that is easy to guess."""
    from mmdata.salt import find_weakness

    if weakness := find_weakness(study.config.salt):
        warn(
            f"the salt of this study is easy to guess: {weakness}. Whoever guesses it knows which sample is which "
            "participant. A study cannot change its salt: keep sample ids as private as eids, or make a new study."
        )


def given_options(**options: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}
