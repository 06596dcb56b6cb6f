"""The command line of mm: parse, call, print. The only file that prints or exits.

Exit codes: 0 done, 1 failed with what to do about it, 2 wrong usage.
"""
# ruff: noqa: PLC0415 - torch and dask take seconds to import, so each command imports what it alone needs

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from typer.core import TyperGroup

from catalog.cohorts import build_cohort, write_cohort
from catalog.database import open_catalog, open_scratch
from catalog.errors import CatalogError, CatalogLockedError
from catalog.features import import_tables
from catalog.fields import BLOCKS, find_target, metadata_features
from catalog.report import run_table, scan_table
from catalog.runs import index_runs
from catalog.samples import enrol, num_allocated_rows
from catalog.scans import record_outcomes, record_sources, stored_training_rows
from catalog.summary import summarise
from catalog.withdrawals import read_withdrawals
from mmdata.errors import DataError
from mmdata.report import array_table, projection_line
from mmdata.schema import VOLUME_MODALITIES, StudyLayout
from mmdata.store import describe_arrays
from mmdata.study import Study, StudyConfig, add_source, create_study, load_study, parse_config
from mmtrain.errors import TrainError
from mmtrain.report import epoch_line, metrics_table

if TYPE_CHECKING:
    from polars import DataFrame

    from mmtrain.config import TrainConfig

PRIVATE_UMASK = 0o077
INDEX_WAIT_SECONDS = 60.0
PLAIN_PROGRESS_SECONDS = 10.0
USER_ERRORS = (CatalogError, DataError, TrainError)

PIPED_WIDTH = 200
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class _Commands(TyperGroup):
    """Turn every foreseen failure into one clear line."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except USER_ERRORS as error:
            _fail(str(error))
        except KeyboardInterrupt:
            _fail("Interrupted. What was stored stays; run the same command again to go on.")
        except Exception as error:
            if "No space left on device" in str(error):
                _fail("The disk is full. What was stored is intact: free some space, then run the same command again.")
            if isinstance(error, OSError) and error.filename:
                _fail(f"{error.strerror}: {_without_numbers(str(error.filename))}")
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
    source: Annotated[list[Path] | None, typer.Option(help="Folder that a bare `mm ingest ukb` reads.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of study.toml, e.g. volumes.sides=[128,64,32].")
    ] = None,
) -> None:
    """Make a study directory with an explained study.toml."""
    settings = _parse_settings(setting or [])
    if source:
        settings["sources"] = [str(path.resolve()) for path in source]
    study = create_study(context.obj, parse_config(settings, "--set"))
    out.print(f"Made {study.layout.config}. Look through it before the first ingest.")


@synth_app.command("ukb")
def synth_ukb(
    destination: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    participants: Annotated[int, typer.Option(help="People with imaging.")] = 100,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 1337,
    voxel_mm: Annotated[float, typer.Option(help="Voxel edge of T1 and FLAIR.")] = 1.0,
    workers: WorkersOption = NUM_CORES,
    as_json: JsonOption = False,
) -> None:
    """Write a synthetic UK Biobank release in the layout of the real one."""
    from mmdata.synth.release import SynthConfig, write_release

    config = SynthConfig(participants=participants, seed=seed, voxel_mm=voxel_mm)
    with _progress("participants") as on_progress:
        summary = write_release(destination, config, workers=workers, on_progress=on_progress)
    _report(as_json, asdict(summary), [f"Wrote {destination}: {_sentence(asdict(summary))}."])


@ingest_app.command("ukb")
def ingest_ukb(
    context: typer.Context,
    source: Annotated[
        Path | None, typer.Argument(help="Folder of UK Biobank files; joins the sources in study.toml.")
    ] = None,
    withdrawals: Annotated[
        list[Path] | None, typer.Option(help="List of participants who withdrew, beside those found; repeatable.")
    ] = None,
    workers: WorkersOption = NUM_CORES,
    strict: Annotated[bool, typer.Option(help="Exit with 1 when a scan was rejected.")] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Store every usable scan and every feature of a UK Biobank release."""
    from mmdata.arrays import stored_modalities
    from mmdata.capacity import require_capacity
    from mmdata.ingest import execute_ingest, plan_ingest, read_outcomes
    from mmdata.lock import hold_stores
    from mmdata.receipts import allocated_rows, read_withdrawal_receipts, record_withdrawals
    from mmdata.sources.ukb import find_release

    study, roots = _study_and_sources(context.obj, source)
    release = find_release(roots)
    lists = [*release.withdrawal_lists, *(withdrawals or [])]
    withdrawn_eids = read_withdrawals(lists)
    if not dry_run:
        study = _make_study(study, roots)
    modalities = stored_modalities(study.config)
    catalog_path = study.layout.catalog
    with open_scratch(catalog_path) if dry_run else open_catalog(catalog_path, writable=True) as catalog:
        enrolment = enrol(
            catalog,
            {scan.visit for scan in release.scans},
            salt=study.config.salt,
            val=study.config.splits.val,
            test=study.config.splits.test,
            withdrawn_eids=withdrawn_eids,
            withdrawn_keys=read_withdrawal_receipts(study.layout.receipts),
            allocated_rows=allocated_rows(study.layout.receipts),
        )
        record_sources(catalog, enrolment.samples, release.scans, modalities)
        num_values = import_tables(catalog, release.tables) if release.tables else 0
    plan = plan_ingest(study, release.scans, enrolment.samples, num_rows=enrolment.num_rows, workers=workers)
    projection = plan.projection
    planned = {"scans": plan.num_scans, "shards": len(plan.tasks), **asdict(projection)}
    if dry_run:
        would = f"Would read {plan.num_scans} scans into {len(plan.tasks)} shards."
        _report(as_json, planned, [would, projection_line(projection)])
        return
    require_capacity(projection, study.layout.root)
    with hold_stores(study.layout), _progress("scans") as on_progress:
        record_withdrawals(study.layout.receipts, enrolment.withdrawn_keys)
        execute_ingest(study, plan, workers=workers, on_progress=on_progress)
    with open_catalog(study.layout.catalog, writable=True, wait_seconds=INDEX_WAIT_SECONDS) as catalog:
        record_outcomes(catalog, read_outcomes(study))
        _warn_unreadable(index_runs(catalog, study.layout.runs))
        summary = summarise(catalog)
    content = {
        "read_now": plan.num_scans,
        "new_samples": enrolment.num_new,
        "withdrawn_left_out": enrolment.num_withdrawn,
        "duplicates_passed_over": release.num_duplicates,
        "files_passed_over": [_without_numbers(path.name) for path in release.passed_over],
        "feature_values": num_values,
        **asdict(summary),
    }
    lines = [
        f"{summary.samples} samples of {summary.participants} participants, {enrolment.num_new} of them new; "
        f"{plan.num_scans} scans read now.",
        f"{num_values} feature values of {len(release.tables)} tables. {enrolment.num_withdrawn} participants left out "
        f"because they withdrew ({len(lists)} withdrawal lists).",
        *([] if release.tables else ["No table was found: without one there are no targets to train on."]),
        *[f"Passed over {_without_numbers(path.name)}: its first column is not eid." for path in release.passed_over],
    ]
    _report(as_json, content, [*lines, scan_table(summary)])
    if strict and summary.rejected:
        raise typer.Exit(1)


@app.command("precompute-augs")
def precompute_augs(
    context: typer.Context,
    copies: Annotated[int, typer.Option(help="Augmented copies of every training sample.")] = 4,
    side: Annotated[
        list[int] | None, typer.Option(help="Resolution level, repeatable; left out: augment.sides of study.toml.")
    ] = None,
    workers: WorkersOption = NUM_CORES,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Store augmented copies of the training samples, so that no epoch has to compute them."""
    from mmdata.augment.precompute import execute_copies, plan_copies
    from mmdata.capacity import require_capacity
    from mmdata.lock import hold_stores

    study = load_study(context.obj)
    with open_catalog(study.layout.catalog) as catalog:
        training_rows = stored_training_rows(catalog, study.config.volumes.modalities)
        num_rows = num_allocated_rows(catalog)
    sides = tuple(side) if side else study.config.augment.sides
    plan = plan_copies(study, training_rows, num_rows=num_rows, copies=copies, sides=sides, workers=workers)
    projection = plan.projection
    planned = {"volumes": plan.num_volumes, "shards": len(plan.tasks), **asdict(projection)}
    if dry_run:
        _report(as_json, planned, [f"Would store {plan.num_volumes} volumes.", projection_line(projection)])
        return
    require_capacity(projection, study.layout.root)
    with hold_stores(study.layout), _progress("volumes") as on_progress:
        execute_copies(study, plan, workers=workers, on_progress=on_progress)
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
        list[str] | None, typer.Option(help=f"Group of tabular features: {', '.join(BLOCKS)}; repeatable.")
    ] = None,
    side: Annotated[int | None, typer.Option(help="Resolution level of the volumes.")] = None,
    channels: Annotated[str | None, typer.Option(help="Of each stage, e.g. 16,32,64,128.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Most epochs.")] = None,
    patience: Annotated[int | None, typer.Option(help="Epochs to wait for a better validation loss.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples in a training batch.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Of the learning rate: constant or cosine.")] = None,
    balance: Annotated[str | None, typer.Option(help="Of binary targets: undersample or none.")] = None,
    calibration_samples: Annotated[
        int | None, typer.Option(help="On which batch norm is measured before validation; 0 as the reference.")
    ] = None,
    copies: Annotated[int | None, typer.Option(help="Augmented copies to use; left out: all there are.")] = None,
    drop_last: Annotated[bool | None, typer.Option(help="Drop the last incomplete batch, as the reference.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same model.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with this run after its last finished epoch.")] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model of one target, test it once, and keep everything that was made on the way."""
    from mmtrain.run import create_run, find_run
    from mmtrain.train import train as train_model

    study = load_study(context.obj)
    options = {
        "side": side,
        "channels": channels.split(",") if channels else None,
        "epochs": epochs,
        "patience": patience,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "schedule": schedule,
        "balance": balance,
        "calibration_samples": calibration_samples,
        "copies": copies,
        "drop_last": drop_last,
        "seed": seed,
        "device": device,
        "inputs": inputs.replace("+", ",").split(",") if inputs is not None else None,
        "metadata_blocks": metadata_block,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if resume:
        if target or given or dry_run:
            raise typer.BadParameter("a resumed run keeps its settings; give nothing else", param_hint="--resume")
        run, config = find_run(study.layout.runs, resume)
        if run.metrics.exists():
            raise TrainError(f"Run {resume} is finished; its metrics are in {run.metrics}.")
    elif target is None:
        raise typer.BadParameter("give --target NAME, or --resume RUN", param_hint="--target")
    else:
        config, cohort = _plan_run(study, target, given)
        if dry_run:
            counts = {split: cohort.filter(cohort["split"] == split).height for split in ("train", "val", "test")}
            would = f"Would train {target} from {', '.join(config.inputs)} on {_sentence(counts)}."
            _report(as_json, {"n": counts, "train": config.to_json()}, [would])
            return
        run = create_run(study.layout.runs, config)
        write_cohort(cohort, run.cohort)
    err.print(f"run {run.run_id}, {config.copies} augmented copies")
    try:
        metrics = train_model(
            run, study.layout, config, resume=bool(resume), on_epoch=lambda entry: err.print(epoch_line(entry))
        )
    except KeyboardInterrupt:
        _fail(f"Interrupted. Go on after the last finished epoch with: mm train --resume {run.run_id}")
    _index_run(study)
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


def _fail(message: str) -> NoReturn:
    err.print(f"error: {message}", markup=False)
    raise typer.Exit(1)


def _without_numbers(path: str) -> str:
    """Hide what may be an eid in a path."""
    return re.sub(r"\d{6,}", "…", path)


def _study_and_sources(root: Path, source: Path | None) -> tuple[Study, list[Path]]:
    """Return the study, or what it would be, and the folders to read."""
    layout = StudyLayout(root.resolve())
    study = load_study(root) if layout.config.exists() else Study(layout, StudyConfig())
    roots = [Path(path).expanduser().resolve() for path in study.config.sources]
    if source and source.resolve() not in roots:
        roots.append(source.resolve())
    if not roots:
        raise DataError(
            "No source is set. Give the folder of UK Biobank files: mm ingest ukb FOLDER, or set sources in study.toml."
        )
    return study, roots


def _make_study(study: Study, roots: Sequence[Path]) -> Study:
    if not study.layout.config.exists():
        return create_study(study.layout.root, replace(study.config, sources=tuple(map(str, roots))))
    known = {Path(path).expanduser().resolve() for path in study.config.sources}
    for root in roots:
        if root not in known:
            study = add_source(study, root)
    return study


def _plan_run(study: Study, target: str, given: Mapping[str, Any]) -> tuple["TrainConfig", "DataFrame"]:
    """Return the settings and the cohort of a new run, having made sure that the stores have what it reads."""
    from mmtrain.config import parse_train_config
    from mmtrain.stream import open_stores
    from mmtrain.task import choose_device

    definition = find_target(target)
    config = parse_train_config(
        {
            **asdict(study.config.train),
            "inputs": [modality for modality in VOLUME_MODALITIES if modality in study.config.volumes.modalities],
            **given,
            "target": target,
            "kind": "classification" if definition.kind == "binary" else "regression",
            "unit": definition.unit,
        }
    )
    if config.volume_inputs and config.side not in study.config.volumes.sides:
        raise TrainError(f"Side {config.side} is not stored; this study has {study.config.volumes.sides}.")
    choose_device(config.device)
    stores = open_stores(
        study.layout, config.modalities, side=config.side, connectivity=config.connectivity, copies=config.copies
    )
    config = replace(config, copies=stores.num_copies)
    features = metadata_features(target, config.metadata_blocks)
    with open_catalog(study.layout.catalog) as catalog:
        return config, build_cohort(catalog, target, config.modalities, features)


def _index_run(study: Study) -> None:
    try:
        with open_catalog(study.layout.catalog, writable=True, wait_seconds=INDEX_WAIT_SECONDS) as catalog:
            _warn_unreadable(index_runs(catalog, study.layout.runs))
    except CatalogLockedError:
        err.print("The catalogue is in use, so the run is not entered yet; the next mm train or mm ingest does it.")


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


def _sentence(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counts.items())
