from collections.abc import Iterator
from itertools import permutations, product
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass, correlate1d, map_coordinates
from scipy.spatial.transform import Rotation

from mmdata.volume.geometry import Grid, apply_affine
from mmdata.volume.resample import resample_to_grid, sample_mask

GRID = Grid(side=24, spacing_mm=1.0, centre_mm=(0.0, 0.0, 0.0))


def blob(shape: tuple[int, int, int], centre: NDArray[np.float64], sigma: float) -> NDArray[np.float32]:
    squared = sum((ticks - c) ** 2 for ticks, c in zip(np.indices(shape), centre, strict=True))
    return np.exp(-0.5 * squared / sigma**2).astype(np.float32)


def oblique(angles: tuple[float, float, float], step: float, shift: tuple[float, float, float]) -> NDArray[np.float64]:
    affine_44 = np.eye(4)
    affine_44[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * step
    affine_44[:3, 3] = shift
    return affine_44


@settings(max_examples=25, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-30, 30)] * 3),
    step=st.floats(0.5, 1.24),
    shift=st.tuples(*[st.floats(-3, 8)] * 3),
)
def test_without_box_mean_it_is_scipys_linear_interpolation(
    angles: tuple[float, float, float], step: float, shift: tuple[float, float, float]
) -> None:
    data = np.zeros((21, 26, 17), np.float32)
    data[2:-2, 2:-2, 2:-2] = np.random.default_rng(3).random((17, 22, 13), np.float32)
    source_from_grid_44 = oblique(angles, step, shift)
    coordinates = apply_affine(source_from_grid_44, np.indices((24, 24, 24)).reshape(3, -1).T.astype(float))
    expected = map_coordinates(data, coordinates.T, order=1, mode="constant").reshape(24, 24, 24)
    np.testing.assert_allclose(resample_to_grid(data, source_from_grid_44, GRID), expected, atol=2e-4)


@settings(max_examples=25, deadline=None)
@given(
    widths=st.tuples(*[st.integers(1, 4)] * 3),
    shift=st.tuples(*[st.floats(-3, 8)] * 3),
    order=st.sampled_from(["C", "F"]),
)
def test_with_box_mean_it_is_scipys_of_the_box_filtered_volume(
    widths: tuple[int, int, int], shift: tuple[float, float, float], order: Literal["C", "F"]
) -> None:
    margin = 4
    data = np.zeros((31, 36, 27), np.float32, order=order)
    data[margin:-margin, margin:-margin, margin:-margin] = np.random.default_rng(3).random((23, 28, 19), np.float32)
    source_from_grid_44 = np.diag([*widths, 1.0])
    source_from_grid_44[:3, 3] = shift
    filtered = data.astype(float)
    centres = apply_affine(source_from_grid_44, np.indices((24, 24, 24)).reshape(3, -1).T.astype(float))
    for axis, width in enumerate(widths):
        filtered = correlate1d(filtered, np.full(width, 1 / width), axis, mode="constant", origin=-(width % 2 == 0))
        centres[:, axis] -= 0.5 * (width % 2 == 0)  # an even box lies between two voxels: scipy calls it the first
    expected = map_coordinates(filtered, centres.T, order=1, mode="constant").reshape(24, 24, 24)
    before = data.copy()
    np.testing.assert_allclose(resample_to_grid(data, source_from_grid_44, GRID), expected, atol=1e-5)
    np.testing.assert_array_equal(data, before)


@settings(max_examples=25, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-30, 30)] * 3),
    step=st.floats(0.5, 4),
    shift=st.tuples(*[st.floats(-3, 8)] * 3),
)
def test_mask_is_looked_up_at_the_nearest_voxel(
    angles: tuple[float, float, float], step: float, shift: tuple[float, float, float]
) -> None:
    framed = np.ones((23, 28, 19), np.bool_)
    mask = framed[1:-1, 1:-1, 1:-1]
    mask[...] = False
    mask[2:-2, 2:-2, 2:-2] = np.random.default_rng(3).random((17, 22, 13)) < 0.5
    source_from_grid_44 = oblique(angles, step, shift)
    coordinates = apply_affine(source_from_grid_44, np.indices((24, 24, 24)).reshape(3, -1).T.astype(float))
    expected = map_coordinates(mask.astype(float), coordinates.T, order=0, mode="constant").reshape(24, 24, 24) > 0.5
    sampled = sample_mask(mask, source_from_grid_44, GRID)
    is_tie = (np.abs(coordinates % 1 - 0.5) < 1e-6).any(axis=1).reshape(24, 24, 24)
    assert sampled.dtype == np.bool_
    np.testing.assert_array_equal(sampled[~is_tie], expected[~is_tie])


@pytest.mark.parametrize("step", [1.5, 2.0, 3.0, 4.0])
def test_constant_stays_constant_under_the_box_mean(step: float) -> None:
    data = np.full((120, 110, 130), 7.0, np.float32)
    grid = Grid(side=20, spacing_mm=1, centre_mm=(0,) * 3)
    sampled = resample_to_grid(data, oblique((3, -4, 5), step, (16, 16, 16)), grid)
    np.testing.assert_allclose(sampled, 7.0, rtol=1e-5)


@pytest.mark.parametrize("step", [1.2, 1.5, 2.0, 2.5, 3.0])
@pytest.mark.parametrize("angles", [(0, 0, 0), (8, -5, 12)])
def test_box_mean_leaves_a_blobs_centre_of_mass(step: float, angles: tuple[float, float, float]) -> None:
    source_from_grid_44 = oblique(angles, step, (2.3, 9.1, 4.4))
    wanted = np.array([11.3, 12.2, 10.6])
    source_centre = apply_affine(source_from_grid_44, wanted[None])[0]
    data = blob((90, 90, 90), source_centre, 2.0 * step)
    found = np.array(center_of_mass(resample_to_grid(data, source_from_grid_44, GRID)))
    assert np.abs(found - wanted).max() < 0.05


def test_integer_step_averages_the_voxels_of_one_step() -> None:
    # the grid voxel at source 2.5 has a box of two: voxels 2 and 3
    data = np.zeros((8, 8, 8), np.float32)
    data[2, 2, 2] = 8.0
    source_from_grid_44 = np.diag([2.0, 2.0, 2.0, 1.0])
    source_from_grid_44[:3, 3] = 0.5
    sampled = resample_to_grid(data, source_from_grid_44, Grid(side=4, spacing_mm=1, centre_mm=(0,) * 3))
    expected = np.zeros((4, 4, 4))
    expected[1, 1, 1] = 1.0
    np.testing.assert_allclose(sampled, expected, atol=1e-6)


def test_checkerboard_does_not_alias() -> None:
    data = (np.indices((48, 48, 48)).sum(axis=0) % 2).astype(np.float32)
    source_from_grid_44 = np.diag([2.0, 2.0, 2.0, 1.0])
    sampled = resample_to_grid(data, source_from_grid_44, Grid(side=20, spacing_mm=1, centre_mm=(0,) * 3))
    np.testing.assert_allclose(sampled[2:, 2:, 2:], 0.5, atol=1e-6)


def test_outside_the_source_is_zero() -> None:
    data = np.ones((10, 10, 10), np.float32)
    far_44 = oblique((0, 0, 0), 1.0, (40.0, 0.0, 0.0))
    assert not resample_to_grid(data, far_44, GRID).any()


def orientations() -> Iterator[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    yield from product(permutations(range(3)), product((-1, 1), repeat=3))


@pytest.mark.parametrize("spacing_mm", [1.0, 2.0])
def test_landmark_lands_where_it_belongs_in_all_48_axis_orientations(spacing_mm: float) -> None:
    grid = Grid(side=16, spacing_mm=spacing_mm, centre_mm=(1.0, -2.0, 3.0))
    landmark_mm = np.array([3.2, -4.1, 5.4])
    expected = (landmark_mm - grid.affine_44[:3, 3]) / spacing_mm
    shape = (50, 54, 46)
    offsets = []
    for axes, signs in orientations():
        affine_44 = np.eye(4)
        affine_44[:3, :3] = 0
        for column, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
            affine_44[axis, column] = sign
        affine_44[:3, 3] = -affine_44[:3, :3] @ (np.array(shape) / 2)
        source_from_world_44 = np.linalg.inv(affine_44)
        data = blob(shape, apply_affine(source_from_world_44, landmark_mm[None])[0], 1.5 * spacing_mm)
        found = center_of_mass(resample_to_grid(data, source_from_world_44 @ grid.affine_44, grid))
        offsets.append(np.abs(np.array(found) - expected).max())
    assert len(offsets) == 48
    assert max(offsets) < 0.1
