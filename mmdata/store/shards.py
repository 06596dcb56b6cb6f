"""Which rows share a shard, and which shards are on the disk.

Terms
-----
shard    the rows that share one file; written whole, by one task, in one atomic step.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from mmdata.store.chunks import shard_file


def shard_starts(rows: Sequence[int], rows_per_shard: int) -> Iterator[tuple[int, list[int]]]:
    """Group rows by the shard they lie in: yield (first row of the shard, its rows, ascending).

    >>> list(shard_starts([5, 0, 33], 32))
    [(0, [0, 5]), (32, [33])]
    """
    groups: dict[int, list[int]] = {}
    for row in sorted(rows):
        groups.setdefault(row - row % rows_per_shard, []).append(row)
    yield from groups.items()


def rows_on_disk(
    rows: Collection[int], array: Path, rows_per_shard: int, row_ndim: int, *, copy: int | None = None
) -> frozenset[int]:
    """Return those of some rows whose shard's file exists; an array need not."""
    found: set[int] = set()
    for start, of_shard in shard_starts(list(rows), rows_per_shard):
        if shard_file(array, start // rows_per_shard, row_ndim, copy=copy).exists():
            found.update(of_shard)
    return frozenset(found)
