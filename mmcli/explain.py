"""`mm explain`: what of its inputs a model used."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmcli.console import report, show_progress, warn
from mmcli.options import JsonOption, study_of
from mmtrain.config.execution import DEVICE_NAMES

if TYPE_CHECKING:
    from mmstudy.explain.explain import Explained

_SHOWN = 10


def explain(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A run of the study, a model in it, or the folder of a bundle.")],
    output: Annotated[Path, typer.Option(help="New folder for the maps, tables and pictures.")],
    sample: Annotated[
        str | None, typer.Option(help="Explain this sample alone; the files are that person's data.")
    ] = None,
    split: Annotated[
        Literal["train", "val", "test"], typer.Option(help="Without --sample: whose means, ten people at least.")
    ] = "test",
    method: Annotated[
        Literal["integrated-gradients", "occlusion"],
        typer.Option(help="Gradients along the way from the baseline, or what a cube, region or feature changes."),
    ] = "integrated-gradients",
    target: Annotated[str | None, typer.Option(help="Which target, of a model with several.")] = None,
    num_samples: Annotated[
        int, typer.Option(min=10, help="Without --sample: look at no more than so many, drawn at random.")
    ] = 200,
    steps: Annotated[int, typer.Option(min=2, help="Points of integrated gradients along the way.")] = 32,
    cube: Annotated[
        int | None, typer.Option(min=1, help="Edge of the cubes of occlusion in voxels; left out: an eighth.")
    ] = None,
    edges_baseline: Annotated[
        Literal["zero", "mean"], typer.Option(help="Connectivity of the baseline: 0, or the mean of training.")
    ] = "zero",
    seed: Annotated[int, typer.Option(help="Of the samples that are drawn, and of intervals.")] = 1337,
    device: Annotated[str, typer.Option(metavar=DEVICE_NAMES, help="Where to compute.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Show what of its inputs a model used.

    For one sample, or on average over people of a split: maps in MNI space, pictures, rankings with intervals.
    """
    from mmstudy.models.place import locate_model

    study = study_of(context)
    locate_model(study, model)  # before PyTorch is loaded, which takes seconds
    from mmstudy.explain.explain import explain_sample, explain_split
    from mmstudy.explain.request import ExplainRequest
    from mmtrain.explain.explainer import ExplainSettings

    request = ExplainRequest(
        model=model,
        output=output,
        settings=ExplainSettings(method=method, steps=steps, cube=cube),
        target=target,
        edges_baseline=edges_baseline,
        device=device,
        seed=seed,
    )
    if sample is not None:
        explained = explain_sample(study, request, sample, show_progress)
    else:
        explained = explain_split(study, request, split, num_samples, show_progress)
    for note in explained.notes:
        warn(note)
    content = {**explained.content, "folder": str(output), "seconds_per_sample": explained.seconds_per_sample}
    report(as_json, content, _lines(explained, output, of_one_person=sample is not None))


def _lines(explained: "Explained", output: Path, *, of_one_person: bool) -> list[str]:
    """Return what is told to people."""
    content = explained.content
    lines = [f"Wrote {len(content['files'])} files to {output}."]
    if of_one_person:
        lines.append("They show one person: keep them where the study is. A withdrawal removes or names them.")
    else:
        lines.append(f"Means over {content['num_people']} people of the {content['split']} split.")
    for what, ranked in content.get("rankings", {}).items():
        told = ", ".join(f"{part['name']} {part['mean_size']:.3g}" for part in ranked[:_SHOWN])
        lines.append(f"{what}, mean |attribution| in {content['unit']}: {told}")
    if content["completeness"] is not None:
        lines.append(f"Completeness error {100 * content['completeness']['error']:.2f} %.")
    return [*lines, content["meaning"]]
