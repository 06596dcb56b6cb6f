"""Mean and standard deviation of a cohort's stored rows, and how much each row is like the mean.

Rows are read a few at a time, so memory does not grow with the cohort. A row that is damaged or was never stored is
passed over: whoever asked sees which rows are missing in the answer.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.errors import StoreError
from mmdata.store.array import StoredArray

MAX_BATCH_BYTES = 1 << 25
"""Of the rows that are read at once, as float64."""
RowBatch = tuple[list[int], NDArray[Any]]
"""Rows and what is stored in them, shape (rows, *row_shape)."""


@dataclass(frozen=True, slots=True)
class CohortMean:
    """What the rows of a cohort have in common."""

    rows: tuple[int, ...]
    """The rows it is over."""
    mean: NDArray[np.float64]
    """Shape of a row, in stored units."""
    deviation: NDArray[np.float64]
    """Population standard deviation, same shape and unit."""


def spread_evenly(rows: Sequence[int], limit: int) -> list[int]:
    """Return at most `limit` rows, taken evenly over all of them.

    >>> spread_evenly(range(0, 100, 10), 4)
    [0, 30, 60, 90]
    """
    if len(rows) <= limit:
        return list(rows)
    return [rows[int(index)] for index in np.linspace(0, len(rows) - 1, limit).round()]


def read_batches(array: StoredArray, rows: Sequence[int], on_read: Callable[[int], None]) -> Iterator[RowBatch]:
    """Yield the readable ones of some rows, a batch at a time.

    Parameters
    ----------
    on_read
        Called after each batch with the number of rows that were tried.
    """
    batch_size = max(1, MAX_BATCH_BYTES // (8 * int(np.prod(array.row_shape))))
    for start in range(0, len(rows), batch_size):
        wanted = list(rows[start : start + batch_size])
        try:
            yield wanted, array.read_rows([(row,) for row in wanted])
        except StoreError:
            yield from _read_singly(array, wanted)
        on_read(len(wanted))


def average_rows(batches: Iterable[RowBatch]) -> CohortMean | None:
    """Return mean and standard deviation over all rows, or None where there is no row.

    Each batch is merged by its own mean and sum of squares, so that large means cost no precision.

    Source: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979.
    """
    seen: list[int] = []
    mean: Any = 0.0
    squares: Any = 0.0
    for rows, stored in batches:
        values = stored.astype(np.float64)
        batch_mean = values.mean(axis=0)
        values -= batch_mean
        difference, num_before = batch_mean - mean, len(seen)
        seen += rows
        mean = mean + difference * (len(rows) / len(seen))
        squares = squares + np.square(values, out=values).sum(axis=0)
        squares += difference**2 * (num_before * len(rows) / len(seen))
    return CohortMean(tuple(seen), mean, np.sqrt(squares / len(seen))) if seen else None


def correlate_with_mean(batches: Iterable[RowBatch], mean: NDArray[np.float64]) -> dict[int, float]:
    """Return the Pearson correlation of every row with the mean, 0 for a row that is constant."""
    centred_mean = (mean - mean.mean()).ravel()
    unit_mean = (centred_mean / (np.linalg.norm(centred_mean) or 1.0)).astype(np.float32)
    correlations: dict[int, float] = {}
    for rows, stored in batches:
        values = stored.reshape(len(rows), -1).astype(np.float32)
        values -= values.mean(axis=1, keepdims=True)
        norms = np.linalg.norm(values, axis=1)
        products = values @ unit_mean
        likeness = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
        correlations.update(zip(rows, likeness.astype(float).tolist(), strict=True))
    return correlations


def _read_singly(array: StoredArray, rows: Sequence[int]) -> Iterator[RowBatch]:
    for row in rows:
        try:
            yield [row], array.read_rows([(row,)])
        except StoreError:
            continue
