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
    from catalog.database import open_catalog
    from catalog.report import run_table, scan_table
    from catalog.summary import summarise
    from mmdata.report import array_table
    from mmdata.store.array import describe_arrays
    from mmtrain.run import list_runs

    study = study_of(context)
    warn_of_salt(study)
    layout = study.layout
    with open_catalog(layout.catalog) as catalog:
        summary = summarise(catalog)
    arrays = [*describe_arrays(layout.volumes), *describe_arrays(layout.augmented)]
    unfinished = [run.run_id for run in list_runs(layout.runs) if not run.metrics.exists()]
    splits = ", ".join(f"{number} {split}" for split, number in summary.splits.items())
    lines: list[Any] = [
        f"{layout.root}: {summary.samples} samples of {summary.participants} participants ({splits}), "
        f"{summary.features} features.",
        scan_table(summary),
        array_table(arrays),
        run_table(summary.runs) if summary.runs else "No finished run yet. Train one with: mm train --target age",
        *(f"Not finished: {run_id}. Resume it with: mm train --resume {run_id}" for run_id in unfinished),
    ]
    content = {"study": str(layout.root), **asdict(summary), "arrays": arrays, "unfinished_runs": unfinished}
    report(as_json, content, lines)


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
