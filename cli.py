"""The command line of mm: parse, call, print. The only file that prints or exits.

Exit codes: 0 done, 1 failed with what to do about it, 2 wrong usage.
"""
# ruff: noqa: PLC0415 - torch and dask take seconds to import, so each command imports what it alone needs

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from typer.core import TyperGroup

from catalog.database import open_catalog
from catalog.errors import CatalogError, CatalogLockedError
from catalog.fields import REFERENCE_BLOCKS
from catalog.report import run_table, scan_table
from catalog.summary import summarise
from mmdata.errors import DataError
from mmdata.report import array_table, damage_table, projection_line
from mmdata.store.array import describe_arrays
from mmdata.study import create_study, load_study, parse_config
from mmstudy.wording import sentence, without_numbers
from mmtrain.errors import TrainError
from mmtrain.ranks.environment import rank_of_process
from mmtrain.report import epoch_line, metrics_table

if TYPE_CHECKING:
    from mmdata.execution.pools import WorkerPool
    from mmdata.sources.every import SourceKind
    from mmdata.study import Study
    from mmtrain.config import TrainConfig
    from mmtrain.run import RunDirectory

RANK = rank_of_process()
"""Which of the processes that torchrun started this is; None: it started none."""
PRIVATE_UMASK = 0o077
PLAIN_PROGRESS_SECONDS = 10.0
USER_ERRORS = (CatalogError, DataError, TrainError)

PIPED_WIDTH = 200
PRINTED_ROWS = 200
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class _Commands(TyperGroup):
    """Turn every foreseen failure into one clear line."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except USER_ERRORS as error:
            _leave_to_torchrun(error)
            _fail(str(error))
        except KeyboardInterrupt:
            _fail("Interrupted. What was stored stays; run the same command again to go on.")
        except Exception as error:
            if "No space left on device" in str(error):
                _fail("The disk is full. What was stored is intact: free some space, then run the same command again.")
            if isinstance(error, OSError) and error.filename:
                _fail(f"{error.strerror}: {without_numbers(str(error.filename))}")
            _leave_to_torchrun(error)
            raise


app = typer.Typer(
    cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None
)
synth_app = typer.Typer(no_args_is_help=True, help="Write synthetic data to try everything on.")
ingest_app = typer.Typer(no_args_is_help=True, help="Bring a release into the study's stores and catalogue.")
app.add_typer(synth_app, name="synth")
app.add_typer(ingest_app, name="ingest")

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=0, help="Worker processes; 0 works in this one.")]
SchedulerOption = Annotated[
    str | None, typer.Option("--scheduler", help="Run on this Dask cluster, e.g. tcp://node1:8786.")
]
SlurmOption = Annotated[bool, typer.Option("--slurm", help="Run in SLURM jobs, as many as --workers.")]
SlurmLineOption = Annotated[
    list[str] | None, typer.Option("--slurm-option", help="A line for sbatch, e.g. --partition=cpu; repeatable.")
]
WalltimeOption = Annotated[str, typer.Option("--walltime", help="Of each SLURM job, HH:MM:SS.")]
DEFAULT_WALLTIME = "12:00:00"
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")]
DestinationArgument = Annotated[Path, typer.Argument(help="A new or empty folder.")]
NUM_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@app.callback()
def main(
    context: typer.Context,
    study: Annotated[Path, typer.Option("--study", envvar="MM_STUDY", help="The study's directory.")] = Path("study"),
) -> None:
    """Learn what can be predicted from what in very large brain-imaging cohorts."""
    os.umask(PRIVATE_UMASK)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve each other on shared cores
    context.obj = study


@app.command()
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
    from mmstudy.sources import resolve_entry

    settings = _parse_settings(setting or [])
    if source:
        settings["sources"] = [resolve_entry(entry) for entry in source]
    study = create_study(context.obj, parse_config(settings, "--set"))
    out.print(f"Made {study.layout.config}. Look through it before the first ingest.")


ParticipantsOption = Annotated[int, typer.Option("--participants", help="People with imaging.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Same seed, same bytes.")]
VoxelOption = Annotated[float, typer.Option("--voxel-mm", help="Voxel edge of T1 and FLAIR.")]
FaultsOption = Annotated[Literal["some", "every"], typer.Option("--faults", help="Bad files: some, or every kind.")]
ExtrasOption = Annotated[bool, typer.Option("--extras", help="More maps, warped images and connectomes.")]


@synth_app.command("ukb")
def synth_ukb(
    destination: DestinationArgument,
    participants: ParticipantsOption = 100,
    seed: SeedOption = 1337,
    voxel_mm: VoxelOption = 1.0,
    layout: Annotated[
        Literal["zips", "trees", "rap"], typer.Option(help="Zips, unzipped, or as the Research Analysis Platform.")
    ] = "zips",
    faults: FaultsOption = "some",
    extras: ExtrasOption = False,
    table_form: Annotated[
        Literal["ukbconv-csv", "ukbconv-tab", "rap", "rap-tsv", "rap-labels", "rap-multiselect"] | None,
        typer.Option(help="How the table is written; left out: as the layout has it."),
    ] = None,
    workers: WorkersOption = NUM_CORES,
    as_json: JsonOption = False,
) -> None:
    """Write a synthetic UK Biobank release."""
    options = {"participants": participants, "seed": seed, "voxel_mm": voxel_mm}
    kinds = {"layout": layout, "faults": faults, "extras": extras, "table_form": table_form}
    _synthesise(destination, options | kinds, workers, as_json)


def _add_synth_command(layout: str, text: str) -> None:
    @synth_app.command(layout, help=text)
    def command(
        destination: DestinationArgument,
        participants: ParticipantsOption = 100,
        seed: SeedOption = 1337,
        voxel_mm: VoxelOption = 1.0,
        workers: WorkersOption = NUM_CORES,
        as_json: JsonOption = False,
    ) -> None:
        options = {"participants": participants, "seed": seed, "voxel_mm": voxel_mm}
        _synthesise(destination, {**options, "layout": layout}, workers, as_json)


_add_synth_command("bids", "Write the same participants as BIDS derivatives.")
_add_synth_command("folder", "Write the same participants in the reference study's layout.")


def _synthesise(destination: Path, settings: Mapping[str, Any], workers: int, as_json: bool) -> None:
    from mmdata.synth.release import SynthConfig, write_release

    with _progress("visits") as on_progress:
        summary = write_release(destination, SynthConfig(**settings), workers=workers, on_progress=on_progress)
    _report(as_json, asdict(summary), [f"Wrote {destination}: {sentence(asdict(summary))}."])


def _add_ingest_command(kind: "SourceKind", text: str) -> None:
    @ingest_app.command(kind, help=text)
    def command(
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
            str | None, typer.Option(help='Skull-strips where needed: "mri_synthstrip -i {input} -o {output}".')
        ] = None,
        register: Annotated[
            str | None, typer.Option(help="Where no transform exists: affine, or never (reject the scan).")
        ] = None,
        workers: WorkersOption = NUM_CORES,
        scheduler: SchedulerOption = None,
        slurm: SlurmOption = False,
        slurm_option: SlurmLineOption = None,
        walltime: WalltimeOption = DEFAULT_WALLTIME,
        strict: Annotated[bool, typer.Option(help="Exit with 1 when a scan was rejected.")] = False,
        dry_run: DryRunOption = False,
        as_json: JsonOption = False,
    ) -> None:
        from mmstudy.ingest import IngestInterrupted, preview_ingest, run_ingest
        from mmstudy.report import ingest_content, ingest_lines, ingest_warnings, scans_sentence
        from mmstudy.sources import study_with_source

        changes = {
            "ingest": _given(brain_extractor=brain_extractor, register=register),
            "splits": _given(
                test_list=str(test_list.resolve()) if test_list else None,
                kinship=str(kinship.resolve()) if kinship else None,
                stratify=stratify.split(",") if stratify else None,
            ),
        }
        study, sources = study_with_source(context.obj, kind, source, tables=table or [], changes=changes)
        pool = _worker_pool(workers, scheduler, slurm, slurm_option or [], walltime, study.layout.slurm)
        if dry_run:
            plan = preview_ingest(study, sources, withdrawals or [], pool)
            planned = {"scans": plan.num_scans, "shards": len(plan.tasks), **asdict(plan.projection)}
            would = f"Would read {plan.num_scans} scans into {len(plan.tasks)} shards."
            _report(as_json, planned, [would, projection_line(plan.projection)])
            return
        try:
            result = run_ingest(study, sources, withdrawals or [], pool, _progress)
        except IngestInterrupted as stop:
            _fail(
                f"Interrupted. {scans_sentence(stop.summary)} Nothing of that is lost: run the same command to go on."
            )
        _warn_unreadable(result.unreadable_runs)
        for warning in ingest_warnings(result):
            err.print(f"warning: {warning}", markup=False)
        _report(as_json, ingest_content(result), [*ingest_lines(result), scan_table(result.summary)])
        if strict and result.summary.rejected:
            raise typer.Exit(1)


_add_ingest_command("ukb", "Store every usable scan and feature of UK Biobank's bulk files, zipped or not.")
_add_ingest_command("bids", "Store every usable scan and feature of BIDS derivatives.")
_add_ingest_command("folder", "Store every usable scan and feature of a folder in the reference study's layout.")


@app.command()
def verify(context: typer.Context, workers: WorkersOption = NUM_CORES, as_json: JsonOption = False) -> None:
    """Read every stored row again and name those that are damaged."""
    from mmstudy.repair import find_damage

    damaged = find_damage(load_study(context.obj), workers, _progress)
    content = {"damaged": [asdict(row) for row in damaged]}
    _report(as_json, content, [damage_table(damaged) if damaged else "Every stored row is what was written."])
    if damaged:
        _fail(f"{len(damaged)} rows are damaged. Make them again with: mm --study {context.obj} repair")


@app.command()
def repair(context: typer.Context, workers: WorkersOption = NUM_CORES, as_json: JsonOption = False) -> None:
    """Make the damaged rows again: volumes and connectivity from their sources, copies from the volumes."""
    from mmstudy.repair import run_repair

    result = run_repair(load_study(context.obj), workers, _progress)
    line = (
        f"{result.num_damaged_rows} rows were damaged; {result.num_scans_read} scans were read again and "
        f"{result.num_copies_made} copies made again."
    )
    _report(as_json, asdict(result), [line])
    if result.num_scans_left:
        _fail(
            f"{result.num_scans_left} scans could not be stored again: they are not in the sources, or are rejected "
            "now (mm status says why). Cohorts pass them over; bring the sources back and run the same command again."
        )


@app.command()
def qc(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option(help="The page to write; left out: qc.html in the study.")] = None,
    max_unusual: Annotated[int, typer.Option(min=1, help="Unusual scans to show of each modality.")] = 24,
    max_volumes: Annotated[int, typer.Option(min=1, help="Samples that the means are taken over at most.")] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Write one page about the cohort: means, distributions, unusual and rejected scans."""
    from mmstudy.quality import write_quality_page

    study = load_study(context.obj)
    path = output or study.layout.qc_page
    summary = write_quality_page(study, path, _progress, max_unusual=max_unusual, max_volumes=max_volumes)
    _report(as_json, {"page": str(path), **asdict(summary)}, [f"Wrote {path}. Open it in a browser."])


@app.command("precompute-augs")
def precompute_augs(
    context: typer.Context,
    copies: Annotated[int, typer.Option(help="Augmented copies of every training sample.")] = 4,
    side: Annotated[
        list[int] | None, typer.Option(help="Resolution level, repeatable; left out: augment.sides of study.toml.")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute; auto: on a GPU where there is one.")
    ] = "auto",
    preview: Annotated[
        Path | None, typer.Option(help="Draw what the changes look like to this PNG, and store nothing.")
    ] = None,
    overwrite: OverwriteOption = False,
    workers: WorkersOption = NUM_CORES,
    scheduler: SchedulerOption = None,
    slurm: SlurmOption = False,
    slurm_option: SlurmLineOption = None,
    walltime: WalltimeOption = DEFAULT_WALLTIME,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Store augmented copies of the training samples, so that no epoch has to compute them."""
    from mmdata.copies.estimate import as_duration, estimate_seconds
    from mmdata.execution.pools import num_workers
    from mmstudy.copies import choose_device, preview_copies, run_copies, write_preview

    if preview and dry_run:
        raise typer.BadParameter(
            "writes a picture, and --dry-run does nothing; give one of them", param_hint="--preview"
        )
    study = load_study(context.obj)
    sides = tuple(side) if side else study.config.augment.sides
    if preview:
        write_preview(study, max(sides), preview, overwrite=overwrite)
        line = f"Wrote {preview}. It shows a person's brain: keep it where the study is."
        _report(as_json, {"preview": str(preview)}, [line])
        return
    pool = _worker_pool(workers, scheduler, slurm, slurm_option or [], walltime, study.layout.slurm)
    place = choose_device(device, pool)
    if dry_run:
        plan = preview_copies(study, copies, sides, pool, place)
        seconds = estimate_seconds(plan, workers=num_workers(pool))
        planned = {"volumes": plan.num_volumes, "shards": len(plan.tasks), **asdict(plan.projection)}
        would = f"Would store {plan.num_volumes} volumes in about {as_duration(seconds)} (estimated from a few copies)."
        _report(as_json, planned | {"estimated_seconds": seconds}, [would, projection_line(plan.projection)])
        return
    plan = run_copies(study, copies, sides, pool, place, _progress)
    line = f"{copies} copies at side {', '.join(map(str, sides))}; {plan.num_volumes} volumes stored now."
    _report(as_json, {"copies": copies, "sides": list(sides), "volumes_stored_now": plan.num_volumes}, [line])


@app.command()
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
        str | None, typer.Option(help="Go on with this run after its last checkpoint; on any number of GPUs.")
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
    """Train a model of one target, test it once, and keep everything that was made on the way.

    \b
    mm train --target age              on the GPU, or without one on the processor
    mm train --target age --gpus 4     on four GPUs of this machine: the same model, sooner
    mm train --target age --dry-run    show the cohort and every setting, train nothing
    mm train --resume RUN              go on after a stop, a kill or a power cut

    Only --target is needed. Other settings come from [train] in study.toml, or are the reference study's.
    """  # noqa: D301 - click wants the control character itself
    from catalog.splits.schemes import choose_scheme
    from mmstudy.report import run_notes
    from mmstudy.training import begin_run, find_unfinished, plan_run
    from mmtrain.ranks.launch import require_places

    study = load_study(context.obj)
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
    given = _given(**options)
    here = _given(
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
    elif RANK is not None:
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
            _report(as_json, {**content, "train": plan.config.to_json()}, [would, *run_notes(plan)])
            return
        for note in run_notes(plan):
            err.print(note, markup=False)
        run, config = begin_run(study, plan), plan.config
        if prepare:
            start = (
                f"torchrun --nproc-per-node N --no-python mm --study {study.layout.root} train --resume {run.run_id}"
            )
            _report(as_json, {"run_id": run.run_id}, [f"Made run {run.run_id}. Start it with: {start}"])
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

    say = err.print if RANK in (None, 0) else _say_nothing
    say(f"run {run.run_id}, {config.copies} augmented copies")
    try:
        metrics = train_model(run, study.layout, config, resume=resumed, on_epoch=lambda entry: say(epoch_line(entry)))
    except TrainingStopped:
        if RANK is None:
            _fail(f"Stopped, with a checkpoint. Go on with: mm train --resume {run.run_id}")
        return
    if RANK not in (None, 0):
        return
    try:
        _warn_unreadable(enter_runs(study, run))
    except CatalogLockedError:
        err.print("The catalogue is in use, so the run is not entered yet; the next mm train or mm ingest does it.")
    pictures = [str(path) for path in sorted(run.plots.glob("*.png"))]
    _report(
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
            _fail(f"Stopped. Go on from its last checkpoint with: {again}")
        _fail(f"Stopped before its first checkpoint. Begin it anew with: {again}")


@app.command()
def bench(
    context: typer.Context,
    target: Annotated[str, typer.Option(help="What the run would predict; it hardly matters for its speed.")] = "age",
    inputs: Annotated[
        str | None, typer.Option(help="Any of flair,t1,dwi,connectivity,metadata; left out: the study's volumes.")
    ] = None,
    metadata_block: Annotated[
        list[str] | None, typer.Option(help="Group of tabular features, for the input metadata; repeatable.")
    ] = None,
    keep_own_block: Annotated[
        bool | None, typer.Option("--keep-own-block", help="Do not zero the target's own group of features.")
    ] = None,
    side: Annotated[int | None, typer.Option(help="Edge length of the volumes in voxels: a stored level.")] = None,
    channels: Annotated[str | None, typer.Option(help="Width of the network at each stage, e.g. 16,32,64,128.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples in a training batch.")] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Compute a batch in so many parts, when it does not fit into memory.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="Number type of the arithmetic: auto, float32, bfloat16 or float64.")
    ] = None,
    compile_network: Annotated[
        bool | None, typer.Option("--compile", help="Fuse operations with torch.compile.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where to compute: auto (a GPU if there is one), cpu or cuda.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="For each stage and each way to augment.")] = 5.0,
    picture: Annotated[Path | None, typer.Option(help="Draw what was measured to this PNG.")] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast a run would be on this machine, and say which way to augment suits it.

    \b
    mm bench                               a run with the study's own settings
    mm bench --side 128 --batch-size 32    another run
    mm bench --picture bench.png           draw it too

    Takes the options of mm train that its speed depends on. Nothing of the study is changed.
    """  # noqa: D301 - click wants the character itself
    from mmstudy.bench import run_bench
    from mmstudy.bench_picture import require_picture, write_picture
    from mmstudy.bench_report import bench_lines

    study = load_study(context.obj)
    given = _given(
        inputs=inputs.replace("+", ",").split(",") if inputs is not None else None,
        metadata_blocks=metadata_block,
        keep_own_block=keep_own_block,
        side=side,
        channels=channels.split(",") if channels else None,
        batch_size=batch_size,
        accumulate=accumulate,
        precision=precision,
        compile=compile_network,
        device=device,
    )
    if picture:
        require_picture(picture, overwrite=overwrite)
    result = run_bench(study, target, given, seconds, _progress)
    lines = list(bench_lines(result))
    if picture:
        write_picture(result, picture)
        lines.append(f"Wrote {picture}.")
    _report(as_json, result.to_json(), lines)


@app.command()
def audit(
    context: typer.Context,
    target: Annotated[str | None, typer.Option(help="Audit what a model of this target depends on.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare/--no-compare", help="Read every scan to find those that are nearly identical.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Look for mistakes in labels, splits and inputs; exit with 1 when one of them is critical."""
    from catalog.audit.report import finding_summary, finding_table
    from mmstudy.audit import run_audit

    findings = run_audit(load_study(context.obj), _progress, target=target, compare=compare)
    lines = [finding_summary(findings), *([finding_table(findings)] if findings else [])]
    _report(as_json, {"findings": [asdict(finding) for finding in findings]}, lines)
    if any(finding.severity == "critical" for finding in findings):
        raise typer.Exit(1)


@app.command()
def withdraw(
    context: typer.Context,
    lists: Annotated[
        list[Path] | None, typer.Argument(help="Files of one participant number a line; none: finish what is pending.")
    ] = None,
    workers: WorkersOption = NUM_CORES,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove participants who withdrew from every file of the study, for good."""
    from mmstudy.report import removal_lines
    from mmstudy.withdraw import preview_withdrawal, run_withdrawal

    study = load_study(context.obj)
    if dry_run:
        result = preview_withdrawal(study, lists or [], _progress)
        _report(as_json, asdict(result), list(removal_lines(result, is_preview=True)))
        return
    result = run_withdrawal(study, lists or [], _progress, workers=workers)
    _report(as_json, asdict(result), list(removal_lines(result)))


@app.command()
def targets(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Show every feature, not the targets alone.")] = False,
    picture: Annotated[
        Path | None, typer.Option(help="Draw them by split to this PNG; it shows small groups too.")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what can be predicted: kind, unit, how many have it, its distribution."""
    from catalog.report import feature_table
    from catalog.targets import describe_features
    from mmstudy.dictionary import study_dictionary

    study = load_study(context.obj)
    with open_catalog(study.layout.catalog) as catalog:
        features = describe_features(catalog, study_dictionary(study), every=every)
    lines: list[Any] = [feature_table(features)]
    if picture:
        from mmstudy.targets_picture import write_picture

        write_picture(features, picture, overwrite=overwrite)
        lines.append(f"Wrote {picture}.")
    _report(as_json, {"features": [asdict(feature) for feature in features]}, lines)


@app.command()
def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(help='One SELECT, e.g. "SELECT status, count(*) FROM scans GROUP BY ALL".')],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all rows as CSV on stdout.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask the catalogue in SQL; nothing can be changed. What is printed may name participants."""
    from catalog.query import count_rows, plain_rows, run_query, write_rows
    from catalog.report import row_table

    if as_csv and as_json:
        raise typer.BadParameter("give either --csv or --json", param_hint="--csv")
    with open_catalog(load_study(context.obj).layout.catalog) as catalog:
        if as_csv:
            write_rows(run_query(catalog, sql), sys.stdout)
            return
        result = run_query(catalog, sql)
        if as_json:
            _report(as_json, {"columns": list(result.columns), "rows": plain_rows(result)}, [])
            return
        rows = list(islice(result.rows, PRINTED_ROWS + 1))
        lines: list[Any] = [row_table(result.columns, rows[:PRINTED_ROWS])]
        if len(rows) > PRINTED_ROWS:
            lines.append(f"and {count_rows(catalog, sql) - PRINTED_ROWS} more rows; --csv prints all of them.")
    _report(as_json, {}, lines)


@app.command()
def export(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="File to write: .parquet or .csv.")],
    feature: Annotated[list[str] | None, typer.Option(help="Feature to write, repeatable; left out: all.")] = None,
    summary_only: Annotated[
        bool, typer.Option("--summary-only", help="Write counts of groups alone, cells below 10 suppressed.")
    ] = False,
    by: Annotated[str | None, typer.Option(help="With --summary-only: cross with this feature, or with split.")] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the features of every sample, without eids, or counts of groups that may leave a secure platform."""
    from catalog.export.export import SUFFIXES, export_features, export_groups
    from catalog.export.files import require_writable
    from catalog.export.group_counts import count_groups
    from catalog.report import SUPPRESSED_NOTE, group_table
    from mmstudy.dictionary import study_dictionary

    if by and not summary_only:
        raise typer.BadParameter("is for counts of groups; give --summary-only too", param_hint="--by")
    study, names = load_study(context.obj), feature or []
    dictionary = study_dictionary(study)
    require_writable(path, SUFFIXES, overwrite=overwrite)
    with open_catalog(study.layout.catalog) as catalog:
        if summary_only:
            counted = count_groups(catalog, dictionary, names, by or "")
            num_rows = export_groups(counted, path, overwrite=overwrite)
            wrote = f"Wrote {path}: {num_rows} numbers; suppressed ones are empty."
            lines: list[Any] = [group_table(counted), SUPPRESSED_NOTE, wrote]
        else:
            num_rows = export_features(catalog, dictionary, names, path, overwrite=overwrite)
            lines = [f"Wrote {path}: {num_rows} samples. It holds data of single people: keep it where the study is."]
    _report(as_json, {"file": str(path), "rows": num_rows}, lines)


@app.command()
def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show what the study holds."""
    study = load_study(context.obj)
    with open_catalog(study.layout.catalog) as catalog:
        summary = summarise(catalog)
    arrays = [*describe_arrays(study.layout.volumes), *describe_arrays(study.layout.augmented)]
    content = {"study": str(study.layout.root), **asdict(summary), "arrays": arrays}
    splits = ", ".join(f"{number} {split}" for split, number in summary.splits.items())
    lines: list[Any] = [
        f"{study.layout.root}: {summary.samples} samples of {summary.participants} participants ({splits}), "
        f"{summary.features} features.",
        scan_table(summary),
        array_table(arrays),
        *([run_table(summary.runs)] if summary.runs else ["No runs yet. Train one with: mm train --target age"]),
    ]
    _report(as_json, content, lines)


def _leave_to_torchrun(error: Exception) -> None:
    """In one of several ranks, let the one that started them tell the user; elsewhere do nothing."""
    if RANK is None or isinstance(error, typer.Exit):
        return
    from mmtrain.ranks.group import record_failure

    record_failure(error)
    raise typer.Exit(1)


def _say_nothing(_: str) -> None:
    """Stand in for printing in all ranks but the first."""


def _fail(message: str) -> NoReturn:
    err.print(f"error: {message}", markup=False)
    raise typer.Exit(1)


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _worker_pool(
    workers: int, scheduler: str | None, slurm: bool, slurm_options: Sequence[str], walltime: str, directory: Path
) -> "WorkerPool":
    from mmdata.execution.pools import LocalPool, SchedulerPool
    from mmdata.execution.slurm import SlurmPool

    if scheduler and slurm:
        raise typer.BadParameter("give either --scheduler or --slurm", param_hint="--slurm")
    if scheduler:
        return SchedulerPool(address=scheduler)
    if slurm:
        return SlurmPool(jobs=workers, directory=directory, walltime=walltime, options=tuple(slurm_options))
    if slurm_options:
        raise typer.BadParameter("is for SLURM jobs; give --slurm too", param_hint="--slurm-option")
    return LocalPool(processes=workers)


def _warn_unreadable(runs: Sequence[str]) -> None:
    for run_id in runs:
        err.print(f"warning: the metrics.json of run {run_id} cannot be read; the run is left out.")


def _parse_settings(assignments: Sequence[str]) -> dict[str, Any]:
    """Turn ``section.name=value`` into nested settings; a value is TOML, or else plain text."""
    import tomllib

    settings: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected NAME=VALUE, got {assignment!r}", param_hint="--set")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        *sections, last = name.strip().split(".")
        place = settings
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise typer.BadParameter(f"{section} is a section and a value at once", param_hint="--set")
        place[last] = value
    return settings


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress on stderr: a bar with rate and time left on a terminal, plain lines elsewhere."""
    if not err.is_terminal:
        yield _plain_progress(what)
        return
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    columns += [TextColumn("{task.fields[rate]}"), TimeRemainingColumn()]
    with Progress(*columns, console=err) as bar:
        bar_id = bar.add_task(what, total=None, rate="")

        def show(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(bar_id, completed=done, total=total, rate=f"{speed:.1f}/s" if speed else "")

        yield show


def _plain_progress(what: str) -> Callable[[int, int], None]:
    started = time.monotonic()
    last_shown = -PLAIN_PROGRESS_SECONDS

    def show(done: int, total: int) -> None:
        nonlocal last_shown
        elapsed = time.monotonic() - started
        if total and (done == total or elapsed - last_shown >= PLAIN_PROGRESS_SECONDS):
            last_shown = elapsed
            rate = done / elapsed if done and elapsed else 0.0
            left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
            err.print(f"{what}: {done}/{total} ({rate:.1f}/s{left})")

    return show


def _report(as_json: bool, content: Mapping[str, Any], lines: Sequence[Any]) -> None:
    """Print one JSON object, or lines and tables for people."""
    if as_json:
        sys.stdout.write(json.dumps(content, indent=2) + "\n")
        return
    for line in lines:
        out.print(line, markup=False) if isinstance(line, str) else out.print(line)


if __name__ == "__main__":
    app()
