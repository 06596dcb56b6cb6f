"""The edges of a functional connectivity matrix, from regional time series or from a file of edges.

An edge says how two regions go together. Edges are stored as the upper triangle of the matrix without its diagonal, row
by row, so region pairs come as (0, 1), (0, 2) … (0, n - 1), (1, 2) ….
"""

import io
import math
from typing import Any

import numpy as np
import polars as pl
from isal import igzip
from isal.isal_zlib import IsalError
from numpy.typing import NDArray

from mmdata.errors import ScanRejected

MIN_TIMEPOINTS = 50
MAX_TABLE_BYTES = 1 << 26
_ROUNDING = 1e-5
"""By which a correlation kept as float32 or float16 may pass 1."""
_LARGEST_CORRELATION = 0.999999
"""Of which Fisher's z is taken; that of 1 is infinite."""
_NOT_A_NUMBER = ["", "nan", "NaN", "NA"]


def parse_timeseries(compressed: bytes, num_regions: int) -> NDArray[np.float64]:
    """Return the time series in a gzipped csv, shape (num_regions, timepoints); an empty region is NaN.

    The csv has a row for each region: its name, then its values.

    Raises
    ------
    ScanRejected
        ``corrupt``, ``bad-table`` or ``bad-dimensions``.
    """
    try:
        text = igzip.IGzipFile(fileobj=io.BytesIO(compressed)).read(MAX_TABLE_BYTES)
    except (OSError, EOFError, IsalError) as error:
        raise ScanRejected("corrupt", f"the gzip stream does not decode ({type(error).__name__})") from error
    if len(text) == MAX_TABLE_BYTES:
        raise ScanRejected("bad-dimensions", f"the time series unpack to {MAX_TABLE_BYTES:,} bytes or more")
    try:
        table = pl.read_csv(text, null_values=_NOT_A_NUMBER, infer_schema=False)
        numbers = table.select(pl.all().exclude(table.columns[0]).cast(pl.Float64))
    except (pl.exceptions.PolarsError, IndexError) as error:
        raise ScanRejected(
            "bad-table", f"the time series are not a table of numbers ({type(error).__name__})"
        ) from error
    if numbers.height != num_regions or numbers.width < MIN_TIMEPOINTS:
        raise ScanRejected(
            "bad-dimensions",
            f"expected {num_regions} regions and at least {MIN_TIMEPOINTS} timepoints, got {numbers.shape}",
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
        edges = _fisher_z(edges)
    return edges.astype(np.float32), int((~has_signal).sum())


def parse_edges(text: bytes, num_regions: int) -> NDArray[np.float32]:
    """Return the edges of one of UK Biobank's text files, fields 25750 to 25753.

    The file holds one line of scaled Fisher z, the upper triangle column by column: (0, 1), (0, 2), (1, 2), (0, 3) ….

    Raises
    ------
    ScanRejected
        ``bad-table``, ``bad-dimensions`` or ``non-finite``.
    """
    try:
        values = np.array([float(word) for word in text.decode("ascii").split()])
    except (ValueError, UnicodeDecodeError) as error:
        raise ScanRejected("bad-table", "the edges are not a line of numbers") from error
    num_edges = num_regions * (num_regions - 1) // 2
    if len(values) != num_edges:
        raise ScanRejected("bad-dimensions", f"expected {num_edges} edges, got {len(values)}")
    if not np.isfinite(values).all():
        raise ScanRejected("non-finite", "expected numbers, the edges hold NaN or infinity")
    matrix = np.zeros((num_regions, num_regions))
    matrix[np.tril_indices(num_regions, -1)] = values
    return np.asarray(matrix.T[np.triu_indices(num_regions, 1)], np.float32)


def clean_edges(edges: NDArray[np.floating[Any]], *, fisher_z: bool) -> tuple[NDArray[np.float32], int]:
    """Return one row of a table of correlations with 0 where it had NaN, and how many regions have no edge at all.

    Raises
    ------
    ScanRejected
        ``non-finite``: an edge is infinite; ``bad-table``: one is no correlation; ``empty``: none is a number other
        than 0.
    """
    if np.isinf(edges).any():
        raise ScanRejected("non-finite", "expected numbers, the edges hold infinity")
    largest = float(np.nanmax(np.abs(edges), initial=0.0))
    if largest > 1 + _ROUNDING:
        raise ScanRejected("bad-table", f"expected correlations from -1 to 1, got {largest:g}: is it Fisher's z?")
    clean = np.nan_to_num(edges.astype(np.float32), nan=0.0)
    if not clean.any():
        raise ScanRejected("empty", "every edge is zero or NaN")
    num_regions = round((1 + math.sqrt(1 + 8 * len(clean))) / 2)
    rows, columns = np.triu_indices(num_regions, 1)
    connected = np.union1d(rows[clean != 0], columns[clean != 0])
    if fisher_z:
        clean = _fisher_z(clean)
    return clean, num_regions - len(connected)


def _fisher_z(edges: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.arctanh(np.clip(edges, -_LARGEST_CORRELATION, _LARGEST_CORRELATION)), edges.dtype)
