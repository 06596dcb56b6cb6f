"""Make a study, and show what it holds."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from mmcli.console import out, report
from mmcli.options import JsonOption, study_of, warn_of_salt


def init(
    context: typer.Context,
    source: Annotated[
        list[str] | None, typer.Option(help="Folder that every ingest reads; bids: or folder: before other kinds.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of study.toml, e.g. volumes.sides=[128,64,32].")
    ] = None,
) -> None:
    """Make a study directory with an explained study.toml."""
    from mmdata.study import parse_config
    from mmstudy.settings import create_study
    from mmstudy.sources import resolve_entry

    settings = parse_assignments(setting or [])
    if source:
        settings["sources"] = [resolve_entry(entry) for entry in source]
    study = create_study(context.obj, parse_config(settings, "--set"))
    out.print(f"Made {study.layout.config}. Look through it before the first ingest.")


def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show what the study holds."""
    from catalog.report import run_table, scan_table
    from mmdata.report import array_table
    from mmstudy.status import study_status

    study = study_of(context)
    warn_of_salt(study)
    found = study_status(study)
    summary, root = found.summary, study.layout.root
    splits = ", ".join(f"{number} {split}" for split, number in summary.splits.items())
    lines: list[Any] = [
        f"{root}: {summary.samples} samples of {summary.participants} participants ({splits}), "
        f"{summary.features} features.",
        scan_table(summary),
        array_table(found.arrays),
        *(f"Missing: {array}. Make it again with: mm repair" for array in found.missing_arrays),
        run_table(summary.runs) if summary.runs else "No finished run yet. Train one with: mm train --target age",
        *(f"Not finished: {run_id}. Resume it with: mm train --resume {run_id}" for run_id in found.unfinished_runs),
        *(f"Out of reach: the run {path}" for path in found.unreachable_runs),
        *(
            f"May still have data of withdrawn participants: run {run_id}. Run mm withdraw"
            for run_id in found.uncleaned_runs
        ),
    ]
    others = {name: value for name, value in asdict(found).items() if name != "summary"}
    report(as_json, {"study": str(root), **asdict(summary), **others}, lines)


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Turn ``section.name=value`` into nested settings; a value is TOML, or else plain text.

    Raises
    ------
    typer.BadParameter
        There is no ``=``, or a name is that of a section and of a value.
    """
    import tomllib

    settings: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise typer.BadParameter("expected NAME=VALUE, got a text without =", param_hint="--set")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        *sections, last = name.strip().split(".")
        table = settings
        for section in sections:
            table = table.setdefault(section, {})
            if not isinstance(table, dict):
                raise typer.BadParameter(f"{section} is a section and a value at once", param_hint="--set")
        table[last] = value
    return settings
