"""`mm export-model`: a model as a folder that anyone can use without the study."""

from pathlib import Path
from typing import Annotated

import typer

from mmcli.console import report
from mmcli.options import JsonOption, OverwriteOption, study_at_hand

LicenceOption = Annotated[str, typer.Option("--licence", help="Under which others may use it, e.g. CC-BY-4.0.")]
CitationOption = Annotated[str, typer.Option("--citation", help="What others are to cite.")]
OnnxOption = Annotated[
    bool | None,
    typer.Option("--onnx/--no-onnx", help="Write the network as ONNX too; left out: where it can be."),
]


def export_model(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A run, a model that was imported, or the folder of a bundle.")],
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    licence: LicenceOption = "",
    citation: CitationOption = "",
    onnx: OnnxOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a folder of a model that others can use.

    It has the weights, what they take for granted of inputs, a README and golden examples, and nothing of any person.
    """
    from mmstudy.models.place import locate_model

    study = study_at_hand(context)
    locate_model(study, model)  # before PyTorch is loaded, which takes seconds
    from mmstudy.models.export import ExportOptions
    from mmstudy.models.export import export_model as export

    options = ExportOptions(licence=licence, citation=citation, onnx=onnx, overwrite=overwrite)
    made = export(study, model, folder, options)
    size = f"{made.num_bytes / 1e6:,.1f} MB"
    lines = [f"Wrote {made.path} ({size}). Read its README.md before you pass it on."]
    lines += [f"There is no ONNX file. {made.onnx_note}"] if made.onnx_note else []
    lines += [f"{made.headline}: its README.md says why."] if made.headline else []
    lines += made.warnings
    content = {
        "bundle": str(made.path),
        "bytes": made.num_bytes,
        "onnx": not made.onnx_note,
        "onnx_note": made.onnx_note,
        "headline": made.headline,
        "warnings": made.warnings,
    }
    report(as_json, content, lines)
