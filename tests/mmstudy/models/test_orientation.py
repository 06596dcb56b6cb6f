"""Rows that are turned to a model's orientation show the same place in the brain at the same voxel."""

import numpy as np
import pytest

from mmdata.volume.geometry import Grid
from mmstudy.models.orientation import axes_to_flip, flip_rows
from mmtrain.errors import TrainError

SIDE = 6
RAS_44 = Grid(side=SIDE, spacing_mm=2.0, centre_mm=(0.0, -16.5, 6.5)).affine_44


def reversed_along(axes: tuple[int, ...]) -> np.ndarray:
    """Return the affine of the same voxels counted from the other end of some axes."""
    affine_44 = RAS_44.copy()
    for axis in axes:
        affine_44[axis, 3] += affine_44[axis, axis] * (SIDE - 1)
        affine_44[axis, axis] *= -1
    return affine_44


def millimetres(affine_44: np.ndarray) -> np.ndarray:
    """Return where each voxel of a grid lies, shape (S, S, S, 3)."""
    voxels = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), axis=-1)
    return voxels @ affine_44[:3, :3].T + affine_44[:3, 3]


@pytest.mark.parametrize("axes", [(), (0,), (1,), (0, 2), (0, 1, 2)])
def test_a_turned_row_has_what_lay_at_each_millimetre(axes: tuple[int, ...]) -> None:
    model_44 = reversed_along(axes)
    assert axes_to_flip(model_44.tolist(), RAS_44) == axes
    for coordinate in range(3):
        row = millimetres(RAS_44)[..., coordinate]
        turned = flip_rows(row[None], axes_to_flip(model_44, RAS_44))[0]
        np.testing.assert_allclose(turned, millimetres(model_44)[..., coordinate])


@pytest.mark.parametrize("wrong", [np.eye(3).tolist(), "affine", None, np.full((4, 4), np.nan).tolist()])
def test_what_is_no_affine_is_refused(wrong: object) -> None:
    with pytest.raises(TrainError, match="Expected an affine of four rows"):
        axes_to_flip(wrong, RAS_44)


def test_axes_in_another_order_are_refused() -> None:
    with pytest.raises(TrainError, match="lie otherwise"):
        axes_to_flip(RAS_44[[1, 0, 2, 3]], RAS_44)
