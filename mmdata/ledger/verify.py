"""Read every stored row again and name the damaged ones; note them, so that they are made again.

A row of a volume or of connectivity is whole when its bytes have the checksum that its receipt says. A row of an
augmented copy is whole when its chunk passes the checksum inside the shard.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmbase.names import CONNECTIVITY
from mmdata.errors import StoreError
from mmdata.execution.tasks import keep_results, run_tasks
from mmdata.ledger.receipt_kinds import CopyReceipt, ScanReceipt
from mmdata.ledger.receipts import (
    COPY_RECEIPTS,
    SCAN_RECEIPTS,
    CopyKey,
    append_receipts,
    read_copy_receipts,
    read_samples,
    read_scan_receipts,
)
from mmdata.store.array import open_array
from mmdata.store.rows import row_checksum
from mmdata.store.schema import FIRST_AUGMENTED_COPY
from mmdata.store.shards import shard_starts
from mmdata.study import Study

DAMAGED = "damaged"
"""Reason of a scan that was stored and is not whole any more."""
_DETAIL = "its bytes in the store are not those that were written"


@dataclass(frozen=True, kw_only=True, slots=True)
class DamagedRow:
    """One row of one array that is not what was stored."""

    sample_id: str
    modality: str
    array: str
    """A side, or the kind of connectivity."""
    copy: int
    """0 for the volume itself."""
    row: int


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyTask:
    """The stored rows of one shard of one array."""

    path: Path
    modality: str
    copy: int
    checksums: dict[int, str] = field(repr=False)
    """Row to its checksum; empty text where none was kept."""
    sample_ids: dict[int, str] = field(repr=False)


def plan_verification(study: Study) -> list[VerifyTask]:
    """List every shard that holds rows which receipts call stored."""
    rows_per_shard = study.config.volumes.rows_per_shard
    return [*_scan_tasks(study, rows_per_shard), *_copy_tasks(study, rows_per_shard)]


def execute_verification(
    tasks: Sequence[VerifyTask], *, workers: int, on_progress: Callable[[int, int], None]
) -> list[DamagedRow]:
    """Read what the tasks name; return the damaged rows in the order of arrays and rows."""
    total = sum(len(task.checksums) for task in tasks)
    damaged: list[DamagedRow] = []

    def keep(checked: tuple[int, list[DamagedRow]]) -> int:
        damaged.extend(checked[1])
        return checked[0]

    keep_results(run_tasks(check_shard, tasks, workers=workers), keep, total, on_progress)
    return sorted(damaged, key=lambda row: (row.copy, row.modality, row.array, row.row))


def check_shard(task: VerifyTask) -> tuple[int, list[DamagedRow]]:
    """Read the rows of one task; return how many there are, and the damaged ones."""
    rows = sorted(task.checksums)
    try:
        array = open_array(task.path)
        values, damaged = array.check_rows(rows, copy=task.copy - FIRST_AUGMENTED_COPY if task.copy else None)
        checksums = {row: row_checksum(value) for row, value in zip(rows, values, strict=True)}
    except StoreError:
        damaged, checksums = set(rows), {}
    damaged |= {row for row in checksums if task.checksums[row] and task.checksums[row] != checksums[row]}
    return len(rows), [
        DamagedRow(
            sample_id=task.sample_ids[row], modality=task.modality, array=task.path.name, copy=task.copy, row=row
        )
        for row in sorted(damaged)
    ]


def record_damage(study: Study, damaged: Sequence[DamagedRow]) -> None:
    """Put on record which scans and copies are damaged, and which were and are whole again.

    Cohorts pass damaged scans over and the next ingest reads them again. The receipt of a damaged scan keeps its
    checksums, so that a store which was only out of sight is taken back. Copies of a damaged volume are damaged too.
    """
    receipts = read_scan_receipts(study.layout.receipts)
    lost = {(row.sample_id, row.modality) for row in damaged if row.copy == 0}
    noted = {key for key, receipt in receipts.items() if receipt.reason == DAMAGED}
    found = [replace(receipts[key], status="rejected", reason=DAMAGED, detail=_DETAIL) for key in sorted(lost - noted)]
    whole = [replace(receipts[key], status="stored", reason="", detail="") for key in sorted(noted - lost)]
    append_receipts(study.layout.receipts / SCAN_RECEIPTS, [*found, *whole])
    lost_rows = {(receipts[key].modality, receipts[key].row) for key in lost}
    lost_copies: dict[CopyKey, set[int]] = defaultdict(set)
    for row in damaged:
        if row.copy:
            lost_copies[row.modality, int(row.array), row.copy].add(row.row)
    for key, rows in read_copy_receipts(study.layout.receipts).items():
        lost_copies[key].update(row for row in rows if (key[0], row) in lost_rows)
    append_receipts(
        study.layout.receipts / COPY_RECEIPTS,
        [
            CopyReceipt(modality=modality, side=side, copy=copy, rows=sorted(rows), status="damaged")
            for (modality, side, copy), rows in sorted(lost_copies.items())
            if rows
        ],
    )


def _scan_tasks(study: Study, rows_per_shard: int) -> Iterator[VerifyTask]:
    by_array: dict[tuple[str, str], dict[int, ScanReceipt]] = {}
    for receipt in read_scan_receipts(study.layout.receipts).values():
        for name in receipt.checksums:  # those that were found damaged keep theirs: they may be whole again
            by_array.setdefault((receipt.modality, name), {})[receipt.row] = receipt
    for (modality, name), receipts in sorted(by_array.items()):
        connectivity = modality == CONNECTIVITY
        layout = study.layout
        for _, rows in shard_starts(list(receipts), rows_per_shard):
            yield VerifyTask(
                path=layout.connectivity_array(name) if connectivity else layout.volume_array(modality, int(name)),
                modality=modality,
                copy=0,
                checksums={row: receipts[row].checksums[name] for row in rows},
                sample_ids={row: receipts[row].sample_id for row in rows},
            )


def _copy_tasks(study: Study, rows_per_shard: int) -> Iterator[VerifyTask]:
    sample_ids = {sample.row: name for name, sample in read_samples(study.layout.receipts).items()}
    for (modality, side, copy), stored in sorted(read_copy_receipts(study.layout.receipts).items()):
        for _, rows in shard_starts(list(stored), rows_per_shard):
            yield VerifyTask(
                path=study.layout.augmented_array(modality, side),
                modality=modality,
                copy=copy,
                checksums=dict.fromkeys(rows, ""),
                sample_ids={row: sample_ids.get(row, "") for row in rows},
            )
