"""`mm view` and `mm export-nifti`: one sample's stored volumes in a browser, and for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from mmcli.console import report, show_progress
from mmcli.options import JsonOption, OverwriteOption, study_of

SampleArgument = Annotated[str, typer.Argument(help="The sample's id, as mm qc and mm query show it.")]
SideOption = Annotated[int | None, typer.Option(help="Resolution level; left out: the finest.")]


def view(
    context: typer.Context,
    sample: SampleArgument,
    side: SideOption = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a page to look through one sample's volumes.

    It shows them beside the mean of the others, in three planes and in depth.
    """
    from mmcli.page import open_address
    from mmstudy.view import write_view

    written = write_view(study_of(context), sample, show_progress, side=side)
    if open_it:
        open_address(written.path.resolve().as_uri(), shown=str(written.path))
    content = {"page": str(written.path), "modalities": list(written.modalities), "page_bytes": written.page_bytes}
    line = f"Wrote {written.path} ({written.page_bytes / 1e6:.1f} MB). It shows one person: it must not leave."
    report(as_json, content, [line])


def export_nifti(
    context: typer.Context,
    sample: SampleArgument,
    output: Annotated[Path, typer.Option(help="Folder outside the study; it may hold other samples of this command.")],
    modality: Annotated[
        list[str] | None, typer.Option(help="t1, flair or dwi, repeatable; left out: all that are stored.")
    ] = None,
    side: SideOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write one sample's stored volumes as NIfTI.

    They lie on the study's grid, in a folder named as BIDS derivatives are.
    """
    from mmstudy.nifti_export import export_nifti as export

    written = export(study_of(context), sample, output, modalities=modality or (), side=side, overwrite=overwrite)
    content = {"folder": str(written.folder), "files": list(written.files)}
    line = f"Wrote volumes into {written.folder}: {len(written.files)}. They are of one person: keep them as the study."
    report(as_json, content, [line])
