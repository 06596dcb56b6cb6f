"""Find damage in what is stored, mend it, and look at the cohort."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mmbase.errors import MmError
from mmcli.console import fail, report, show_progress, warn
from mmcli.options import NUM_CORES, JsonOption, WorkersOption, study_of


def verify(context: typer.Context, workers: WorkersOption = NUM_CORES, as_json: JsonOption = False) -> None:
    """Read every stored row again and name the damaged ones."""
    from mmdata.report import damage_table, damaged_arrays_table
    from mmstudy.repair import find_damage, find_files, unreachable_runs

    study = study_of(context)
    files = find_files(study)
    for file in files:
        warn(f"{file.file} {file.problem}. {file.remedy}")
    unreachable = unreachable_runs(study)
    for path in unreachable:
        warn(f"The run {path} cannot be reached from here, so its files were not looked at.")
    content: dict[str, Any] = {
        "damaged": None,
        "files": [asdict(file) for file in files],
        "unreachable_runs": unreachable,
    }
    try:
        damaged = find_damage(study, workers, show_progress)
    except MmError:  # a damaged receipt: it is not known which rows are stored
        report(as_json, content, [])
        raise
    content["damaged"] = [asdict(row) for row in damaged]
    found = [damaged_arrays_table(damaged, study.layout.root), damage_table(damaged)]
    report(as_json, content, found if damaged else ["Every stored row is as it was written."])
    if damaged:
        fail(f"{len(damaged)} rows are damaged. Restore them with: mm repair")
    if files:
        fail(f"{len(files)} files are damaged.")


def repair(context: typer.Context, workers: WorkersOption = NUM_CORES, as_json: JsonOption = False) -> None:
    """Restore the damaged rows.

    Volumes and connectivity are read from their sources again, and so are copies that a source made; all other copies
    are made from the volumes.
    """
    from mmstudy.repair import run_repair

    result = run_repair(study_of(context), workers, show_progress)
    line = (
        f"{result.num_damaged_rows} rows were damaged; {result.num_scans_read} scans were read again and "
        f"{result.num_copies_made} copies made again."
    )
    report(as_json, asdict(result), [line, *(f"Made {file} again." for file in result.files_made)])
    for file in result.files_left:
        warn(f"{file.file} {file.problem}. {file.remedy}")
    if result.num_receipts_dropped:
        warn(
            f"{result.num_receipts_dropped} damaged receipts were taken out. Run mm ingest again, and where there are "
            "copies mm precompute-augs: what they spoke of is stored again."
        )
    if result.num_scans_left:
        fail(
            f"{result.num_scans_left} scans could not be stored again: they are not in the sources, or are rejected "
            "now (mm status says why). Cohorts leave them out; add the sources again and run the same command again."
        )
    if result.num_copies_left:
        fail(
            f"{result.num_copies_left} augmented copies could not be read from the source again. Their samples train "
            "without copies; add the source again and run the same command again."
        )
    if result.files_left:
        fail(f"{len(result.files_left)} files are damaged and cannot be made again.")


def qc(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option(help="The page to write; left out: qc.html in the study.")] = None,
    max_unusual: Annotated[int, typer.Option(min=1, help="Unusual scans to show of each modality.")] = 24,
    max_volumes: Annotated[int, typer.Option(min=1, help="Most samples to average for the mean images.")] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Write a page about the quality of the scans.

    It shows means, distributions, unusual and rejected scans.
    """
    from mmstudy.quality import write_quality_page

    study = study_of(context)
    path = output or study.layout.qc_page
    summary = write_quality_page(study, path, show_progress, max_unusual=max_unusual, max_volumes=max_volumes)
    report(as_json, {"page": str(path), **asdict(summary)}, [f"Wrote {path}. Open it in a browser."])
