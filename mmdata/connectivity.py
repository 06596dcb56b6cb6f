"""From regional time series to the edges of a functional connectivity matrix.

An edge is the Pearson correlation of two regions. Edges are the upper triangle of the matrix without its diagonal, row
by row, so region pairs come as (0, 1), (0, 2) … (0, n - 1), (1, 2) ….
"""

import io

import numpy as np
import polars as pl
from isal import igzip
from isal.isal_zlib import IsalError
from numpy.typing import NDArray

from mmdata.errors import ScanRejected

NUM_GLASSER_REGIONS = 360
NUM_GLASSER_EDGES = NUM_GLASSER_REGIONS * (NUM_GLASSER_REGIONS - 1) // 2
MIN_TIMEPOINTS = 50
MAX_TABLE_BYTES = 1 << 26
_NOT_A_NUMBER = ["", "nan", "NaN", "NA"]


def parse_timeseries(compressed: bytes) -> NDArray[np.float64]:
    """Return the time series in a gzipped csv, shape (regions, timepoints); an empty region is NaN.

    Raises
    ------
    ScanRejected
        ``corrupt``, ``bad-table`` or ``bad-dimensions``.
    """
    try:
        text = igzip.IGzipFile(fileobj=io.BytesIO(compressed)).read(MAX_TABLE_BYTES)
    except (OSError, EOFError, IsalError) as error:
        raise ScanRejected("corrupt", f"the gzip stream does not decode ({type(error).__name__})") from error
    try:
        table = pl.read_csv(text, null_values=_NOT_A_NUMBER, infer_schema=False)
        numbers = table.select(pl.all().exclude(table.columns[0]).cast(pl.Float64))
    except (pl.exceptions.PolarsError, IndexError) as error:
        raise ScanRejected(
            "bad-table", f"the time series are not a table of numbers ({type(error).__name__})"
        ) from error
    if numbers.height != NUM_GLASSER_REGIONS or numbers.width < MIN_TIMEPOINTS:
        raise ScanRejected(
            "bad-dimensions",
            f"expected {NUM_GLASSER_REGIONS} regions and at least {MIN_TIMEPOINTS} timepoints, got {numbers.shape}",
        )
    return numbers.fill_null(float("nan")).to_numpy()


def correlate_regions(timeseries_RT: NDArray[np.float64], *, fisher_z: bool) -> tuple[NDArray[np.float32], int]:
    """Return the edges of a connectivity matrix and the number of regions without a signal.

    Edges of a region without a signal (NaN or constant) are 0.

    Raises
    ------
    ScanRejected
        ``empty``: no region has a signal.
    """
    with np.errstate(invalid="ignore"):
        centred = timeseries_RT - timeseries_RT.mean(axis=1, keepdims=True)
        norms = np.sqrt((centred**2).sum(axis=1, keepdims=True))
        varies = np.ptp(timeseries_RT, axis=1) > 0  # a constant's mean may be off by rounding, its norm then above 0
    has_signal = np.isfinite(norms[:, 0]) & (norms[:, 0] > 0) & varies
    if not has_signal.any():
        raise ScanRejected("empty", "no region has a signal")
    unit = np.zeros_like(centred)
    unit[has_signal] = centred[has_signal] / norms[has_signal]
    edges = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    if fisher_z:
        edges = np.arctanh(np.clip(edges, -0.999999, 0.999999))
    return edges.astype(np.float32), int((~has_signal).sum())
