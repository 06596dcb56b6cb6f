"""Bring releases into the study's stores and catalogue."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperGroup

from mmcli.console import asking, fail, report, show_progress, warn
from mmcli.options import NUM_CORES, DryRunOption, JsonOption, WorkersOption, YesOption, given_options, warn_of_salt
from mmcli.settings_options import with_settings
from mmcli.workers import ClusterSettings, worker_pool

if TYPE_CHECKING:
    from mmdata.execution.pools import WorkerPool
    from mmdata.sources.every import Source, SourceKind
    from mmdata.study import Study
    from mmstudy.ingest import IngestResult


class SourceGroup(TyperGroup):
    """The kinds of source; a folder in their place is told which kind it looks like."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command for a kind of source."""
        folder = Path(args[0])
        if args[0] not in self.commands and folder.is_dir():
            ctx.fail(
                f"Say what kind of source {folder} is, one of {', '.join(self.commands)}. It looks like: "
                f"mm ingest {_likely_kind(folder)} {shlex.quote(args[0])}"
            )
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=SourceGroup, no_args_is_help=True, help="Bring a release into the study's stores and catalogue.")
SOURCES = {
    "ukb": "Store scans and features of UK Biobank's bulk files.",
    "bids": "Store scans and features of BIDS derivatives.",
    "folder": "Store scans and features in the reference study's layout.",
}
"""Kinds of source: the command's name and its help."""


@with_settings(ClusterSettings, into="cluster")
def ingest(
    *,
    context: typer.Context,
    source: Annotated[
        Path | None, typer.Argument(help="A folder; joins the sources in study.toml, which are all read.")
    ] = None,
    withdrawals: Annotated[
        list[Path] | None, typer.Option(help="List of participants who withdrew, beside those found; repeatable.")
    ] = None,
    table: Annotated[
        list[Path] | None, typer.Option(help="Table of participants to read from now on; repeatable.")
    ] = None,
    test_list: Annotated[
        Path | None, typer.Option(help="List of the test participants: these and nobody else.")
    ] = None,
    kinship: Annotated[
        Path | None, typer.Option(help="Pairs of relatives (ukb_rel.dat): they go to the same split.")
    ] = None,
    stratify: Annotated[
        str | None, typer.Option(help="Features that every split gets its share of, e.g. sex,age.")
    ] = None,
    brain_extractor: Annotated[
        str | None, typer.Option(help='Skull-strips where needed: deepbet, or "mri_synthstrip -i {input} -o {output}".')
    ] = None,
    register: Annotated[
        str | None, typer.Option(help="Where no transform exists: affine, or never (reject the scan).")
    ] = None,
    assume: Annotated[
        str | None,
        typer.Option(
            help="Where images of a folder lie whose affine is the identity: reference-grid, or none (reject)."
        ),
    ] = None,
    workers: WorkersOption = NUM_CORES,
    cluster: dict[str, Any],
    yes: YesOption = False,
    strict: Annotated[bool, typer.Option(help="Exit with 1 when a scan was rejected.")] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring in every source of the study; the command's name is the kind of the one that is given."""
    from mmstudy.sources import study_with_source

    kind = cast("SourceKind", context.command.name)
    if assume and kind != "folder":
        raise typer.BadParameter(
            "is for images in the reference study's layout: mm ingest folder", param_hint="--assume"
        )
    changes = {
        "ingest": given_options(brain_extractor=brain_extractor, register=register, assume=assume),
        "splits": given_options(
            test_list=str(test_list.resolve()) if test_list else None,
            kinship=str(kinship.resolve()) if kinship else None,
            stratify=stratify.split(",") if stratify else None,
        ),
    }
    study, sources = study_with_source(context.obj, kind, source, tables=table or [], changes=changes)
    warn_of_salt(study)
    pool = worker_pool(workers, ClusterSettings(**cluster), study.layout.slurm)
    if dry_run:
        _preview(study, sources, withdrawals or [], pool, as_json)
        return
    result = _ingest(study, sources, withdrawals or [], pool, as_json=as_json, yes=yes)
    if strict and result.summary.rejected:
        raise typer.Exit(1)


for _kind, _help in SOURCES.items():
    app.command(_kind, help=_help)(ingest)


def _likely_kind(folder: Path) -> "SourceKind":
    names = {path.name.lower() for path in folder.iterdir()}
    if "dataset_description.json" in names or any(name.startswith("sub-") for name in names):
        return "bids"
    return "folder" if names & {"train", "t1", "flair", "dwi"} else "ukb"


def _preview(
    study: "Study", sources: Sequence["Source"], withdrawals: Sequence[Path], pool: "WorkerPool", as_json: bool
) -> None:
    from mmdata.report import projection_line, search_line
    from mmstudy.ingest import preview_ingest

    plan = preview_ingest(study, sources, withdrawals, pool)
    content = {"scans": plan.num_scans, "shards": len(plan.tasks), **asdict(plan.projection)}
    would = f"Would read {plan.num_scans} scans into {len(plan.tasks)} shards."
    lines = [would, projection_line(plan.projection)]
    if plan.num_searched:
        content |= {"brain_searches": plan.num_searched, "brain_search_cpu_s": plan.search_cpu_s}
        lines.append(search_line(plan.num_searched, plan.search_cpu_s, plan.projection.workers))
    report(as_json, content, lines)


def _ingest(
    study: "Study",
    sources: Sequence["Source"],
    withdrawals: Sequence[Path],
    pool: "WorkerPool",
    *,
    as_json: bool,
    yes: bool,
) -> "IngestResult":
    from catalog.report import scan_table
    from mmstudy.ingest import IngestInterrupted, run_ingest
    from mmstudy.summaries import ingest_content, ingest_lines, ingest_warnings, scans_sentence

    try:
        result = run_ingest(study, sources, withdrawals, pool, show_progress, asking(yes=yes))
    except IngestInterrupted as stop:
        fail(
            f"Interrupted. {scans_sentence(stop.summary)} Nothing of that is lost: "
            "run the same command again to continue."
        )
    _warn_of_unreadable_runs(result.unreadable_runs)
    for warning in ingest_warnings(result):
        warn(warning)
    report(as_json, ingest_content(result), [*ingest_lines(result), scan_table(result.summary)])
    return result


def _warn_of_unreadable_runs(runs: Sequence[str]) -> None:
    for run_id in runs:
        warn(f"the metrics.json of run {run_id} cannot be read; the run is left out.")
