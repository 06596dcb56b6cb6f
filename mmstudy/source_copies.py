"""Read the augmented copies that a study's sources have made; no network library is loaded for it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from catalog.database import open_catalog
from catalog.samples import num_allocated_rows
from catalog.scans import stored_training_rows
from mmbase.records import CopyCandidate, EnrolledSample, Visit
from mmdata.copies.from_source import execute_source_copies, plan_source_copies
from mmdata.execution.capacity import require_capacity
from mmdata.execution.pools import LocalPool, WorkerPool, num_workers
from mmdata.ledger.receipts import CopyKey
from mmdata.study import Study
from mmstudy.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadCopies:
    """What became of the augmented copies that a source has made."""

    num_read: int = 0
    """Files that were read now, whether or not they could be used."""
    rejections: Mapping[str, int] = field(default_factory=dict)
    """Reason to the number of those that cannot be used."""
    num_left_alone: int = 0
    """Files that were not looked at, because the study has drawn copies of its own."""


def project_copies(
    study: Study, candidates: Sequence[CopyCandidate], samples: Mapping[Visit, EnrolledSample], num_rows: int
) -> int:
    """Return the bytes on disk that a source's copies will take, if every volume that trains can be used."""
    if not candidates:
        return 0
    rows = {sample.row: sample.sample_id for sample in samples.values() if sample.split == "train"}
    training_rows = dict.fromkeys(study.config.volumes.modalities, rows)
    plan = plan_source_copies(study, candidates, samples, training_rows, num_rows=num_rows, workers=1)
    return plan.projection.disk_bytes


def read_copies(
    study: Study,
    candidates: Sequence[CopyCandidate],
    samples: Mapping[Visit, EnrolledSample],
    pool: WorkerPool,
    progress: Progress,
    *,
    only: Mapping[CopyKey, Collection[int]] | None = None,
) -> ReadCopies:
    """Store the augmented copies that a source has made of stored training volumes. The caller holds the stores.

    Parameters
    ----------
    samples
        The enrolled samples by visit.
    only
        Rows of each (modality, side, copy) to consider; left out: all.

    Raises
    ------
    CatalogError, DataError
        The disk or the memory do not suffice, or copies were stored otherwise before.
    """
    if not candidates:
        return ReadCopies()
    with open_catalog(study.layout.catalog) as catalog:
        training_rows = stored_training_rows(catalog, study.config.volumes.modalities)
        num_rows = num_allocated_rows(catalog)
    workers = num_workers(pool)
    plan = plan_source_copies(study, candidates, samples, training_rows, num_rows=num_rows, workers=workers, only=only)
    require_capacity(plan.projection, study.layout.root, workers_are_here=isinstance(pool, LocalPool))
    if not plan.tasks:
        return ReadCopies(num_left_alone=plan.num_left_alone)
    with progress("copies") as on_progress:
        rejections = execute_source_copies(study, plan, workers=pool, on_progress=on_progress)
    return ReadCopies(num_read=plan.num_volumes, rejections=rejections, num_left_alone=plan.num_left_alone)
