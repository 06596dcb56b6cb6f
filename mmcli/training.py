"""Train a model of one target."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from catalog.errors import CatalogLockedError
from catalog.fields import REFERENCE_BLOCKS
from mmcli.console import fail, report, say, warn
from mmcli.options import DryRunOption, JsonOption, given_options, study_of
from mmstudy.wording import sentence
from mmtrain.errors import TrainError
from mmtrain.ranks.environment import rank_of_process
from mmtrain.report import epoch_line, metrics_table

if TYPE_CHECKING:
    from mmdata.study import Study
    from mmtrain.config import TrainConfig
    from mmtrain.run import RunDirectory


def train(
    context: typer.Context,
    target: Annotated[str | None, typer.Option(help="What to predict, e.g. age.")] = None,
    inputs: Annotated[
        str | None, typer.Option(help="Any of flair,t1,dwi,connectivity,metadata; left out: the study's volumes.")
    ] = None,
    metadata_block: Annotated[
        list[str] | None,
        typer.Option(help=f"Group of tabular features: {', '.join(REFERENCE_BLOCKS)}, or your own; repeatable."),
    ] = None,
    keep_own_block: Annotated[
        bool | None, typer.Option("--keep-own-block", help="Do not zero the target's own group of features.")
    ] = None,
    fold: Annotated[
        str | None, typer.Option(help="K/N: of N folds, fold K tests, the next validates, the others train.")
    ] = None,
    leave_out_centre: Annotated[
        int | None, typer.Option(help="Test on one assessment centre, e.g. 11026, and train on the others.")
    ] = None,
    accept: Annotated[
        list[str] | None, typer.Option(help="Train in spite of this critical finding of mm audit; repeatable.")
    ] = None,
    side: Annotated[int | None, typer.Option(help="Edge length of the volumes in voxels: a stored level.")] = None,
    channels: Annotated[str | None, typer.Option(help="Width of the network at each stage, e.g. 16,32,64,128.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training samples, at most.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better validation loss.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples in a training batch, over all GPUs together.")] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Compute a batch in so many parts, when it does not fit into memory.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Step size of the optimiser, Adam.")] = None,
    schedule: Annotated[
        str | None, typer.Option(help="How the learning rate falls: constant (not at all), cosine or linear.")
    ] = None,
    warmup_epochs: Annotated[
        float | None, typer.Option(help="Epochs at the start over which the learning rate rises; for large batches.")
    ] = None,
    clip_norm: Annotated[float | None, typer.Option(help="Shorten gradients longer than this; left out: none.")] = None,
    balance: Annotated[
        str | None, typer.Option(help="Of the classes of a binary target: undersample, weight or none.")
    ] = None,
    calibration_samples: Annotated[
        int | None, typer.Option(help="Samples on which batch norm is measured before validation; 0: never.")
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(help="precomputed (copies), on-device, hybrid or none; mm bench says which is fastest here."),
    ] = None,
    copies: Annotated[int | None, typer.Option(help="Augmented copies to use; left out: all there are.")] = None,
    drop_last: Annotated[
        bool | None, typer.Option(help="Drop the samples that do not fill a batch, as the reference does.")
    ] = None,
    sync_batch_norm: Annotated[
        bool | None,
        typer.Option(
            "--sync-batch-norm/--no-sync-batch-norm",
            help="With several GPUs: let batch norm see all of a batch, so that their number changes nothing.",
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="Number type of the arithmetic: auto (the device's best), float32, bfloat16 or float64."),
    ] = None,
    compile_network: Annotated[
        bool | None,
        typer.Option("--compile", help="Fuse operations with torch.compile: a slow start, then faster steps."),
    ] = None,
    deterministic: Annotated[
        bool | None,
        typer.Option("--deterministic", help="On a GPU: the same losses to the last bit when repeated; slower."),
    ] = None,
    checkpoint_minutes: Annotated[
        float | None, typer.Option(help="Minutes of work that a kill may cost: between checkpoints within an epoch.")
    ] = None,
    hang_seconds: Annotated[
        float | None,
        typer.Option(
            help="With several GPUs: give up, and name the one that hangs, after so long without a new batch."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same model.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Where to compute: auto (a GPU if there is one), cpu or cuda.")
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(
            help="Share the work among so many GPUs of this machine; with --device cpu, among so many processes."
        ),
    ] = None,
    stores: Annotated[
        str | None, typer.Option(help="Read copies of the stores in this folder or at s3://BUCKET/PREFIX.")
    ] = None,
    prefetch_mb: Annotated[
        int | None, typer.Option(min=1, help="Memory of each GPU's process for batches that are read ahead, in MiB.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Resume this run from its last checkpoint; on any number of GPUs.")
    ] = None,
    prepare: Annotated[
        bool,
        typer.Option(
            "--prepare", help="Make the run and leave its training to torchrun: for several machines, docs/training.md."
        ),
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model of one target, and test it once.

    \b
    mm train --target age              on the GPU, or without one on the processor
    mm train --target age --gpus 4     on four GPUs of this machine: the same model, sooner
    mm train --target age --dry-run    show the cohort and every setting, train nothing
    mm train --resume RUN              resume after a stop, a kill or a power cut

    Only --target is needed. Other settings come from [train] in study.toml, or are the reference study's.
    """  # noqa: D301 - click wants the control character itself
    from catalog.splits.schemes import choose_scheme
    from mmstudy.report import run_notes
    from mmstudy.training import begin_run, find_unfinished, plan_run
    from mmtrain.ranks.launch import require_places

    study = study_of(context)
    options = {
        "side": side,
        "channels": channels.split(",") if channels else None,
        "epochs": epochs,
        "patience": patience,
        "batch_size": batch_size,
        "accumulate": accumulate,
        "learning_rate": learning_rate,
        "schedule": schedule,
        "warmup_epochs": warmup_epochs,
        "clip_norm": clip_norm,
        "balance": balance,
        "calibration_samples": calibration_samples,
        "augment": augment,
        "copies": copies,
        "drop_last": drop_last,
        "sync_batch_norm": sync_batch_norm,
        "precision": precision,
        "compile": compile_network,
        "deterministic": deterministic,
        "seed": seed,
        "inputs": inputs.replace("+", ",").split(",") if inputs is not None else None,
        "metadata_blocks": metadata_block,
        "keep_own_block": keep_own_block,
    }
    given = given_options(**options)
    here = given_options(
        device=device,
        stores=stores,
        prefetch_bytes=None if prefetch_mb is None else prefetch_mb << 20,
        checkpoint_minutes=checkpoint_minutes,
        hang_seconds=hang_seconds,
    )
    if resume:
        if target or given or dry_run or prepare or fold or leave_out_centre or accept:
            raise typer.BadParameter(
                "a resumed run keeps its settings; give at most --gpus, --device, --stores, --prefetch-mb, "
                "--checkpoint-minutes or --hang-seconds",
                param_hint="--resume",
            )
        run, config = find_unfinished(study, resume, **here)
    elif rank_of_process() is not None:
        raise TrainError("torchrun's processes need one run: make it with --prepare, then give each --resume RUN.")
    elif target is None:
        raise typer.BadParameter("give --target NAME, or --resume RUN", param_hint="--target")
    else:
        if gpus is not None and not prepare:  # what is prepared may run on another machine
            require_places(gpus, device or "auto")
        plan = plan_run(
            study,
            target,
            given | here,
            scheme=choose_scheme(fold, leave_out_centre),
            accepted=accept or [],
            num_ranks=gpus or 1,
        )
        if dry_run:
            findings = [asdict(finding) for finding in plan.findings]
            would = f"Would train {target} from {', '.join(plan.config.inputs)} on {sentence(plan.split_sizes)}."
            content = {"n": plan.split_sizes, "left_out": dict(plan.left_out), "audit": findings}
            report(as_json, {**content, "train": plan.config.to_json()}, [would, *run_notes(plan)])
            return
        for note in run_notes(plan):
            say(note)
        run, config = begin_run(study, plan), plan.config
        if prepare:
            start = (
                f"torchrun --nproc-per-node N --no-python mm --study {study.layout.root} train --resume {run.run_id}"
            )
            report(as_json, {"run_id": run.run_id}, [f"Made run {run.run_id}. Start it with: {start}"])
            return
    if gpus is None:
        _train_here(study, run, config, resumed=bool(resume), as_json=as_json)
    else:
        _train_on_ranks(study, run, config, gpus, as_json=as_json)


def _train_here(study: "Study", run: "RunDirectory", config: "TrainConfig", *, resumed: bool, as_json: bool) -> None:
    """Train in this process, which may be one of several ranks; the first of them prints."""
    from mmstudy.training import enter_runs
    from mmtrain.stopping import TrainingStopped
    from mmtrain.train import train as train_model

    rank = rank_of_process()
    tell = say if rank in (None, 0) else _say_nothing
    tell(f"run {run.run_id}, {config.copies} augmented copies")
    try:
        metrics = train_model(run, study.layout, config, resume=resumed, on_epoch=lambda entry: tell(epoch_line(entry)))
    except TrainingStopped:
        if rank is None:
            fail(f"Stopped, with a checkpoint. Resume with: mm train --resume {run.run_id}")
        return
    if rank not in (None, 0):
        return
    try:
        warn_unreadable_runs(enter_runs(study))
    except CatalogLockedError:
        say("The catalogue is in use, so the run is not entered yet; the next mm train or mm ingest does it.")
    pictures = [str(path) for path in sorted(run.plots.glob("*.png"))]
    report(
        as_json,
        {"run_id": run.run_id, "run_directory": str(run.path), "pictures": pictures, **metrics},
        [
            metrics_table(metrics, config.unit),
            f"run directory  {run.path}",
            *[f"picture        {p}" for p in pictures],
        ],
    )


def _train_on_ranks(study: "Study", run: "RunDirectory", config: "TrainConfig", gpus: int, *, as_json: bool) -> None:
    """Let several processes of this machine train together."""
    from mmtrain.checkpoint import has_checkpoint
    from mmtrain.data.cohort import read_cohort
    from mmtrain.data.portions import require_portions
    from mmtrain.ranks.launch import launch_ranks, require_places

    device = require_places(gpus, config.device)
    require_portions(read_cohort(run.cohort), config, gpus)
    words = ["--study", str(study.layout.root), "train", "--resume", run.run_id, "--device", device.type]
    words += ["--stores", config.stores] if config.stores else []
    words += ["--hang-seconds", str(config.hang_seconds), "--checkpoint-minutes", str(config.checkpoint_minutes)]
    words += ["--prefetch-mb", str(max(1, config.prefetch_bytes >> 20))]
    launch_ranks([*words, *(["--json"] if as_json else [])], gpus, device)
    if not run.metrics.exists():
        again = f"mm train --resume {run.run_id} --gpus {gpus}"
        if has_checkpoint(run.checkpoint):
            fail(f"Stopped. Resume from its last checkpoint with: {again}")
        fail(f"Stopped before its first checkpoint. Start again with: {again}")


def warn_unreadable_runs(runs: Sequence[str]) -> None:
    """Name the runs that could not be entered into the catalogue."""
    for run_id in runs:
        warn(f"the metrics.json of run {run_id} cannot be read; the run is left out.")


def _say_nothing(_: str) -> None:
    """Stand in for printing in all ranks but the first."""
