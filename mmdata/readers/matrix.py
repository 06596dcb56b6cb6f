"""Read a 4 x 4 matrix from text."""

import numpy as np

from mmdata.errors import ScanRejected
from mmdata.volume.geometry import Matrix44


def parse_matrix(text: bytes) -> Matrix44:
    """Return the invertible 4 x 4 matrix that a text holds, one row a line.

    Raises
    ------
    ScanRejected
        ``bad-transform``.
    """
    try:
        rows = [[float(number) for number in line.split()] for line in text.decode().splitlines() if line.strip()]
        matrix_44 = np.array(rows)
    except ValueError as error:
        raise ScanRejected("bad-transform", "the matrix holds something other than rows of numbers") from error
    if matrix_44.shape != (4, 4):
        raise ScanRejected("bad-transform", f"expected a 4 x 4 matrix, got shape {matrix_44.shape}")
    if not np.isfinite(matrix_44).all() or abs(np.linalg.det(matrix_44)) < 1e-6:
        raise ScanRejected("bad-transform", "expected an invertible matrix, its determinant is 0 or not a number")
    return matrix_44
