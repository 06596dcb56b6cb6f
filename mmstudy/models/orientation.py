"""Turn rows to the orientation that a model saw: published weights saw the x axis from right to left.

A row lies along the axes R, A, S of its grid. A model's card has the affine of the rows that it was trained on. Where
the two run opposite ways along an axis, the voxels are taken in the opposite order along it; nothing is interpolated.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.volume.geometry import Matrix44, opposite_axes
from mmtrain.errors import TrainError

_PARALLEL = 1e-6
"""Of a step along an axis, what may point along another: affines are written in decimals."""


def axes_to_flip(model_affine_44: Any, row_affine_44: Any) -> tuple[int, ...]:
    """Return the axes, 0 to 2, along which a model's rows run the other way.

    Raises
    ------
    TrainError
        An affine is none, or the axes of one do not lie along those of the other.
    """
    return opposite_axes(_parse_straight(model_affine_44), _parse_straight(row_affine_44))


def flip_rows(rows_BXYZ: NDArray[Any], axes: Sequence[int]) -> NDArray[Any]:
    """Return rows, shape (B, S, S, S), with the order of voxels reversed along some axes, 0 to 2.

    >>> flip_rows(np.arange(8).reshape(1, 2, 2, 2), (0,))[0, :, 0, 0].tolist()
    [4, 0]
    """
    return np.flip(rows_BXYZ, axis=tuple(axis + 1 for axis in axes)) if axes else rows_BXYZ


def _parse_straight(affine_44: Any) -> Matrix44:
    """Return an affine whose axes lie along R, A, S, either way."""
    try:
        numbers_44 = np.asarray(affine_44, np.float64)
    except (TypeError, ValueError):
        numbers_44 = np.empty(0)
    if numbers_44.shape != (4, 4) or not np.isfinite(numbers_44).all():
        raise TrainError("Expected an affine of four rows of four numbers for each volume in the model card.")
    linear_33 = numbers_44[:3, :3]
    steps_3 = np.diagonal(linear_33)
    if np.abs(linear_33 - np.diag(steps_3)).max() > _PARALLEL * np.abs(steps_3).min():
        raise TrainError(
            "Expected a model whose volumes lie along the axes left-right, back-front and down-up, in this order; this "
            "one's lie otherwise.",
            "Turn its card's affine and its weights to these axes.",
        )
    return numbers_44
