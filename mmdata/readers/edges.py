"""Read one row of a numpy table of edges."""

import numpy as np
from numpy.typing import NDArray

from mmbase.input_files import require_regular
from mmbase.records import ScanCandidate
from mmdata.errors import ScanRejected
from mmdata.sources.numpy_file import open_numpy_file


def read_edges(scan: ScanCandidate, num_edges: int) -> NDArray[np.floating]:
    """Return a scan's row of a ``.npy`` table, edges as the upper triangle row by row.

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
    if table.ndim != 2 or table.shape[1] != num_edges or table.dtype.kind != "f":
        raise ScanRejected(
            "bad-dimensions", f"expected rows of {num_edges} floats, got shape {table.shape} of {table.dtype}"
        )
    if scan.table_row is None or scan.table_row >= len(table):
        raise ScanRejected("bad-table", f"the table has {len(table):,} rows now, fewer than its list of ids")
    row: NDArray[np.floating] = np.array(table[scan.table_row])
    return row
