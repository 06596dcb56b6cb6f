"""Precompute augmented copies of a study's training samples."""

from collections.abc import Sequence

from catalog.database import open_catalog
from catalog.samples import num_allocated_rows
from catalog.scans import stored_training_rows
from mmdata.augment.precompute import CopyPlan, execute_copies, plan_copies
from mmdata.capacity import require_capacity
from mmdata.lock import hold_stores
from mmdata.study import Study
from mmstudy.progress import Progress


def preview_copies(study: Study, copies: int, sides: Sequence[int], workers: int) -> CopyPlan:
    """Return which copies are still to be made.

    Raises
    ------
    CatalogError, DataError
        There is nothing to augment, or a side is not stored.
    """
    with open_catalog(study.layout.catalog) as catalog:
        training_rows = stored_training_rows(catalog, study.config.volumes.modalities)
        num_rows = num_allocated_rows(catalog)
    return plan_copies(study, training_rows, num_rows=num_rows, copies=copies, sides=sides, workers=workers)


def run_copies(study: Study, copies: int, sides: Sequence[int], workers: int, progress: Progress) -> CopyPlan:
    """Make the copies that are still missing; return what was done.

    Raises
    ------
    CatalogError, DataError
        As `preview_copies`; or the disk or the memory do not suffice.
    """
    with hold_stores(study.layout):
        plan = preview_copies(study, copies, sides, workers)
        require_capacity(plan.projection, study.layout.root)
        with progress("volumes") as on_progress:
            execute_copies(study, plan, workers=workers, on_progress=on_progress)
    return plan
