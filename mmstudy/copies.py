"""Precompute augmented copies of a study's training samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from catalog.database import open_catalog
from catalog.export.files import require_writable
from catalog.samples import num_allocated_rows
from catalog.scans import stored_training_rows
from mmbase.files import replace_file
from mmdata.copies.precompute import CopyPlan, execute_copies, plan_copies
from mmdata.copies.preview import draw_sheet, preview_columns
from mmdata.errors import StudyError
from mmdata.execution.capacity import require_capacity
from mmdata.execution.pools import LocalPool, WorkerPool, num_workers
from mmdata.ledger.descriptions import restore_descriptions
from mmdata.ledger.lock import hold_stores
from mmdata.store.array import open_array
from mmdata.study import Study
from mmdata.study_arrays import require_sides
from mmstudy.outputs import keep_if_present, record_output
from mmstudy.progress import Progress
from mmtrain.config.execution import require_device_name
from mmtrain.device import choose_device as choose

PREVIEW_SUFFIXES = (".png",)


def choose_device(device: str, pool: WorkerPool) -> str:
    """Return ``cpu``, ``cuda`` or ``cuda:N``: a GPU works alone, in this process; jobs and clusters have processors.

    Raises
    ------
    StudyError
        A GPU is asked for together with a cluster.
    TrainError
        A GPU is asked for that is not there, or no device has such a name.
    """
    if isinstance(pool, LocalPool):
        return str(choose(device))
    if device.startswith("cuda"):
        raise StudyError(
            "A GPU works alone, in this process.", f"Give either --device {device}, or --scheduler or --slurm."
        )
    require_device_name(device)
    return "cpu"


def preview_copies(study: Study, copies: int, sides: Sequence[int], pool: WorkerPool, device: str) -> CopyPlan:
    """Return which copies are still to be made.

    Raises
    ------
    CatalogError, DataError
        There is nothing to augment, or a side is not stored.
    """
    training_rows, num_rows = _training_rows(study)
    workers = num_workers(pool)
    return plan_copies(
        study, training_rows, num_rows=num_rows, copies=copies, sides=sides, workers=workers, device=device
    )


def run_copies(
    study: Study, copies: int, sides: Sequence[int], pool: WorkerPool, device: str, progress: Progress
) -> CopyPlan:
    """Make the copies that are still missing; return what was done.

    Raises
    ------
    CatalogError, DataError
        As `preview_copies`; or the disk or the memory do not suffice.
    """
    with hold_stores(study.layout):
        restore_descriptions(study)
        plan = preview_copies(study, copies, sides, pool, device)
        require_capacity(plan.projection, study.layout.root, workers_are_here=isinstance(pool, LocalPool))
        with progress("volumes") as on_progress:
            execute_copies(study, plan, workers=pool, on_progress=on_progress)
    return plan


def write_preview(study: Study, side: int, path: Path, *, overwrite: bool) -> None:
    """Draw what augmentation does to one training sample to a PNG file; nothing is stored.

    Raises
    ------
    CatalogError, DataError
        The file cannot be written, or there is nothing to augment.
    """
    require_writable(path, PREVIEW_SUFFIXES, overwrite=overwrite)
    require_sides(study.config, [side])
    training_rows, _ = _training_rows(study)
    row, sample_id = _fullest_sample(training_rows)
    stored = {
        modality: open_array(study.layout.volume_array(modality, side)).read_rows([(row,)])[0]
        for modality, rows in training_rows.items()
        if row in rows
    }
    config = study.config
    columns = preview_columns(stored, config.augment, config.seed, sample_id, config.volumes.extent_mm)
    title = (
        f"One training sample at side {side}: as stored; with each kind of change alone, stronger than "
        "study.toml has it (geometry 3 times, the others twice); as the first copies will be."
    )
    picture = draw_sheet(list(columns), title)
    record_output(study.layout, path)
    with replace_file(path) as file:
        file.write(picture)
    keep_if_present(study.layout, path, [row])


def _training_rows(study: Study) -> tuple[dict[str, dict[int, str]], int]:
    with open_catalog(study.layout.catalog) as catalog:
        return stored_training_rows(catalog, study.config.volumes.modalities), num_allocated_rows(catalog)


def _fullest_sample(training_rows: Mapping[str, Mapping[int, str]]) -> tuple[int, str]:
    """Return the first row with most modalities, and its sample id."""
    samples = {row: sample_id for rows in training_rows.values() for row, sample_id in rows.items()}
    if not samples:
        raise StudyError("No training volume is stored yet.", "Run: mm ingest ukb")
    row = min(samples, key=lambda row: (-sum(row in rows for rows in training_rows.values()), row))
    return row, samples[row]
