"""What can be told of a row by its values alone: whether it was ever stored, and its checksum.

Terms
-----
missing  a row that was never stored. It reads as the array's fill value everywhere, which no stored row does: integers
         are filled with their largest value, floats with NaN, and every volume has background.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from mmdata.errors import StoreError
from mmdata.store.location import Location, short_name


def missing_value(dtype: np.dtype[Any] | str) -> Any:
    """Return the fill value that marks a row as never stored.

    >>> missing_value("uint8")
    255
    """
    dtype = np.dtype(dtype)
    return int(np.iinfo(dtype).max) if dtype.kind == "u" else float("nan")


def is_stored(row: NDArray[Any]) -> bool:
    """Tell whether a row that was read has ever been stored."""
    if row.dtype.kind == "f":
        return not bool(np.isnan(row.flat[0]))
    fill = missing_value(row.dtype)
    return bool(row.flat[0] != fill or (row != fill).any())


def find_missing(rows: NDArray[Any]) -> list[int]:
    """Return the indices in a batch, shape (B, *row_shape), of rows that were never stored.

    Nearly every stored row differs from the fill in its first voxel, so the others are hardly looked at.
    """
    first = np.asarray([row.flat[0] for row in rows], rows.dtype)
    suspects = np.isnan(first) if rows.dtype.kind == "f" else first == missing_value(rows.dtype)
    return [index for index in np.flatnonzero(suspects).tolist() if not is_stored(rows[index])]


def require_stored(rows: NDArray[Any], indices: Sequence[Sequence[int]], location: Location) -> None:
    """Refuse a batch that holds a row which was never stored.

    Raises
    ------
    StoreError
        Names the first such row.
    """
    if missing := find_missing(rows):
        raise StoreError(f"Row {tuple(indices[missing[0]])} of {short_name(location)} was never stored.")


def row_checksum(row: NDArray[Any]) -> str:
    """Return the 128-bit XXH3 of a row's bytes, in C order and native byte order, in hexadecimal digits.

    Equal rows are equal: among 100,000 different ones no two have the same.
    """
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(row).data)
