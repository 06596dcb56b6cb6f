"""`mm train`: options, and what they ask for; `mmcli.training_run` does it."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmcli.console import report
from mmcli.options import DryRunOption, JsonOption, study_of
from mmcli.page import InternalOption, OpenOption
from mmcli.settings_options import with_settings
from mmcli.training_run import Shown, begin_run, finish_run, prepare_run, resume_run
from mmtrain.config.run import SECTIONS
from mmtrain.errors import TrainError
from mmtrain.ranks.environment import rank_of_process

if TYPE_CHECKING:
    from mmdata.study import Study
    from mmstudy.runs.plan import RunPlan

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
    shown = Shown(open_it=open_it, internal=internal, as_json=as_json)
    if resume:
        _require_alone("--resume", {**of_new_runs, "--finish": finish})
        resume_run(study, resume, given, gpus, runs, shown)
        return
    if finish:
        _require_alone("--finish", {**of_new_runs, "--gpus": gpus})
        finish_run(study, finish, given, runs, shown)
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
        prepare_run(study, plan, folder, as_json=as_json)
    else:
        begin_run(study, plan, gpus, folder, shown)


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
    from mmstudy.summaries import run_notes
    from mmstudy.wording import sentence

    data = plan.config.data
    would = f"Would train {data.target} from {', '.join(data.inputs)} on {sentence(plan.split_sizes)}."
    findings = [asdict(finding) for finding in plan.findings]
    content = {"n": plan.split_sizes, "left_out": dict(plan.left_out), "audit": findings, "notes": list(plan.notes)}
    report(as_json, {**content, "train": plan.config.to_json()}, [would, *run_notes(plan)])
