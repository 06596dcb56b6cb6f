"""Measure how fast a run would be on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from mmcli.console import report, show_progress
from mmcli.options import JsonOption, OverwriteOption, given_options, study_of


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
    """Measure how fast a run would be on this machine.

    \b
    mm bench                               a run with the study's own settings
    mm bench --side 128 --batch-size 32    another run
    mm bench --picture bench.png           draw it too

    Says which way to augment suits the machine. Takes the options of mm train that its speed depends on. Nothing of
    the study is changed.
    """  # noqa: D301 - click wants the character itself
    from mmstudy.bench import run_bench
    from mmstudy.bench_picture import require_picture, write_picture
    from mmstudy.bench_report import bench_lines

    study = study_of(context)
    given = given_options(
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
    result = run_bench(study, target, given, seconds, show_progress)
    lines = list(bench_lines(result))
    if picture:
        write_picture(result, picture)
        lines.append(f"Wrote {picture}.")
    report(as_json, result.to_json(), lines)
