"""Read one row, or one matrix, of a numpy table of edges."""

import numpy as np
from numpy.typing import NDArray

from mmbase.input_files import require_regular
from mmbase.records import ScanCandidate
from mmdata.errors import ScanRejected
from mmdata.sources.numpy_file import open_numpy_file


def read_edges(scan: ScanCandidate, num_regions: int) -> NDArray[np.floating]:
    """Return a scan's edges from a ``.npy`` table: the upper triangle of its matrix, row by row.

    Of a matrix, shape (num_regions, num_regions), only that triangle counts, as in the reference study.

    Raises
    ------
    ScanRejected
        ``unreadable``, ``bad-table`` or ``bad-dimensions``.
    """
    try:
        require_regular(scan.path)
        table = open_numpy_file(scan.path)
    except OSError as error:
        raise ScanRejected("unreadable", f"the table cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ScanRejected("bad-table", str(error)) from error
    num_edges = num_regions * (num_regions - 1) // 2
    if table.shape[1:] not in ((num_edges,), (num_regions, num_regions)) or table.dtype.kind != "f":
        raise ScanRejected(
            "bad-dimensions",
            f"expected rows of {num_edges} floats, or matrices of {num_regions} x {num_regions}, got shape "
            f"{table.shape} of {table.dtype}",
        )
    if scan.table_row is None or scan.table_row >= len(table):
        raise ScanRejected("bad-table", f"the table has {len(table):,} rows now, fewer than its list of ids")
    row: NDArray[np.floating] = np.array(table[scan.table_row])
    return row[np.triu_indices(num_regions, 1)] if row.ndim == 2 else row
