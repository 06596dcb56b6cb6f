"""`mm train`: plan a run and begin it, or resume one, train it and enter it."""

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmcli.console import fail, report, say, warn
from mmcli.options import DryRunOption, JsonOption, study_of
from mmcli.settings_options import with_settings
from mmtrain.config.execution import ExecutionConfig
from mmtrain.config.run import SECTIONS
from mmtrain.errors import TrainError
from mmtrain.ranks.environment import rank_of_process

if TYPE_CHECKING:
    from mmdata.study import Study
    from mmstudy.runs.plan import RunPlan
    from mmtrain.config.run import RunConfig
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
GpusOption = Annotated[
    int | None,
    typer.Option(help="Share the work among so many GPUs of this machine; with --device cpu, among so many processes."),
]
ResumeOption = Annotated[
    str | None, typer.Option(help="Resume this run from its last checkpoint; on any number of GPUs.")
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
    given: dict[str, Any],
    gpus: GpusOption = None,
    resume: ResumeOption = None,
    prepare: PrepareOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model of one target or several, and test it once.

    \b
    mm train --target age              on the GPU, or without one on the processor
    mm train --target age --gpus 4     on four GPUs of this machine: the same model, sooner
    mm train --target age --dry-run    show the cohort and every setting, train nothing
    mm train --resume RUN              resume after a stop, a kill or a power cut

    Only --target is needed. Other settings come from [train] in study.toml, or are the reference study's.
    """  # noqa: D301 - click wants the control character itself
    study = study_of(context)
    if resume:
        _require_resumable(given, target, fold, leave_out_centre, accept, dry_run, prepare)
        _resume(study, resume, given, gpus, as_json=as_json)
        return
    if rank_of_process() is not None:
        raise TrainError("torchrun's processes need one run: make it with --prepare, then give each --resume RUN.")
    if target is None:
        raise typer.BadParameter("give --target NAME, or --resume RUN", param_hint="--target")
    from mmstudy.runs.arguments import parse_targets, require_arguments

    targets = parse_targets(target)
    require_arguments(study, targets, given)
    from catalog.splits.schemes import choose_scheme
    from mmstudy.runs.plan import plan_run

    if gpus is not None and not prepare:  # what is prepared may run on another machine
        _require_devices(gpus, study, given)
    scheme = choose_scheme(fold, leave_out_centre)
    plan = plan_run(study, targets, given, scheme=scheme, accepted=accept or [], num_ranks=gpus or 1)
    if dry_run:
        _show_plan(plan, as_json=as_json)
    elif prepare:
        _prepare(study, plan, as_json=as_json)
    else:
        _train(study, _begin(study, plan), plan.config, gpus, resumed=False, as_json=as_json)


def _require_resumable(given: dict[str, Any], *others: Any) -> None:
    """Refuse options that a resumed run cannot have."""
    changeable = {field.name for field in fields(ExecutionConfig)}
    if any(others) or given.keys() - changeable:
        raise typer.BadParameter(
            "a resumed run keeps its settings; give at most --gpus, --device, --stores, --prefetch-mb, "
            "--checkpoint-minutes or --hang-seconds",
            param_hint="--resume",
        )


def _require_devices(gpus: int, study: "Study", given: dict[str, Any]) -> None:
    from mmtrain.ranks.launch import require_devices

    require_devices(gpus, {"device": "auto", **study.config.train, **given}["device"])


def _show_plan(plan: "RunPlan", *, as_json: bool) -> None:
    from mmstudy.report import run_notes
    from mmstudy.wording import sentence

    data = plan.config.data
    would = f"Would train {data.target} from {', '.join(data.inputs)} on {sentence(plan.split_sizes)}."
    findings = [asdict(finding) for finding in plan.findings]
    content = {"n": plan.split_sizes, "left_out": dict(plan.left_out), "audit": findings}
    report(as_json, {**content, "train": plan.config.to_json()}, [would, *run_notes(plan)])


def _begin(study: "Study", plan: "RunPlan") -> "RunDirectory":
    from mmstudy.report import run_notes
    from mmstudy.runs.begin import begin_run

    for note in run_notes(plan):
        say(note)
    return begin_run(study, plan)


def _prepare(study: "Study", plan: "RunPlan", *, as_json: bool) -> None:
    run = _begin(study, plan)
    start = f"torchrun --nproc-per-node N --no-python mm --study {study.layout.root} train --resume {run.run_id}"
    report(as_json, {"run_id": run.run_id}, [f"Made run {run.run_id}. Start it with: {start}"])


def _resume(study: "Study", run_id: str, given: dict[str, Any], gpus: int | None, *, as_json: bool) -> None:
    from mmstudy.runs.train import find_unfinished

    run, config = find_unfinished(study, run_id, given)
    _train(study, run, config, gpus, resumed=True, as_json=as_json)


def _train(
    study: "Study", run: "RunDirectory", config: "RunConfig", gpus: int | None, *, resumed: bool, as_json: bool
) -> None:
    """Train in this process, which may be one of several ranks, or start ranks; the first of them prints."""
    from mmstudy.runs.enter import enter_run
    from mmstudy.runs.train import train_on_ranks
    from mmtrain.report import epoch_line, metrics_table
    from mmtrain.stopping import TrainingStopped
    from mmtrain.train import train as train_model

    if gpus is not None:
        train_on_ranks(study, run, config, gpus, as_json=as_json)
        return
    rank = rank_of_process()
    tell = say if rank in (None, 0) else _say_nothing
    tell(f"run {run.run_id}, {config.augmentation.copies} augmented copies")
    try:
        metrics = train_model(
            run, study.layout, config, resumed=resumed, on_epoch=lambda entry: tell(epoch_line(entry))
        )
    except TrainingStopped:
        if rank is None:
            fail(f"The run was stopped, with a checkpoint. Resume it with: mm train --resume {run.run_id}")
        return
    if rank not in (None, 0):
        return
    problems = enter_run(study, run)
    for problem in problems:
        warn(problem)
    pictures = [str(path) for path in sorted(run.plots.glob("*.png"))]
    report(
        as_json,
        {
            "run_id": run.run_id,
            "run_directory": str(run.path),
            "pictures": pictures,
            "entered": not problems,
            **metrics,
        },
        [
            metrics_table(metrics, config.data.targets),
            f"run directory  {run.path}",
            *[f"picture        {path}" for path in pictures],
        ],
    )


def _say_nothing(_: str) -> None:
    """Stand in for printing in all ranks but the first."""
