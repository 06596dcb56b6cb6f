"""Options and arguments that several commands share, and the study that `mm --study` names."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mmdata.study import Study

NUM_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

StudyOption = Annotated[Path, typer.Option("--study", envvar="MM_STUDY", help="The study's directory.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Remove many participants without a question.")]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=0, help="Worker processes; 0: work in the command's own process.")
]


def study_of(context: typer.Context) -> "Study":
    """Open the study that the command works on.

    Raises
    ------
    StudyError
        There is none, or its settings cannot be used.
    """
    from mmstudy.settings import load_study

    return load_study(context.obj)


def given_options(**options: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}
