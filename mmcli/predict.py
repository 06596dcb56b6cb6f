"""Predict with a trained model, from samples of the study or from files of new people."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmcli.check import check_model
from mmcli.console import fail, report, show_progress
from mmcli.options import (
    NUM_CORES,
    DryRunOption,
    JsonOption,
    OverwriteOption,
    WorkersOption,
    given_options,
    study_at_hand,
)

if TYPE_CHECKING:
    from mmdata.study import Study
    from mmstudy.predict.request import PredictRequest


def predict(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(help="A run, an imported model or a bundle's folder; several with commas are averaged."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Argument(
            help="New people: ukb:DIR, bids:DIR, folder:DIR, or images of one person as t1=FILE.nii.gz "
            "flair=FILE.nii.gz. Left out: samples of the study."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="File to write: .csv or .parquet.")] = None,
    check: Annotated[
        Path | None,
        typer.Option(help="Predict nothing: see whether the bundle in this folder predicts what it did at home."),
    ] = None,
    split: Annotated[Literal["train", "val", "test", "all"], typer.Option(help="Of the study's samples.")] = "all",
    sample_list: Annotated[
        Path | None, typer.Option(help="Of the study's samples, those in this file, one sample id a line.")
    ] = None,
    table: Annotated[
        list[Path] | None, typer.Option(help="Table of new people, beside those found; repeatable.")
    ] = None,
    brain_extractor: Annotated[
        str | None, typer.Option(help='Skull-strips where needed: deepbet, or "mri_synthstrip -i {input} -o {output}".')
    ] = None,
    register: Annotated[
        str | None, typer.Option(help="Where no transform exists: affine, or never (refuse the scan).")
    ] = None,
    assume: Annotated[
        str | None,
        typer.Option(help="Where images lie whose affine is the identity: reference-grid, or none (refuse)."),
    ] = None,
    level: Annotated[float, typer.Option(help="Share of new samples that the intervals are to cover.")] = 0.9,
    allow: Annotated[
        list[str] | None, typer.Option(help="Predict in spite of this deviation, and mark the row; repeatable.")
    ] = None,
    identify: Annotated[
        bool,
        typer.Option(
            "--identify", help="Write the source's own identifiers; the file then holds personal identifiers."
        ),
    ] = False,
    workers: WorkersOption = NUM_CORES,
    device: Annotated[str, typer.Option(help="Where the network computes: auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Samples that are predicted at once.")] = 16,
    overwrite: OverwriteOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Predict from samples of the study or new scans.

    Each sample gets a row with an interval, or why it has no prediction. What is read of new people is kept nowhere.
    """
    from mmdata.study import parse_config
    from mmstudy.predict.request import PredictRequest, require_feasible

    if check is not None:
        if model is not None or output is not None:
            raise typer.BadParameter(
                "takes the folder of a bundle alone, no MODEL and no --output",
                param_hint="--check",
            )
        check_model(check, device, as_json=as_json)
        return
    if model is None or output is None:
        raise typer.BadParameter("missing; give a model and the file to write", param_hint=["MODEL", "--output"])
    asked = given_options(brain_extractor=brain_extractor, register=register, assume=assume)
    request = PredictRequest(
        models=tuple(model.split(",")),
        sources=tuple(source or ()),
        output=output,
        tables=tuple(table or ()),
        split=split,
        sample_list=sample_list,
        ingest=parse_config({"ingest": asked}, "the options given").ingest,
        workers=workers,
        device=device,
        batch_size=batch_size,
        level=level,
        allowed=frozenset(allow or ()),
        identify=identify,
        overwrite=overwrite,
    )
    study = study_at_hand(context)
    require_feasible(study, request)  # before PyTorch is loaded, which takes seconds
    if dry_run:
        _preview(study, request, as_json=as_json)
    else:
        _predict(study, request, as_json=as_json)


def _preview(study: "Study | None", request: "PredictRequest", *, as_json: bool) -> None:
    from mmdata.execution.capacity import as_gb
    from mmstudy.predict.predict import plan_prediction

    plan = plan_prediction(study, request)
    scans = f", reading {plan.num_scans} scans with {plan.workers} workers" if plan.num_scans else ""
    would = f"Would predict {plan.num_samples} samples{scans}."
    memory = (
        f"Takes up to {as_gb(plan.memory_bytes)} of memory beside the network's own, and no disk but {request.output}."
    )
    report(as_json, asdict(plan), [would, memory])


def _predict(study: "Study | None", request: "PredictRequest", *, as_json: bool) -> None:
    from mmstudy.predict.predict import run_prediction
    from mmstudy.predict.summary import summary_lines

    try:
        summary = run_prediction(study, request, show_progress)
    except KeyboardInterrupt:
        fail("Interrupted. No file was written, and nothing is kept of what was read.")
    report(as_json, summary.to_json(), list(summary_lines(summary)))
    if not summary.num_predicted:
        fail(f"No sample could be predicted; {request.output} says why of each.")
