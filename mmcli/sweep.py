"""`mm sweep`: many models as one piece of work."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmbase.settings import settings_of
from mmcli.console import report, say, show_progress, warn
from mmcli.options import DryRunOption, JsonOption, given_options, study_of
from mmcli.settings_options import with_settings
from mmcli.workers import ClusterSettings, worker_pool
from mmstudy.sweep.settings import NONE, OF_CELLS, SweepSettings
from mmtrain.config.changes import EXECUTION
from mmtrain.config.run import SECTIONS

if TYPE_CHECKING:
    from mmdata.study import Study
    from mmstudy.sweep.directory import SweepDirectory

app = typer.Typer(invoke_without_command=True)
_OPTIONS_OF_RUNS = [setting.name for setting in settings_of(*SECTIONS.values()) if setting.option.is_option]
_OF_ALL = [name for name in _OPTIONS_OF_RUNS if name not in OF_CELLS]
"""Settings of runs that are the same for all cells."""
NameOption = Annotated[
    str | None, typer.Option(help="Name of the sweep; left out: the only one there is, or sweep.", show_default=False)
]


@app.callback()
@with_settings(*SECTIONS.values(), only=_OF_ALL)
@with_settings(SweepSettings, into="asked")
@with_settings(ClusterSettings, into="cluster")
def sweep(
    context: typer.Context,
    *,
    file: Annotated[
        Path | None, typer.Option(help="Read targets, input sets and the rest from this sweep.toml.")
    ] = None,
    asked: dict[str, Any],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            help="A set of inputs and groups of tabular features, e.g. t1+flair+constitutional; repeatable. Left out: "
            "the reference's 7 or 32 sets."
        ),
    ] = None,
    accept: Annotated[
        list[str] | None, typer.Option(help="Train in spite of this critical finding of mm audit; repeatable.")
    ] = None,
    given: dict[str, Any],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes or jobs; left out: one for each GPU, without any one.")
    ] = None,
    cluster: dict[str, Any],
    retry: Annotated[bool, typer.Option("--retry", help="Do again what has failed.")] = False,
    name: NameOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train every target from every set of inputs.

    \b
    mm sweep --dry-run               the reference's 700 models: what can be trained here
    mm sweep                         train them; again: go on where it was stopped
    mm sweep --target age,sex --inputs t1 --inputs t1+flair --epochs 20
    mm sweep status                  how far it is
    mm sweep stop                    let its workers stop, with checkpoints
    mm compare                       what came out

    Classes are balanced by weights unless --balance says otherwise. Settings of runs that are left out are the study's.
    """  # noqa: D301 - click wants the control character itself
    if context.invoked_subcommand is not None:
        return
    study = study_of(context)
    sweep_name, settings = _name_and_settings(study, name, file, given, _with_sets(asked, inputs))
    from mmstudy.sweep.audit import require_sound
    from mmstudy.sweep.begin import begin_sweep
    from mmstudy.sweep.directory import sweep_directory
    from mmstudy.sweep.locking import allowed_workers
    from mmstudy.sweep.plan import plain_plan
    from mmstudy.sweep.planning import plan_sweep
    from mmstudy.sweep.tables import plan_lines

    plan = plan_sweep(study, settings)
    if dry_run:
        report(as_json, plain_plan(plan), plan_lines(plan))
        return
    on = ClusterSettings(**cluster)
    workers = allowed_workers(study, workers, on_cluster=bool(on.scheduler or on.slurm))
    if not sweep_directory(study.layout, sweep_name).is_begun:
        require_sound(study, plan, accept or [], show_progress)
    directory = begin_sweep(study, sweep_name, plan, accept or [], retry=retry)
    _work(study, directory, given, workers, on)
    _tell_end(study, directory, as_json=as_json)


@app.command()
def status(
    context: typer.Context,
    name: NameOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep it up to date until no job is left, or until Ctrl-C.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show how far a sweep is."""
    from mmcli.sweep_progress import watch_sweep
    from mmstudy.sweep.directory import find_sweep
    from mmstudy.sweep.status import sweep_status
    from mmstudy.sweep.stored_plan import read_plan
    from mmstudy.sweep.tables import status_lines

    study = study_of(context)
    directory = find_sweep(study.layout, name)
    plan, _ = read_plan(directory)
    if watch:
        watch_sweep(study.layout, directory, plan)
    found = sweep_status(study.layout, directory, plan)
    report(as_json, {"name": directory.name, **found.to_json()}, status_lines(directory.name, found))


@app.command()
def stop(context: typer.Context, name: NameOption = None, as_json: JsonOption = False) -> None:
    """Let the workers of a sweep stop, wherever they are, each with a checkpoint."""
    from mmbase.files import write_text
    from mmstudy.sweep.directory import find_sweep

    study = study_of(context)
    directory = find_sweep(study.layout, name)
    write_text(directory.stop, "")
    lines = ["Its workers stop after the step they are at.", f"Go on with: mm sweep --name {directory.name}"]
    report(as_json, {"name": directory.name, "stopping": True}, lines)


@app.command(hidden=True)
def work(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Of the sweep.")],
    terms: Annotated[str, typer.Argument(help="How it may work, as JSON.")] = "{}",
) -> None:
    """Do jobs of a sweep until none is left, as one of its workers."""
    from mmbase.json_text import parse_json
    from mmstudy.sweep.directory import find_sweep
    from mmstudy.sweep.health import BrokenWorkerError
    from mmstudy.sweep.work import work as do_jobs
    from mmstudy.sweep.worker_process import BROKEN, COMMAND, STARTER, STOPPED, WorkerTerms
    from mmtrain.stopping import TrainingStopped

    study = study_of(context)
    command, starter = os.environ.get(COMMAND, ""), os.environ.get(STARTER)
    parent = None if starter is None else int(starter)
    try:
        do_jobs(
            study,
            find_sweep(study.layout, name),
            terms=parse_json(terms, WorkerTerms),
            command=command,
            parent=parent,
            tell=say,
        )
    except TrainingStopped as stopped:
        raise typer.Exit(STOPPED) from stopped
    except BrokenWorkerError as broken:
        say(str(broken))
        raise typer.Exit(BROKEN) from broken


def _with_sets(asked: dict[str, Any], inputs: list[str] | None) -> dict[str, Any]:
    """Return the settings of the sweep that were given as options, sets of inputs among them."""
    sets = given_options(input_sets=inputs and [words.split("+") for words in inputs])
    no_baselines = {"baselines": ()} if asked.get("baselines") == (NONE,) else {}
    return {**asked, **sets, **no_baselines}


def _name_and_settings(
    study: "Study", name: str | None, file: Path | None, given: dict[str, Any], asked: dict[str, Any]
) -> tuple[str, SweepSettings]:
    """Return which sweep it is and what is asked for; where nothing is, those of the sweep that is resumed."""
    from mmstudy.sweep.directory import DEFAULT_NAME, sweep_to_resume
    from mmstudy.sweep.settings import parse_sweep_settings, read_sweep_toml
    from mmstudy.sweep.stored_plan import read_plan

    train = {name: value for name, value in given.items() if name not in EXECUTION}
    resumed = None if file or train or asked else sweep_to_resume(study.layout, name)
    if resumed is not None:
        return resumed.name, read_plan(resumed)[0].settings
    base = SweepSettings() if file is None else read_sweep_toml(file)
    settings = parse_sweep_settings({**base.to_json(), **asked, "train": {**base.train, **train}}, "The sweep")
    return name or DEFAULT_NAME, settings


def _work(
    study: "Study", directory: "SweepDirectory", given: dict[str, Any], workers: int | None, cluster: ClusterSettings
) -> None:
    """Let workers work, here or on other machines, and show how far they are."""
    from mmcli.sweep_progress import show_sweep
    from mmstudy.sweep.cluster import run_on_cluster
    from mmstudy.sweep.stored_plan import read_plan
    from mmstudy.sweep.workers import Workers, worker_devices

    plan, _ = read_plan(directory)
    settings = {**plan.settings.train, **given}
    execution = {name: value for name, value in settings.items() if name in EXECUTION}
    pool = worker_pool(workers or 1, cluster, study.layout.slurm)
    with show_sweep(study.layout, directory, plan) as look:
        if cluster.scheduler or cluster.slurm:
            run_on_cluster(study, directory, pool, workers or 1, execution, look)
            return
        devices = worker_devices({"device": "auto", **study.config.train, **execution}["device"], workers)
        Workers(study, directory, {job.name: job for job in plan.jobs}, devices, execution).run(look)


def _tell_end(study: "Study", directory: "SweepDirectory", *, as_json: bool) -> None:
    from mmstudy.sweep.status import sweep_status
    from mmstudy.sweep.stored_plan import read_plan
    from mmstudy.sweep.tables import end_lines, failure_lines

    plan, _ = read_plan(directory)
    found = sweep_status(study.layout, directory, plan)
    for line in failure_lines(found.failed):
        warn(line)
    report(as_json, {"name": directory.name, **found.to_json()}, end_lines(directory.name, found))
    if found.num_finished < found.num_jobs:
        raise typer.Exit(1)
