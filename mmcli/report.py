"""`mm report`: what many models came to, as one page to explore."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmcli.console import report as print_report
from mmcli.console import warn
from mmcli.options import JsonOption, OverwriteOption, dictionary_at_hand, study_of
from mmcli.page import open_page
from mmcli.sweep import NameOption

if TYPE_CHECKING:
    from mmstudy.comparison.compare import Comparison

SUFFIX = ".html"
TITLE = "What can be predicted from what"


def report(
    context: typer.Context,
    output: Annotated[Path, typer.Option(help="File for the page, e.g. report.html.")],
    results: Annotated[
        Path | None, typer.Option(help="Report the models of this table in the published 23 columns instead.")
    ] = None,
    name: NameOption = None,
    title: Annotated[str, typer.Option(help="What stands above the page.")] = TITLE,
    overwrite: OverwriteOption = False,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write what a sweep, or a published table, came to as one page.

    A graph of the targets, the grid of all models, and what each input adds. The page loads nothing and shows no
    single person.

    \b
    mm report --output report.html                          the sweep of this study
    mm report --results TABLE.csv --output report.html      a published table
    """  # noqa: D301 - click wants the control character itself
    from catalog.export.files import require_writable
    from mmbase.files import write_text
    from mmstudy.report.content import About, report_content
    from mmstudy.report.page.page import report_page

    if results is not None and name is not None:
        raise typer.BadParameter("a table has no sweep", param_hint="--name")
    require_writable(output, [SUFFIX], overwrite=overwrite)
    comparison, runs = _of_sweep(context, name, output) if results is None else (_of_table(context, results), None)
    source = "runs" if results is None else "table"
    about = About(title=title, source=source, made_on=f"{datetime.now(UTC):%Y-%m-%d}", runs=runs)
    content = report_content(comparison, dictionary_at_hand(context), about)
    write_text(output, report_page(content))
    if open_it:
        open_page(output)
    told = {"page": str(output), **comparison.counts, "targets": len(content["targets"])}
    line = f"Wrote {output}: {told['models']} models of {told['targets']} targets. Open it in a browser."
    print_report(as_json, told, [*comparison.notes, line])


def _of_table(context: typer.Context, table: Path) -> "Comparison":
    from mmstudy.comparison.origins import compare_table

    return compare_table(table, dictionary_at_hand(context))


def _of_sweep(context: typer.Context, name: str | None, output: Path) -> "tuple[Comparison, str | None]":
    """Return a comparison, and the address of the study's runs as the page sees it."""
    from mmstudy.comparison.origins import compare_sweep
    from mmstudy.report.content import address_of_runs
    from mmstudy.sweep.directory import find_sweep

    study = study_of(context)
    sweep = find_sweep(study.layout, name)
    return compare_sweep(study, sweep, warn), address_of_runs(study.layout, output)
