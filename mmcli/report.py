"""`mm report`: what many models came to, as one page to explore."""

import sys
from collections.abc import Callable, Collection
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbase.errors import MmError
from mmcli.console import report as print_report
from mmcli.console import say, show_progress, warn
from mmcli.options import JsonOption, OverwriteOption, dictionary_at_hand, study_of
from mmcli.page import open_address, open_page
from mmcli.sweep import NameOption

if TYPE_CHECKING:
    from catalog.fields import Dictionary
    from mmdata.study import Study
    from mmstudy.comparison.compare import Comparison
    from mmstudy.report.other_table import OtherTable
    from mmstudy.sweep.directory import SweepDirectory

SUFFIX = ".html"
TITLE = "What can be predicted from what"


def report(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option(help="File for the page, e.g. report.html.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Report the models of this table in the published 23 columns instead.")
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(help="Show the scores of this table in the published 23 columns beside those of the models."),
    ] = None,
    name: NameOption = None,
    title: Annotated[str, typer.Option(help="What stands above the page.")] = TITLE,
    figures: Annotated[
        bool, typer.Option("--figures", help="Write every picture beside the page, in figures/: PNG, SVG and csv.")
    ] = False,
    overwrite: OverwriteOption = False,
    serve: Annotated[
        bool,
        typer.Option("--serve", help="Serve the page to this machine's browser, and keep it up to date until Ctrl-C."),
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of --serve; 0: any that is free.")] = 0,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write many models as one page to explore.

    A graph of the targets, the grid of all models, and what each input adds. The page loads nothing and shows no
    single person.

    \b
    mm report --output report.html                          the sweep of this study
    mm report --results TABLE.csv --output report.html      a published table
    mm report --beside TABLE.csv --output report.html       published scores beside those of this study
    mm report --serve                                       while the sweep runs
    """  # noqa: D301 - click wants the control character itself
    if results is not None and (name is not None or serve):
        raise typer.BadParameter("is of a sweep, and a table has none", param_hint="--serve" if serve else "--name")
    if (output is None) is not serve:
        raise typer.BadParameter("or --serve is needed, and not both", param_hint="--output")
    if figures and serve:
        raise typer.BadParameter("is for a page that is written to a file", param_hint="--figures")
    if output is None:
        _serve(context, name, beside, title, port, open_it=open_it, as_json=as_json)
        return
    from catalog.export.files import require_writable
    from mmstudy.comparison.files import require_free
    from mmstudy.on_record import today
    from mmstudy.report.files import ReportFile, report_sweep, report_table

    require_writable(output, [SUFFIX], overwrite=overwrite)
    file = ReportFile(page=output, title=title, made_on=today(), has_figures=figures)
    if figures and not overwrite:
        require_free(file.folder)
    dictionary = dictionary_at_hand(context)
    if results is None:
        study, sweep = _sweep_of(context, name)
        other = _other_table(beside, dictionary, lambda: _targets_of_sweep(sweep))
        written = report_sweep(study, sweep, file, warn, show_progress, other)
    else:
        other = _other_table(beside, dictionary, lambda: _targets_of_table(results, dictionary))
        written = report_table(results, dictionary, file, other)
    if open_it:
        open_page(output)
    told = {"page": str(output), **_counts_of(written.comparison), "figures": written.figures}
    lines = [f"Wrote {output}: {told['models']} models of {told['targets']} targets. Open it in a browser."]
    if written.beside:
        told["beside"] = written.beside
        lines = [*written.beside, *lines]
    if written.figures:
        lines.append(f"Wrote {len(written.figures)} files to {file.folder}.")
    told["warnings"] = written.warnings
    print_report(as_json, told, [*written.comparison.notes, *lines, *written.warnings])


def _serve(
    context: typer.Context,
    name: str | None,
    beside: Path | None,
    title: str,
    port: int,
    *,
    open_it: bool,
    as_json: bool,
) -> None:
    """Serve the page of a sweep until Ctrl-C."""
    from mmstudy.report.live import LiveReport
    from mmstudy.report.serving import LivePage, PageServer

    study, sweep = _sweep_of(context, name)
    other = _other_table(beside, dictionary_at_hand(context), lambda: _targets_of_sweep(sweep))
    with closing(LiveReport(study, sweep, title, warn, other)) as live, ExitStack() as at_the_end:
        page = at_the_end.enter_context(closing(LivePage(mark=live.mark, make=live.make)))
        page.text()  # what stands in the way is told before anybody is given an address
        try:
            server = at_the_end.enter_context(PageServer(page, port))
            _tell_address(server.address, at_the_end, open_it=open_it, as_json=as_json)
            server.serve_forever()
        except KeyboardInterrupt:
            say("The page is no longer served.")


def _tell_address(address: str, at_the_end: ExitStack, *, open_it: bool, as_json: bool) -> None:
    from mmstudy.report.serving import private_way_to

    line = f"The page is at {address} for whoever has this address on this machine. End with Ctrl-C."
    print_report(as_json, {"address": address}, [line])
    sys.stdout.flush()  # who reads the address from a pipe waits for it
    say("The tabs of calibration and of the data are made in the background.")
    if open_it:
        open_address(at_the_end.enter_context(private_way_to(address)).as_uri(), shown=address)
        say("Where the browser finds no such file, it may not read temporary files: give it the address above.")


def _sweep_of(context: typer.Context, name: str | None) -> "tuple[Study, SweepDirectory]":
    from mmstudy.sweep.directory import find_sweep

    study = study_of(context)
    return study, find_sweep(study.layout, name)


def _other_table(
    path: Path | None, dictionary: "Dictionary", targets: Callable[[], Collection[str]]
) -> "OtherTable | None":
    """Return the table that stands beside models of some targets, which are asked for where there is one."""
    if path is None:
        return None
    from mmstudy.report.other_table import read_other_table

    own = targets()
    try:
        return read_other_table(path, dictionary, own)
    except MmError as error:
        raise typer.BadParameter(str(error), param_hint="--beside") from error


def _targets_of_sweep(sweep: "SweepDirectory") -> list[str]:
    from mmstudy.sweep.stored_plan import read_plan

    return list(dict.fromkeys(planned.cell.target for planned in read_plan(sweep)[0].cells))


def _targets_of_table(table: Path, dictionary: "Dictionary") -> list[str]:
    from mmstudy.comparison.published_table import read_published

    return read_published(table, dictionary)["target"].unique(maintain_order=True).to_list()


def _counts_of(comparison: "Comparison") -> dict[str, int]:
    return {**comparison.counts, "targets": comparison.results["target"].n_unique()}
