"""Store augmented copies of the training samples."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmbase.duration import as_duration
from mmcli.console import report, show_progress
from mmcli.options import NUM_CORES, DryRunOption, JsonOption, OverwriteOption, WorkersOption, study_of
from mmcli.settings_options import with_settings
from mmcli.workers import ClusterSettings, worker_pool
from mmtrain.config.execution import DEVICE_NAMES

if TYPE_CHECKING:
    from mmdata.execution.pools import WorkerPool
    from mmdata.study import Study


@with_settings(ClusterSettings, into="cluster")
def precompute_augs(
    *,
    context: typer.Context,
    copies: Annotated[int, typer.Option(help="Augmented copies of every training sample.")] = 4,
    side: Annotated[
        list[int] | None, typer.Option(help="Resolution level, repeatable; left out: augment.sides of study.toml.")
    ] = None,
    device: Annotated[
        str, typer.Option(metavar=DEVICE_NAMES, help="Where to compute; auto: on a GPU where there is one.")
    ] = "auto",
    preview: Annotated[
        Path | None, typer.Option(help="Draw what the changes look like to this PNG, and store nothing.")
    ] = None,
    overwrite: OverwriteOption = False,
    workers: WorkersOption = NUM_CORES,
    cluster: dict[str, Any],
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Store augmented copies of the training samples.

    Then no epoch has to compute them.
    """
    from mmstudy.copies import choose_device, run_copies, write_preview

    if preview and dry_run:
        raise typer.BadParameter(
            "writes a picture, and --dry-run does nothing; give one of them", param_hint="--preview"
        )
    study = study_of(context)
    sides = tuple(side) if side else study.config.augment.sides
    if preview:
        write_preview(study, max(sides), preview, overwrite=overwrite)
        line = f"Wrote {preview}. It shows a person's brain: keep it where the study is."
        report(as_json, {"preview": str(preview)}, [line])
        return
    pool = worker_pool(workers, ClusterSettings(**cluster), study.layout.slurm)
    used_device = choose_device(device, pool)
    if dry_run:
        _preview(study, copies, sides, pool, used_device, as_json)
        return
    plan = run_copies(study, copies, sides, pool, used_device, show_progress)
    line = f"{copies} copies at side {', '.join(map(str, sides))}; {plan.num_volumes} volumes stored now."
    report(as_json, {"copies": copies, "sides": list(sides), "volumes_stored_now": plan.num_volumes}, [line])


def _preview(study: "Study", copies: int, sides: Sequence[int], pool: "WorkerPool", device: str, as_json: bool) -> None:
    from mmdata.copies.estimate import estimate_seconds
    from mmdata.execution.pools import num_workers
    from mmdata.report import projection_line
    from mmstudy.copies import preview_copies

    plan = preview_copies(study, copies, sides, pool, device)
    seconds = estimate_seconds(plan, workers=num_workers(pool))
    content = {"volumes": plan.num_volumes, "shards": len(plan.tasks), **asdict(plan.projection)}
    would = f"Would store {plan.num_volumes} volumes in about {as_duration(seconds)} (estimated from a few copies)."
    report(as_json, content | {"estimated_seconds": seconds}, [would, projection_line(plan.projection)])
