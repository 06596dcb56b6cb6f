"""What moves voxels, against scipy and by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, center_of_mass

from mmdata.augment.apply import move_batch
from mmdata.augment.geometry import control_points, resample, sampling_grids
from mmdata.augment.parameters import AugmentSettings
from mmdata.augment.recipe import Geometry, draw_geometry

ALWAYS = AugmentSettings(probability=1.0, probabilities={})
EXTENT_MM = 192.0
seeds = st.integers(0, 2**31)


def shift_by(*shift_mm: float) -> Geometry:
    return Geometry(shift_mm=np.array(shift_mm))


def grid(geometry: Geometry, side: int, extent_mm: float = EXTENT_MM) -> torch.Tensor:
    return sampling_grids(control_points([geometry], extent_mm), side)[0]


def moved(volume: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    return resample(volume[None, None], grid(geometry, volume.shape[0])[None])[0, 0]


def centres_mm(side: int) -> NDArray[np.float64]:
    return (np.indices((side,) * 3) - (side - 1) / 2) * (EXTENT_MM / side)


def blob(side: int, centre_mm: NDArray[np.float64], sigma_mm: float = 12.0) -> torch.Tensor:
    """A Gaussian at a position relative to the grid's centre."""
    squared = ((centres_mm(side) - centre_mm[:, None, None, None]) ** 2).sum(axis=0)
    return torch.from_numpy(np.exp(-0.5 * squared / sigma_mm**2)).float()


def centre_mm_of(volume: torch.Tensor) -> NDArray[np.float64]:
    side = volume.shape[0]
    return (np.array(center_of_mass(volume.numpy())) - (side - 1) / 2) * (EXTENT_MM / side)


def positions_mm(geometry: Geometry, side: int) -> NDArray[np.float64]:
    """Where each voxel comes from, shape (side, side, side, 3)."""
    return grid(geometry, side).flip(-1).numpy().astype(float) * (EXTENT_MM / 2)


def random_volume(side: int, seed: int = 1) -> torch.Tensor:
    return torch.rand((side,) * 3, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_affine_parts_give_what_scipy_gives(seed: int) -> None:
    side, volume = 20, random_volume(20)
    drawn = draw_geometry(replace(ALWAYS, rotation_degrees=20.0, elastic_mm=0.0, inflation=0.0), seed, "s", 1)
    centre = np.full(3, (side - 1) / 2)
    offset = centre + drawn.shift_mm * side / EXTENT_MM - drawn.linear_33 @ centre
    expected = affine_transform(volume.numpy(), drawn.linear_33, offset, order=1, mode="grid-constant")
    np.testing.assert_allclose(moved(volume, drawn), expected, atol=2e-5)


def test_without_geometry_a_volume_is_the_very_same() -> None:
    volumes = random_volume(12)[None, None]
    assert Geometry().is_identity
    assert torch.equal(move_batch(volumes, [Geometry()], EXTENT_MM), volumes)
    np.testing.assert_allclose(moved(volumes[0, 0], Geometry()), volumes[0, 0], atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_shift_of_one_voxel_reads_the_next_voxel_along_that_axis(axis: int) -> None:
    volume, shift_mm = random_volume(12), [0.0, 0.0, 0.0]
    shift_mm[axis] = EXTENT_MM / 12
    shifted = moved(volume, shift_by(*shift_mm))
    np.testing.assert_allclose(shifted.narrow(axis, 0, 11), volume.narrow(axis, 1, 11), atol=1e-5)
    np.testing.assert_allclose(shifted.narrow(axis, 11, 1), 0, atol=1e-5)


def test_positions_follow_the_affine_by_hand() -> None:
    # side 4, 8 mm: voxels of 2 mm, first centre at -3 mm; x' = y + 1, y' = 2x, z' = z - 2; half extent 4 mm
    linear_33 = np.array([[0.0, 1, 0], [2, 0, 0], [0, 0, 1]])
    positions = grid(Geometry(linear_33, np.array([1.0, 0, -2])), 4, 8.0)
    # voxel (0, 1, 3) lies at (-3, -1, 3): source (0, -6, 1), as (z, y, x) in half extents
    np.testing.assert_allclose(positions[0, 1, 3], [0.25, -1.5, 0.0], atol=1e-6)


def test_equal_displacement_everywhere_is_a_shift() -> None:
    displacement = np.broadcast_to(np.array([5.0, -3.0, 2.0]).reshape(3, 1, 1, 1), (3, 9, 9, 9)).copy()
    bent = grid(Geometry(displacement_mm=displacement), 16)
    np.testing.assert_allclose(bent, grid(shift_by(5, -3, 2), 16), atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_displacement_acts_where_its_control_point_is(axis: int) -> None:
    displacement = np.zeros((3, 9, 9, 9))
    index = [4, 4, 4]
    index[axis] = 6  # control points 1 and 7 lie on the cube's faces, 4 in the middle
    displacement[(0, *index)] = 2.0
    moved_x = (grid(Geometry(displacement_mm=displacement), 48) - grid(Geometry(), 48))[..., 2]
    found = (np.array(center_of_mass(moved_x.numpy())) + 0.5) / 48
    expected = np.full(3, 0.5)
    expected[axis] = 5 / 6
    np.testing.assert_allclose(found, expected, atol=0.03)
    # the peak of a cubic B-spline is 2/3 along each axis
    assert moved_x.max() * EXTENT_MM / 2 == pytest.approx(2.0 * (2 / 3) ** 3, rel=0.02)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_default_geometry_is_small_and_folds_nothing(seed: int) -> None:
    side, spacing_mm = 32, EXTENT_MM / 32
    positions = positions_mm(draw_geometry(ALWAYS, seed, "s", 1), side)
    assert np.abs(positions - centres_mm(side).transpose(1, 2, 3, 0)).max() < 30
    jacobian = np.stack([np.stack(np.gradient(positions[..., c], spacing_mm), -1) for c in range(3)], -2)
    assert np.linalg.det(jacobian).min() > 0.5 and np.linalg.det(jacobian).max() < 1.5


def test_crop_and_resize_makes_everything_larger_by_as_much() -> None:
    drawn = draw_geometry(replace(ALWAYS, probability=0.0, probabilities={"crop": 1.0}, crop=0.2), 3, "s", 1)
    kept = drawn.linear_33[0, 0]
    assert 0.8 <= kept < 1
    np.testing.assert_array_equal(drawn.linear_33, kept * np.eye(3))
    start_mm = np.array([30.0, -20.0, 10.0])
    np.testing.assert_allclose(centre_mm_of(moved(blob(64, start_mm), drawn)), start_mm / kept, atol=0.1)


def test_inflation_is_radial_and_fades_outwards() -> None:
    side = 32
    plain = centres_mm(side).transpose(1, 2, 3, 0)
    radius = np.linalg.norm(plain, axis=-1)
    shares = positions_mm(Geometry(inflation=0.05), side) / plain - 1
    within = radius < 60
    # every component is moved by the same share, about that of a Gaussian of 67 mm
    assert np.ptp(shares[within], axis=-1).max() < 4e-3
    expected = -0.05 * np.exp(-0.5 * (radius / (0.7 * EXTENT_MM / 2)) ** 2)
    np.testing.assert_allclose(shares[within].mean(axis=-1), expected[within], atol=4e-3)
    assert moved(blob(side, np.zeros(3), 30.0), Geometry(inflation=0.05)).sum() > blob(side, np.zeros(3), 30.0).sum()


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_geometry_is_the_same_in_mm_at_every_side(seed: int) -> None:
    geometry = draw_geometry(ALWAYS, seed, "s", 1)
    start_mm = np.array([22.0, -31.0, 14.0])
    fine, coarse = (centre_mm_of(moved(blob(side, start_mm), geometry)) for side in (64, 32))
    np.testing.assert_allclose(fine, coarse, atol=0.3)  # a voxel of the coarse side is 6 mm
    assert np.abs(fine - start_mm).max() > 0.05


def test_a_blob_goes_to_where_the_inverse_of_the_affine_puts_it() -> None:
    linear_33 = np.array([[1.0, 0.05, 0], [-0.04, 0.98, 0.03], [0, 0.02, 1.01]])
    shift_mm, source_mm = np.array([4.0, -6.0, 2.5]), np.array([20.0, -15.0, 30.0])
    there = moved(blob(64, source_mm), Geometry(linear_33, shift_mm))
    np.testing.assert_allclose(centre_mm_of(there), np.linalg.solve(linear_33, source_mm - shift_mm), atol=0.1)
