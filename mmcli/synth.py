"""Write synthetic data to try everything on."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mmcli.console import report, show_progress
from mmcli.options import NUM_CORES, JsonOption, WorkersOption

app = typer.Typer(no_args_is_help=True, help="Write synthetic data to try everything on.")
DestinationArgument = Annotated[Path, typer.Argument(help="A new or empty folder.")]
ParticipantsOption = Annotated[int, typer.Option("--participants", help="People with imaging.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Same seed, same bytes.")]
VoxelOption = Annotated[float, typer.Option("--voxel-mm", help="Voxel edge of T1 and FLAIR, in mm.")]


@app.command()
def ukb(
    destination: DestinationArgument,
    participants: ParticipantsOption = 100,
    seed: SeedOption = 1337,
    voxel_mm: VoxelOption = 1.0,
    layout: Annotated[
        Literal["zips", "trees", "rap"], typer.Option(help="Zips, unzipped, or as the Research Analysis Platform.")
    ] = "zips",
    faults: Annotated[Literal["some", "every"], typer.Option(help="Bad files: some, or every kind.")] = "some",
    extras: Annotated[bool, typer.Option("--extras", help="More maps, warped images and connectomes.")] = False,
    table_form: Annotated[
        Literal["ukbconv-csv", "ukbconv-tab", "rap", "rap-tsv", "rap-labels", "rap-multiselect"] | None,
        typer.Option(help="How the table is written; left out: as in the layout."),
    ] = None,
    workers: WorkersOption = NUM_CORES,
    as_json: JsonOption = False,
) -> None:
    """Write a synthetic UK Biobank release."""
    settings = {"participants": participants, "seed": seed, "voxel_mm": voxel_mm}
    kinds = {"layout": layout, "faults": faults, "extras": extras, "table_form": table_form}
    _synthesise(destination, settings | kinds, workers, as_json)


@app.command()
def bids(
    destination: DestinationArgument,
    participants: ParticipantsOption = 100,
    seed: SeedOption = 1337,
    voxel_mm: VoxelOption = 1.0,
    workers: WorkersOption = NUM_CORES,
    as_json: JsonOption = False,
) -> None:
    """Write the same participants as BIDS derivatives."""
    settings = {"participants": participants, "seed": seed, "voxel_mm": voxel_mm, "layout": "bids"}
    _synthesise(destination, settings, workers, as_json)


@app.command()
def folder(
    destination: DestinationArgument,
    participants: ParticipantsOption = 100,
    seed: SeedOption = 1337,
    voxel_mm: VoxelOption = 1.0,
    layout: Annotated[
        Literal["plain", "reference"], typer.Option(help="Plain, or as the reference study's own code has it.")
    ] = "plain",
    workers: WorkersOption = NUM_CORES,
    as_json: JsonOption = False,
) -> None:
    """Write the same participants in the reference study's layout."""
    name = "folder" if layout == "plain" else layout
    settings = {"participants": participants, "seed": seed, "voxel_mm": voxel_mm, "layout": name}
    _synthesise(destination, settings, workers, as_json)


def _synthesise(destination: Path, settings: Mapping[str, Any], workers: int, as_json: bool) -> None:
    from mmdata.synth.release import SynthConfig, write_release
    from mmstudy.wording import sentence

    with show_progress("visits") as on_progress:
        summary = asdict(write_release(destination, SynthConfig(**settings), workers=workers, on_progress=on_progress))
    report(as_json, summary, [f"Wrote {destination}: {sentence(_by_field(summary))}."])


def _by_field(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return counts with a count of its own for each bulk field.

    >>> _by_field({"visits": 9, "scans": {"20252": 8, "20253": 7}})
    {'visits': 9, 'scans of 20252': 8, 'scans of 20253': 7}
    """
    counts: dict[str, Any] = {}
    for name, value in summary.items():
        counts |= {f"{name} of {field}": n for field, n in value.items()} if isinstance(value, dict) else {name: value}
    return counts
