"""`mm train`: plan a run and begin it, or resume one, train it and enter it."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmbase.errors import MmError
from mmcli.console import fail, report, say, warn
from mmcli.failures import FREE_SOME_SPACE, is_full_disk
from mmcli.options import DryRunOption, JsonOption, study_of
from mmcli.page import InternalOption, OpenOption, open_page
from mmcli.settings_options import with_settings
from mmtrain.config.execution import ExecutionConfig
from mmtrain.config.run import SECTIONS
from mmtrain.errors import TrainError
from mmtrain.ranks.environment import rank_of_process

if TYPE_CHECKING:
    from mmdata.study import Study
    from mmstudy.runs.plan import RunPlan
    from mmtrain.config.run import RunConfig
    from mmtrain.diagnostic import WiringVerdict
    from mmtrain.run import RunDirectory

TargetOption = Annotated[str | None, typer.Option(help="What to predict, e.g. age; several with commas.")]
FoldOption = Annotated[
    str | None, typer.Option(help="K/N: of N folds, fold K tests, the next validates, the others train.")
]
CentreOption = Annotated[
    int | None, typer.Option(help="Test on one assessment centre, e.g. 11026, and train on the others.")
]
AcceptOption = Annotated[
    list[str] | None, typer.Option(help="Train in spite of this critical finding of mm audit; repeatable.")
]
PresetOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Named set of settings, which other options change: reference is the published trainer's, "
        "docs/reference.md.",
    ),
]
GpusOption = Annotated[
    int | None,
    typer.Option(help="Share the work among so many GPUs of this machine; with --device cpu, among so many processes."),
]
ResumeOption = Annotated[
    str | None,
    typer.Option(
        help="Resume this run from its last checkpoint; on any number of GPUs, and with other settings where these "
        "mend it, e.g. --learning-rate."
    ),
]
FinishOption = Annotated[
    str | None, typer.Option(help="Train this run no more: test the best of its finished epochs, and enter the result.")
]
RunsOption = Annotated[
    Path | None,
    typer.Option(
        help="Make the run's directory in this folder outside the study, which remembers it; with --resume or "
        "--finish: the folder that the run lies in now."
    ),
]
PrepareOption = Annotated[
    bool,
    typer.Option(
        "--prepare", help="Make the run and leave its training to torchrun: for several machines, docs/training.md."
    ),
]


@with_settings(*SECTIONS.values())
def train(
    context: typer.Context,
    *,
    target: TargetOption = None,
    fold: FoldOption = None,
    leave_out_centre: CentreOption = None,
    accept: AcceptOption = None,
    preset: PresetOption = None,
    given: dict[str, Any],
    gpus: GpusOption = None,
    resume: ResumeOption = None,
    finish: FinishOption = None,
    runs: RunsOption = None,
    prepare: PrepareOption = False,
    open_it: OpenOption = False,
    internal: InternalOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model of one target or several, and test it once.

    \b
    mm train --target age              on the GPU, or without one on the processor
    mm train --target age --gpus 4     on four GPUs of this machine: the same model, sooner
    mm train --target age --open       watch it in a browser: the run's page, refreshed after epochs
    mm train --target age --preset reference    with every choice of the published trainer
    mm train --target age --dry-run    show the cohort and every setting, train nothing
    mm train --resume RUN              resume after a stop, a kill or a power cut
    mm train --finish RUN              train it no more, test its best epoch

    Only --target is needed. Other settings come from [train] in study.toml, or are the reference study's.
    """  # noqa: D301 - click wants the control character itself
    study = study_of(context)
    of_new_runs = {
        **{"--target": target, "--fold": fold, "--leave-out-centre": leave_out_centre, "--accept": accept},
        **{"--preset": preset, "--prepare": prepare, "--dry-run": dry_run},
    }
    if resume:
        _require_alone("--resume", {**of_new_runs, "--finish": finish})
        run = _resume(study, resume, given, gpus, runs, open_it=open_it, as_json=as_json)
        _write_internal(run, internal=internal)
        return
    if finish:
        _require_alone("--finish", {**of_new_runs, "--gpus": gpus})
        run = _finish(study, finish, given, runs, as_json=as_json)
        _write_internal(run, internal=internal)
        if open_it:
            open_page(run.report)
        return
    if rank_of_process() is not None:
        raise TrainError("torchrun's processes need one run: make it with --prepare, then give each --resume RUN.")
    if target is None:
        raise typer.BadParameter("give --target NAME, --resume RUN or --finish RUN", param_hint="--target")
    from mmstudy.runs.arguments import parse_targets, require_arguments

    targets = parse_targets(target)
    require_arguments(study, targets, given, preset)
    from catalog.splits.schemes import choose_scheme
    from mmstudy.runs.folders import settle_folder
    from mmstudy.runs.plan import plan_run

    if not prepare:  # what is prepared may run on another machine
        _require_devices(gpus, study, given)
        _require_loggers(study, given)
    folder = None if runs is None else settle_folder(study.layout, runs)
    scheme = choose_scheme(fold, leave_out_centre)
    plan = plan_run(study, targets, given, scheme=scheme, accepted=accept or [], num_ranks=gpus or 1, preset=preset)
    if dry_run:
        _show_plan(plan, as_json=as_json)
    elif prepare:
        _prepare(study, plan, folder, as_json=as_json)
    else:
        run = _begin(study, plan, folder)
        _train(study, run, plan.config, gpus, resumed=False, open_it=open_it, as_json=as_json)
        _write_internal(run, internal=internal)


def _require_alone(option: str, others: Mapping[str, Any]) -> None:
    """Refuse options that do not go with one that names a run."""
    if given := [other for other, value in others.items() if value]:
        raise typer.BadParameter(f"names a run that has begun, so leave out {', '.join(given)}", param_hint=option)


def _require_devices(gpus: int | None, study: "Study", given: dict[str, Any]) -> None:
    if gpus is not None:
        from mmtrain.ranks.launch import require_devices

        require_devices(gpus, {"device": "auto", **study.config.train, **given}["device"])


def _require_loggers(study: "Study", given: dict[str, Any]) -> None:
    if logs := {"log": (), **study.config.train, **given}["log"]:
        from mmtrain.logs import require_loggers

        require_loggers(logs)


def _show_plan(plan: "RunPlan", *, as_json: bool) -> None:
    from mmstudy.report import run_notes
    from mmstudy.wording import sentence

    data = plan.config.data
    would = f"Would train {data.target} from {', '.join(data.inputs)} on {sentence(plan.split_sizes)}."
    findings = [asdict(finding) for finding in plan.findings]
    content = {"n": plan.split_sizes, "left_out": dict(plan.left_out), "audit": findings, "notes": list(plan.notes)}
    report(as_json, {**content, "train": plan.config.to_json()}, [would, *run_notes(plan)])


def _begin(study: "Study", plan: "RunPlan", folder: Path | None) -> "RunDirectory":
    from mmstudy.report import run_notes
    from mmstudy.runs.begin import begin_run

    for note in run_notes(plan):
        say(note)
    return begin_run(study, plan, folder)


def _prepare(study: "Study", plan: "RunPlan", folder: Path | None, *, as_json: bool) -> None:
    run = _begin(study, plan, folder)
    own = f"mm --study {shlex.quote(str(study.layout.root))} train --resume {run.run_id}"
    start = f"torchrun --nproc-per-node N --no-python {own}"
    report(as_json, {"run_id": run.run_id}, [f"Made run {run.run_id}. Start it with: {start}"])


def _resume(
    study: "Study",
    run_id: str,
    given: dict[str, Any],
    gpus: int | None,
    folder: Path | None,
    *,
    open_it: bool,
    as_json: bool,
) -> "RunDirectory":
    from mmstudy.runs.change import record_changes
    from mmstudy.runs.train import find_unfinished

    if finished := _find_finished(study, run_id, given, folder, as_json=as_json):
        if open_it and rank_of_process() is None:
            open_page(finished.report)
        return finished
    run, config = find_unfinished(study, run_id, given, folder)
    if rank_of_process() in (None, 0):
        for change in record_changes(run, config):
            say(change)
    _train(study, run, config, gpus, resumed=True, open_it=open_it, as_json=as_json)
    return run


def _finish(
    study: "Study", run_id: str, given: dict[str, Any], folder: Path | None, *, as_json: bool
) -> "RunDirectory":
    """Test the best epoch of a run, in this process."""
    if rank_of_process() is not None:
        raise TrainError("--finish works in one process: run it without torchrun.")
    from mmcli.training_progress import show_training
    from mmstudy.runs.change import record_finish
    from mmstudy.runs.train import find_unfinished
    from mmtrain.train import train as train_model

    if others := sorted(given.keys() - {field.name for field in fields(ExecutionConfig)}):
        raise typer.BadParameter(f"trains no more, so leave out {', '.join(others)}", param_hint="--finish")
    if finished := _find_finished(study, run_id, given, folder, as_json=as_json):
        return finished
    run, config = find_unfinished(study, run_id, given, folder)
    with _naming_the_run(run, "--finish"):
        with show_training(plain=False) as shown:
            metrics = train_model(run, study.layout, config, finishing=True, observers=[shown], on_problem=warn)
        record_finish(run, metrics["epochs"])
        _enter(study, run, config, metrics, as_json=as_json)
    return run


def _find_finished(
    study: "Study", run_id: str, given: dict[str, Any], folder: Path | None, *, as_json: bool
) -> "RunDirectory | None":
    """Return a run of which nothing is left to do, as of a job that is queued again, and say so."""
    from mmstudy.runs.train import find_finished

    found = find_finished(study, run_id, given, folder)
    if found is not None and rank_of_process() in (None, 0):
        say(f"Run {run_id} is finished already.")
        _enter(study, *found, as_json=as_json)
    return found and found[0]


def _train(
    study: "Study",
    run: "RunDirectory",
    config: "RunConfig",
    gpus: int | None,
    *,
    resumed: bool,
    open_it: bool,
    as_json: bool,
) -> None:
    """Train in this process, which may be one of several ranks, or start ranks; the first of them prints."""
    from mmcli.training_progress import show_training
    from mmstudy.runs.train import train_on_ranks
    from mmtrain.stopping import TrainingStopped
    from mmtrain.train import train as train_model

    if open_it and rank_of_process() is None:
        _open_page(run)
    if gpus is not None:
        train_on_ranks(study, run, config, gpus, as_json=as_json)
        return
    rank = rank_of_process()
    if rank in (None, 0):
        say(f"run {run.run_id}, {config.augmentation.copies} augmented copies")
    with _naming_the_run(run, "--resume"):
        try:
            with show_training(plain=rank is not None) as shown:
                metrics = train_model(run, study.layout, config, resumed=resumed, observers=[shown], on_problem=warn)
        except TrainingStopped:
            if rank is None:
                fail(f"The run was stopped, with a checkpoint. Resume it with: mm train --resume {run.run_id}")
            return
        if rank in (None, 0):
            _enter(study, run, config, metrics, as_json=as_json)


def _open_page(run: "RunDirectory") -> None:
    """Open the page of a run that is about to be trained."""
    from mmtrain.page.live import try_page

    if try_page(run, "training", warn):
        open_page(run.report)


def _write_internal(run: "RunDirectory", *, internal: bool) -> None:
    """Write the internal page of a run that has ended, if it was asked for."""
    from mmtrain.page.live import try_page

    if internal and rank_of_process() in (None, 0) and try_page(run, None, warn, internal=True):
        say(f"Wrote {run.internal_report}. It must not leave the platform.")


@contextmanager
def _naming_the_run(run: "RunDirectory", option: str) -> Iterator[None]:
    """Say on a full disk how this run continues: the same command again might begin another."""
    try:
        yield
    except MmError:
        raise
    except Exception as error:
        if is_full_disk(error):
            raise TrainError(f"{FREE_SOME_SPACE}: mm train {option} {run.run_id}") from error
        raise


def _enter(study: "Study", run: "RunDirectory", config: "RunConfig", metrics: dict[str, Any], *, as_json: bool) -> None:
    """Enter a finished run, and tell its metrics."""
    from mmstudy.runs.enter import enter_run
    from mmtrain.diagnostic import judge_wiring
    from mmtrain.report import metrics_table, wiring_lines

    is_result = not config.data.diagnostic
    problems = enter_run(study, run)
    for problem in problems:
        warn(problem)
    verdicts = [] if is_result else judge_wiring(metrics, config.data.targets)
    pictures = [str(path) for path in sorted(run.plots.glob("*.png"))]
    page = str(run.report) if run.report.exists() else None
    report(
        as_json,
        {
            "run_id": run.run_id,
            "run_directory": str(run.path),
            "page": page,
            "pictures": pictures,
            "entered": is_result and not problems,
            **({} if is_result else {"wiring": [verdict.to_json() for verdict in verdicts]}),
            **metrics,
        },
        [
            metrics_table(metrics, config.data.targets),
            *wiring_lines(verdicts),
            f"run directory  {run.path}",
            *([f"page           {page}"] if page else []),
        ],
    )
    _require_wiring(verdicts)


def _require_wiring(verdicts: Sequence["WiringVerdict"]) -> None:
    """End with exit code 1 where a label was not found."""
    if not all(verdict.ok for verdict in verdicts):
        raise TrainError(
            "The network did not find the label in its inputs.",
            "If its validation loss was still falling, give more --epochs or a larger --learning-rate. Otherwise try "
            "each of the --inputs alone: the one that fails is not wired up rightly.",
        )
