"""A study's arrays and what work will need, as text and tables for people."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from mmdata.execution.capacity import Projection, as_gb

if TYPE_CHECKING:
    from mmdata.ledger.verify import DamagedRow

MAX_LISTED = 100


def array_table(arrays: Sequence[Mapping[str, Any]]) -> Table:
    """Show shape, number type and bytes of every array."""
    table = Table("array", "shape", "type", "on disk", box=None, pad_edge=False)
    for array in arrays:
        shape = " × ".join(map(str, array["shape"]))
        table.add_row(array["array"], shape, array["dtype"], f"{array['bytes'] / 1e6:,.1f} MB")
    return table


def projection_line(projection: Projection) -> str:
    """Return one line about what a plan needs."""
    return (
        f"Needs up to {as_gb(projection.memory_bytes)} of memory ({projection.workers} workers of "
        f"{as_gb(projection.worker_bytes)}) and about {as_gb(projection.disk_bytes)} on disk."
    )


def damage_table(damaged: Sequence["DamagedRow"]) -> Table:
    """Show which rows of which arrays are damaged."""
    table = Table("sample", "modality", "array", "copy", "row", box=None, pad_edge=False)
    for row in damaged[:MAX_LISTED]:
        table.add_row(row.sample_id, row.modality, row.array, str(row.copy), str(row.row))
    if len(damaged) > MAX_LISTED:
        table.add_row(f"and {len(damaged) - MAX_LISTED} more", "", "", "", "")
    return table
