"""`mm bench`: how fast a run would be on this machine."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mmcli.console import report, show_progress
from mmcli.options import JsonOption, OverwriteOption, study_of
from mmcli.settings_options import with_settings
from mmtrain.config.run import SECTIONS

SPEED_DEPENDS_ON = (
    *("inputs", "metadata_blocks", "keep_own_block", "side", "model", "channels"),
    *("batch_size", "accumulate", "precision", "compile", "device", "stores", "prefetch_bytes"),
)
"""Settings of a run that are options here too."""


@with_settings(*SECTIONS.values(), only=SPEED_DEPENDS_ON)
def bench(
    context: typer.Context,
    *,
    target: Annotated[str, typer.Option(help="What the run would predict; it hardly matters for its speed.")] = "age",
    given: dict[str, Any],
    seconds: Annotated[float, typer.Option(min=0.1, help="For each stage and each mode of augmentation.")] = 5.0,
    picture: Annotated[Path | None, typer.Option(help="Draw what was measured to this PNG.")] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast a run would be on this machine.

    \b
    mm bench                               a run with the study's own settings
    mm bench --side 128 --batch-size 32    another run
    mm bench --picture bench.png           draw it too

    Says which mode of augmentation, precision and other settings suit the machine. Takes the options of mm train that
    its speed depends on. Nothing of the study is changed.
    """  # noqa: D301 - click wants the character itself
    import psutil

    from mmstudy.bench import run_bench
    from mmstudy.bench_picture import require_picture, write_picture
    from mmstudy.bench_report import bench_lines
    from mmstudy.runs.arguments import parse_targets

    study = study_of(context)
    if picture:
        require_picture(picture, overwrite=overwrite)
    started = psutil.Process().create_time()
    result = run_bench(study, parse_targets(target), given, seconds, show_progress, started=started)
    lines = list(bench_lines(result))
    if picture:
        write_picture(result, picture)
        lines.append(f"Wrote {picture}.")
    report(as_json, result.to_json(), lines)
