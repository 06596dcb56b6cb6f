"""A study's arrays and what work will need, as text and tables for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbase.plain_table import PlainTable, plain_table
from mmdata.execution.capacity import Projection, as_gb

if TYPE_CHECKING:
    from mmdata.ledger.verify import DamagedRow

MAX_LISTED = 100


def array_table(arrays: Sequence[Mapping[str, Any]]) -> PlainTable:
    """Show shape, number type and bytes of every array."""
    rows = [
        (array["array"], " × ".join(map(str, array["shape"])), array["dtype"], f"{array['bytes'] / 1e6:,.1f} MB")
        for array in arrays
    ]
    return plain_table(("array", "shape", "type", "on disk"), rows, whole=["array"])


def projection_line(projection: Projection) -> str:
    """Return one line about what a plan needs."""
    return (
        f"Needs up to {as_gb(projection.memory_bytes)} of memory ({projection.workers} workers of "
        f"{as_gb(projection.worker_bytes)}) and about {as_gb(projection.disk_bytes)} on disk."
    )


def search_line(num_scans: int, cpu_s: float, workers: int) -> str:
    """Return one line about how long it takes at most to find the brain in scans of whole heads.

    >>> search_line(1000, 5000.0, 8)
    'deepbet may have to find the brain in 1,000 scans: 5 s of a core each, about 10 minutes with 8 workers.'
    """
    minutes = max(1, round(cpu_s / workers / 60))
    return (
        f"deepbet may have to find the brain in {num_scans:,} scans: {cpu_s / num_scans:.0f} s of a core each, "
        f"about {minutes:,} {'minute' if minutes == 1 else 'minutes'} with {workers} workers."
    )


def damaged_arrays_table(damaged: Sequence["DamagedRow"], root: Path) -> PlainTable:
    """Show how many rows of each array of a study are damaged, and which arrays are gone altogether."""
    counts = Counter(
        "/".join(("augmented.zarr" if row.copy else "volumes.zarr", row.modality, row.array)) for row in damaged
    )
    rows = [(name, str(number), "" if (root / name).exists() else "is gone") for name, number in sorted(counts.items())]
    return plain_table(("array", "damaged rows", ""), rows, whole=["array"])


def damage_table(damaged: Sequence["DamagedRow"]) -> PlainTable:
    """Show which rows of which arrays are damaged."""
    rows = [(row.sample_id, row.modality, row.array, str(row.copy), str(row.row)) for row in damaged[:MAX_LISTED]]
    if len(damaged) > MAX_LISTED:
        rows.append((f"and {len(damaged) - MAX_LISTED} more", "", "", "", ""))
    return plain_table(("sample", "modality", "array", "copy", "row"), rows, whole=["sample"])
