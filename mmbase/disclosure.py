"""Small-cell suppression: what of a table of counts may be published, so that no small cell can be worked out.

A cell is small when it counts 1 to 9 people. Small cells are hidden, and others with them, so that whoever knows every
published cell of a table and of its margins, and how many people there are, can determine neither a small cell nor the
sum of hidden cells where that is 1 to 9. Zero may be published.

The rule is that of UK LLC (https://guidebook.ukllc.ac.uk/docs/user_guide/sdc): ten people at least, also behind a mean
or a standard deviation, and masking by row and by column so that nothing can be calculated back. UK Biobank itself asks
for five. The words are those of the Handbook on Statistical Disclosure Control (2nd edition, 2024, chapters 4 and 5).

Why it holds
------------
*Margins.* A total of 1 to 9 is a small cell of the margin. `hidden_places` hides it with neighbours until they are two
and count 10 together. Those rows (or columns) are hidden from end to end, in every table that they belong to, and all
that can be known of them are their sums: they are as one row.

*Blocks.* With such rows and columns taken together, all margins are at least 10, and known. Hidden are rectangles that
share no row and no column, each two rows by two columns at least, each of their lines counting 10 at least. Inside a
rectangle only its lines' sums are known; they are positive, so each cell can be more or less than it is. A set of its
cells has a sum that is known only if adding and subtracting lines leaves that set once and nothing else, and in a full
rectangle only whole rows, or whole columns, are such sets. They count 10 at least.

Companions are chosen by place, not by size: who knows that the smallest neighbour was hidden, knows that it is at most
the smallest published, and may conclude.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

SMALLEST_COUNT = 10
SIGNIFICANT_DIGITS = 3
_DIGITS_OF_FLOATS = 9
"""What is smaller are the last digits of binary fractions."""


def hidden_places(counts: Sequence[int]) -> frozenset[int]:
    """Return which counts of a list with a known sum to hide: the small ones, with neighbours where needed.

    >>> sorted(hidden_places([200, 90, 80, 4]))
    [2, 3]
    >>> sorted(hidden_places([200, 0, 90]))
    []
    """
    hidden = {place for place, count in enumerate(counts) if 0 < count < SMALLEST_COUNT}
    others = {place for place, count in enumerate(counts) if count >= SMALLEST_COUNT}
    if hidden and others and sum(counts[place] for place in hidden) < SMALLEST_COUNT:
        hidden.add(_nearest(others, hidden))
    return frozenset(hidden)


def hidden_cells(counts_RC: Sequence[Sequence[int]]) -> frozenset[tuple[int, int]]:
    """Return which cells (row, column) of a table to hide.

    Parameters
    ----------
    counts_RC
        People by row and column; everybody is in one cell.

    >>> sorted(hidden_cells([[50, 60], [40, 3], [70, 80]]))
    [(0, 0), (0, 1), (1, 0), (1, 1)]
    """
    num_people = sum(map(sum, counts_RC))
    rows = _lines([sum(row) for row in counts_RC])
    columns = _lines([sum(column) for column in zip(*counts_RC, strict=True)])
    merged_RC = [[sum(counts_RC[r][c] for r in row for c in column) for column in columns] for row in rows]
    blocks = _find_blocks(merged_RC) if num_people >= SMALLEST_COUNT else []
    return frozenset(
        (r, c)
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
        if len(row) > 1
        or len(column) > 1
        or any(i in block.rows and j in block.columns for block in blocks)
        or 0 < num_people < SMALLEST_COUNT
        for r in row
        for c in column
    )


def rounded(number: float) -> float:
    """Return a mean or standard deviation as it may be published.

    >>> rounded(63.4567), rounded(0.0123456)
    (63.5, 0.0123)
    """
    return float(f"{number:.{SIGNIFICANT_DIGITS}g}")


def rounded_up(number: float) -> float:
    """Return the next number that has as many digits as `rounded` leaves; never a smaller one.

    >>> rounded_up(5.4321), rounded_up(0.5), -rounded_up(-75.09)
    (5.44, 0.5, 75.0)
    """
    if number == 0:
        return 0.0
    scale = 10.0 ** (SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(abs(number))))
    return math.ceil(round(number * scale, _DIGITS_OF_FLOATS)) / scale


@dataclass(frozen=True, slots=True)
class _Block:
    """A rectangle of hidden cells."""

    rows: frozenset[int]
    columns: frozenset[int]

    def touches(self, other: "_Block") -> bool:
        return not (self.rows.isdisjoint(other.rows) and self.columns.isdisjoint(other.columns))

    def __or__(self, other: "_Block") -> "_Block":
        return _Block(self.rows | other.rows, self.columns | other.columns)


def _lines(totals: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the rows or columns of a table, those whose totals are hidden as one."""
    hidden = hidden_places(totals)
    lines: list[tuple[int, ...]] = [(place,) for place in range(len(totals)) if place not in hidden]
    return sorted([*lines, tuple(sorted(hidden))]) if hidden else lines


def _find_blocks(counts_RC: Sequence[Sequence[int]]) -> list[_Block]:
    """Return rectangles that hide every small cell of a table whose totals are 0, or 10 and more."""
    waiting = [
        _Block(frozenset([r]), frozenset([c]))
        for r, row in enumerate(counts_RC)
        for c, count in enumerate(row)
        if 0 < count < SMALLEST_COUNT
    ]
    done: list[_Block] = []
    while waiting:
        block = waiting.pop()
        touching = [other for other in (*waiting, *done) if block.touches(other)]
        grown = reduce(or_, touching, _grow(counts_RC, block))
        if grown == block:
            done.append(block)
        else:
            waiting = [other for other in waiting if other not in touching] + [grown]
            done = [other for other in done if other not in touching]
    return done


def _grow(counts_RC: Sequence[Sequence[int]], block: _Block) -> _Block:
    """Add the nearest column that helps a row which counts too few, and the nearest row that helps a column."""
    columns_CR = list(zip(*counts_RC, strict=True))
    return _Block(
        block.rows | _nearest_help(columns_CR, block.columns, block.rows),
        block.columns | _nearest_help(counts_RC, block.rows, block.columns),
    )


def _nearest_help(counts: Sequence[Sequence[int]], lines: frozenset[int], crossing: frozenset[int]) -> frozenset[int]:
    """Return the place to add to `crossing` where one of `lines` counts too few in it."""
    short = [line for line in lines if sum(counts[line][place] for place in crossing) < SMALLEST_COUNT]
    helping = {place for line in short for place, count in enumerate(counts[line]) if count and place not in crossing}
    return frozenset([_nearest(helping, crossing)]) if helping else frozenset()


def _nearest(candidates: Collection[int], places: Collection[int]) -> int:
    return min(candidates, key=lambda candidate: (min(abs(candidate - place) for place in places), candidate))
