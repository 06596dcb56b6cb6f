"""`mm compare`: the models of a sweep, or of a published table, side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmcli.console import report, warn
from mmcli.options import JsonOption, OverwriteOption, dictionary_at_hand, study_of
from mmcli.sweep import NameOption

if TYPE_CHECKING:
    from mmstudy.comparison.compare import Comparison


def compare(
    context: typer.Context,
    name: NameOption = None,
    table: Annotated[
        Path | None, typer.Option(help="Compare the models of this table in the published 23 columns instead.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Compare the models of these targets alone.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Compare these methods alone, of separate, shared, frozen, baseline."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for tables and pictures; left out: results/ of the sweep.")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the models of a sweep, or of a published table.

    Best sets, differences and how sure they are, and what each input adds.

    \b
    mm compare                              the sweep of this study
    mm compare --table TABLE.csv --output DIR    a published table
    """  # noqa: D301 - click wants the control character itself
    from mmstudy.comparison.files import require_free, write_comparison
    from mmstudy.comparison.tables import comparison_lines, plain_comparison

    chosen = {column: words.split(",") for column, words in (("target", target), ("method", method)) if words}
    comparison, folder = (
        _of_table(context, table, chosen, output) if table else _of_sweep(context, name, chosen, output)
    )
    if output is not None and not overwrite:
        require_free(folder)
    files = write_comparison(comparison, folder)
    lines = [*comparison_lines(comparison), f"Wrote {len(files)} files to {folder}."]
    report(as_json, {"folder": str(folder), "files": files, **plain_comparison(comparison)}, lines)


def _of_table(
    context: typer.Context, table: Path, chosen: dict[str, list[str]], output: Path | None
) -> "tuple[Comparison, Path]":
    if output is None:
        raise typer.BadParameter("is needed with --table", param_hint="--output")
    from mmstudy.comparison.origins import compare_table

    return compare_table(table, dictionary_at_hand(context), chosen), output


def _of_sweep(
    context: typer.Context, name: str | None, chosen: dict[str, list[str]], output: Path | None
) -> "tuple[Comparison, Path]":
    from mmstudy.comparison.origins import compare_sweep
    from mmstudy.sweep.directory import find_sweep

    study = study_of(context)
    sweep = find_sweep(study.layout, name)
    return compare_sweep(study, sweep, warn, chosen), output or sweep.results
