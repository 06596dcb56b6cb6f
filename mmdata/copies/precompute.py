"""Precompute augmented copies: training samples × copies × sides to shards, resumable and the same every time.

A task makes one copy of the training rows of one shard, at one side, for every modality together: they share each
sample's geometry, so one pass over its sampling grid serves all. On a processor samples are made one by one, so that a
copy's bytes depend on nothing but its own volume and recipe; on a GPU some at once.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import torch

from mmdata.augment.parameters import AugmentSettings
from mmdata.copies.copy import make_copies, rows_at_once
from mmdata.copies.stored import believed_copies
from mmdata.errors import StudyError
from mmdata.execution.allocator import keep_freed_memory
from mmdata.execution.capacity import BASE_WORKER_BYTES, Projection
from mmdata.execution.pools import LocalPool, WorkerPool
from mmdata.execution.tasks import keep_results, run_tasks
from mmdata.ledger.receipt_kinds import CopyReceipt
from mmdata.ledger.receipts import COPY_RECEIPTS, CopyKey, append_receipts, read_copy_receipts, read_source_copies
from mmdata.store.array import open_array
from mmdata.store.schema import FIRST_AUGMENTED_COPY, StudyLayout
from mmdata.store.shards import shard_starts
from mmdata.store.spec import ArraySpec, ensure_array
from mmdata.study import Study
from mmdata.study_arrays import COMPRESSED_SHARE, augmented_spec, require_sides

MAX_COPIES = 1000
_WORKING_VOLUMES = 48
"""Float32 volumes that the strongest copy holds at once: k-space, three positions for each voxel, and what the C
library keeps. Measured at 128³: 45."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyTask:
    """One copy of the training rows that share a shard, at one side."""

    layout: StudyLayout
    copy: int
    side: int
    start: int
    rows: Mapping[str, tuple[int, ...]] = field(repr=False)
    """Modality to the rows to store."""
    kept: Mapping[str, frozenset[int]] = field(repr=False)
    """Modality to the rows of the shard that are stored already and must stay."""
    sample_ids: Mapping[int, str] = field(repr=False)
    """Row to sample."""
    seed: int
    settings: AugmentSettings
    extent_mm: float
    device: str
    """``cpu`` or ``cuda``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyPlan:
    """All copies that are to be made."""

    arrays: tuple[ArraySpec, ...]
    tasks: tuple[CopyTask, ...]
    projection: Projection

    @property
    def num_volumes(self) -> int:
        """Volumes to store."""
        return sum(len(rows) for task in self.tasks for rows in task.rows.values())


def plan_copies(
    study: Study,
    training_rows: Mapping[str, Mapping[int, str]],
    *,
    num_rows: int,
    copies: int,
    sides: Sequence[int],
    workers: int,
    device: str = "cpu",
    only: Mapping[CopyKey, Collection[int]] | None = None,
) -> CopyPlan:
    """Decide which copies are still to be made.

    Parameters
    ----------
    training_rows
        For each volume modality, the stored training rows and their sample ids.
    num_rows
        Rows allocated in the study.
    device
        ``cpu`` or ``cuda``: where a task computes.
    only
        Rows of each (modality, side, copy) to consider; left out: all.

    Raises
    ------
    StudyError
        A side is not stored, there is nothing to augment, or the study's copies are its source's.
    """
    require_sides(study.config, sides)
    _require_drawn(study, training_rows, sides)
    if not 1 <= copies <= MAX_COPIES:
        raise StudyError(f"Expected 1 to {MAX_COPIES} copies, got {copies}.")
    if not any(training_rows.values()):
        raise StudyError("No training volume is stored yet.", "Run: mm ingest ukb")
    arrays = [augmented_spec(study, modality, side, copies, num_rows) for modality in training_rows for side in sides]
    tasks = _copy_tasks(study, training_rows, copies, sides, device, only)
    row_bytes = {spec.shape[-1]: spec.row_bytes for spec in arrays}
    shard_bytes = max(row_bytes.values()) * study.config.volumes.rows_per_shard
    held_shards = 2 * len(training_rows) + 2  # volumes and copies of each modality; one is read or written
    working_volumes = _WORKING_VOLUMES + 2 * len(training_rows) * rows_at_once(device)
    working_bytes = working_volumes * 4 * max(sides) ** 3
    projection = Projection(
        workers=max(1, min(workers, len(tasks))),
        worker_bytes=BASE_WORKER_BYTES + held_shards * shard_bytes + working_bytes,
        disk_bytes=int(sum(row_bytes[t.side] * COMPRESSED_SHARE * len(r) for t in tasks for r in t.rows.values())),
    )
    return CopyPlan(arrays=tuple(arrays), tasks=tuple(tasks), projection=projection)


def execute_copies(
    study: Study, plan: CopyPlan, *, workers: int | WorkerPool, on_progress: Callable[[int, int], None]
) -> None:
    """Make the planned copies and their receipts; those that a GPU makes, in this process.

    Raises
    ------
    StoreError
        Copies exist that were made with other settings.
    CapacityError
        Memory or disk ran out; what was stored stays.
    """
    for spec in plan.arrays:
        ensure_array(spec)

    def keep(receipts: list[CopyReceipt]) -> int:
        append_receipts(study.layout.receipts / COPY_RECEIPTS, receipts)
        return sum(len(receipt.rows) for receipt in receipts)

    pool = LocalPool(processes=0) if any(task.device != "cpu" for task in plan.tasks) else workers
    finished = run_tasks(store_copy, plan.tasks, workers=pool, memory_bytes=plan.projection.worker_bytes)
    keep_results(finished, keep, plan.num_volumes, on_progress)


def store_copy(task: CopyTask) -> list[CopyReceipt]:
    """Make and store one copy of a shard's training rows, for every modality of the task."""
    torch.set_num_threads(1)
    keep_freed_memory()
    sources = {modality: open_array(task.layout.volume_array(modality, task.side)) for modality in task.rows}
    targets = {modality: open_array(task.layout.augmented_array(modality, task.side)) for modality in task.rows}
    index = task.copy - FIRST_AUGMENTED_COPY
    buffers = {
        modality: array.read_shard(task.start, copy=index, kept=task.kept[modality])
        for modality, array in targets.items()
    }
    originals = {
        modality: array.read_shard(task.start, kept=task.rows[modality]) for modality, array in sources.items()
    }
    rows = sorted({row for rows in task.rows.values() for row in rows})
    at_once = rows_at_once(task.device)
    for together in (rows[start : start + at_once] for start in range(0, len(rows), at_once)):
        copies = make_copies(
            [
                {name: originals[name][row - task.start] for name in task.rows if row in task.rows[name]}
                for row in together
            ],
            task.settings,
            task.seed,
            [task.sample_ids[row] for row in together],
            task.copy,
            task.extent_mm,
            task.device,
        )
        for row, of_sample in zip(together, copies, strict=True):
            for modality, copy_XYZ in of_sample.items():
                buffers[modality][row - task.start] = copy_XYZ
    for modality, array in targets.items():
        array.write_shard(task.start, buffers[modality], copy=index)
    return [
        CopyReceipt(modality=modality, side=task.side, copy=task.copy, rows=list(rows))
        for modality, rows in task.rows.items()
    ]


def plan_copy_repair(
    study: Study, training_rows: Mapping[str, Mapping[int, str]], *, num_rows: int, workers: int
) -> CopyPlan | None:
    """Decide which drawn copies that were found damaged are to be made again; None where there are none.

    Parameters
    ----------
    training_rows, num_rows
        As for `plan_copies`.
    """
    from_source = read_source_copies(study.layout.receipts)
    damaged = {
        key: rows
        for key, rows in read_copy_receipts(study.layout.receipts, "damaged").items()
        if rows and key[:2] not in from_source
    }
    if not damaged or not any(training_rows.values()):
        return None
    return plan_copies(
        study,
        {modality: rows for modality, rows in training_rows.items() if modality in {key[0] for key in damaged}},
        num_rows=num_rows,
        copies=max(copy for _, _, copy in damaged),
        sides=sorted({side for _, side, _ in damaged}, reverse=True),
        workers=workers,
        only=damaged,
    )


def _require_drawn(study: Study, modalities: Iterable[str], sides: Sequence[int]) -> None:
    """Refuse to draw copies where those of the source are stored: an array's copies have one origin."""
    read = read_source_copies(study.layout.receipts).intersection(product(modalities, sides))
    if read:
        names = ", ".join(f"{modality}/{side}" for modality, side in sorted(read))
        raise StudyError(
            f"The augmented copies of {names} were read from the source's AUGMENTATIONS, and copies that mm draws are "
            "not mixed with them.",
            "Train with them as they are. To have drawn ones instead, remove augmented.zarr and receipts/copies.jsonl "
            "from the study first.",
        )


def _copy_tasks(
    study: Study,
    training_rows: Mapping[str, Mapping[int, str]],
    copies: int,
    sides: Sequence[int],
    device: str,
    only: Mapping[CopyKey, Collection[int]] | None,
) -> list[CopyTask]:
    stored = believed_copies(study)
    sample_ids = {row: sample_id for rows in training_rows.values() for row, sample_id in rows.items()}
    tasks = []
    for copy in range(FIRST_AUGMENTED_COPY, FIRST_AUGMENTED_COPY + copies):
        for side in sides:
            wanted = {
                modality: _considered(rows, only, key) - stored.get(key, frozenset())
                for modality, rows in training_rows.items()
                for key in [(modality, side, copy)]
            }
            every_row = sorted(set().union(*wanted.values()))
            for start, rows in shard_starts(every_row, study.config.volumes.rows_per_shard):
                of_modality = {
                    modality: tuple(row for row in rows if row in wanted[modality])
                    for modality in wanted
                    if not wanted[modality].isdisjoint(rows)
                }
                tasks.append(
                    CopyTask(
                        layout=study.layout,
                        copy=copy,
                        side=side,
                        start=start,
                        rows=of_modality,
                        kept={
                            modality: stored.get((modality, side, copy), frozenset()).intersection(
                                range(start, start + study.config.volumes.rows_per_shard)
                            )
                            for modality in of_modality
                        },
                        sample_ids={row: sample_ids[row] for row in rows},
                        seed=study.config.seed,
                        settings=study.config.augment,
                        extent_mm=study.config.volumes.extent_mm,
                        device=device,
                    )
                )
    return tasks


def _considered(rows: Mapping[int, str], only: Mapping[CopyKey, Collection[int]] | None, key: CopyKey) -> set[int]:
    return set(rows) if only is None else set(rows).intersection(only.get(key, ()))
