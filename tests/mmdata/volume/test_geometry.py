import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.volume.geometry import MNI152_BRAIN_CENTRE_MM, Grid, apply_affine, largest_divisor, zooms_mm
from mmdata.volume.settings import VolumeSettings

grids = st.builds(
    Grid,
    side=st.integers(1, 256),
    spacing_mm=st.floats(0.1, 10),
    centre_mm=st.tuples(*[st.floats(-200, 200)] * 3),
)


def corners(grid: Grid) -> np.ndarray:
    """World positions of the cube's two extreme corners, half a voxel outside the outer voxels' centres."""
    return apply_affine(grid.affine_44, np.array([[-0.5] * 3, [grid.side - 0.5] * 3]))


def test_default_grid_spans_192_mm_around_the_brain() -> None:
    grid = Grid(side=128, spacing_mm=1.5, centre_mm=MNI152_BRAIN_CENTRE_MM)
    np.testing.assert_allclose(corners(grid), [[-96.0, -112.5, -89.5], [96.0, 79.5, 102.5]])
    # the first voxel's centre: -96 + 0.75, -112.5 + 0.75, -89.5 + 0.75
    np.testing.assert_allclose(grid.affine_44[:3, 3], [-95.25, -111.75, -88.75])
    np.testing.assert_array_equal(grid.affine_44[:3, :3], np.eye(3) * 1.5)


@given(grids)
def test_affine_maps_the_middle_of_the_voxels_to_the_centre(grid: Grid) -> None:
    middle = apply_affine(grid.affine_44, np.full((1, 3), (grid.side - 1) / 2))
    np.testing.assert_allclose(middle[0], grid.centre_mm, atol=1e-9)


@given(st.integers(1, 256), st.floats(1, 500))
def test_every_level_of_a_study_spans_the_same_cube(side: int, extent_mm: float) -> None:
    settings = VolumeSettings(extent_mm=extent_mm, centre_mm=(1.0, 2.0, 3.0))
    assert settings.grid(side).side == side
    np.testing.assert_allclose(corners(settings.grid(side)), corners(settings.grid(128)), atol=1e-9)


@pytest.mark.parametrize("factor", [2, 4])
def test_coarse_voxel_lies_in_the_middle_of_the_fine_ones_it_averages(factor: int) -> None:
    settings = VolumeSettings()
    fine = settings.grid(128)
    children = np.indices((factor,) * 3).reshape(3, -1).T.astype(float)
    centre = apply_affine(settings.grid(128 // factor).affine_44, np.zeros((1, 3)))[0]
    np.testing.assert_allclose(apply_affine(fine.affine_44, children).mean(axis=0), centre)


@given(st.integers(1, 512), st.integers(1, 64))
def test_the_largest_divisor_divides_and_no_larger_one_that_is_allowed_does(side: int, at_most: int) -> None:
    found = largest_divisor(side, at_most)
    assert side % found == 0 and found <= at_most
    assert all(side % other for other in range(found + 1, min(side, at_most) + 1))


def test_zooms_are_the_lengths_of_the_columns() -> None:
    affine_44 = np.array([[0.0, 3, 0, 5], [-4, 0, 0, 6], [0, 4, 12, 7], [0, 0, 0, 1]])
    np.testing.assert_allclose(zooms_mm(affine_44), [4.0, 5.0, 12.0])
