"""Remove participants who withdrew."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mmcli.console import asking, fail, report, show_progress
from mmcli.options import NUM_CORES, DryRunOption, JsonOption, WorkersOption, YesOption, study_of


def withdraw(
    context: typer.Context,
    lists: Annotated[
        list[Path] | None,
        typer.Argument(help="Files with one participant number per line; none: finish what is pending."),
    ] = None,
    yes: YesOption = False,
    workers: WorkersOption = NUM_CORES,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove participants who withdrew, for good.

    Nothing of them is left in any file of the study.
    """
    from mmstudy.summaries import removal_lines
    from mmstudy.withdraw import preview_withdrawal, run_withdrawal

    study = study_of(context)
    if dry_run:
        result = preview_withdrawal(study, lists or [], show_progress)
    else:
        result = run_withdrawal(study, lists or [], show_progress, asking(yes=yes), workers=workers)
    report(as_json, asdict(result), list(removal_lines(result, is_preview=dry_run)))
    if result.unreached and not dry_run:
        fail(
            f"{len(result.unreached)} runs outside the study could not be reached and may still have data of withdrawn "
            "participants. Run mm withdraw again where they can be."
        )
