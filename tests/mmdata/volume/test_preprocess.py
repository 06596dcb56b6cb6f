from collections.abc import Mapping
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass, correlate1d, map_coordinates
from scipy.spatial.transform import Rotation

from mmbase.doubts import DOUBTS
from mmbase.records import MEASURES
from mmdata.errors import ScanRejected
from mmdata.volume.geometry import Grid, apply_affine
from mmdata.volume.nifti import Volume
from mmdata.volume.preprocess import block_mean, flat_share, preprocess_volume, quantise
from mmdata.volume.settings import VolumeSettings
from mmdata.volume.template import template_brain, template_mask

SETTINGS = VolumeSettings(extent_mm=64.0, centre_mm=(0.0, 0.0, 0.0), sides=(32, 16))
RNG_SHAPE = (33, 31, 35)


def ball(dtype: str = "float32", zoom: float = 2.0, radius: float = 10.0) -> Volume:
    """A noisy ball around the world's origin; `radius` in voxels."""
    ticks = np.indices(RNG_SHAPE) - np.array(RNG_SHAPE).reshape(3, 1, 1, 1) // 2
    inside = (ticks**2).sum(axis=0) <= radius**2
    values = np.random.default_rng(8).uniform(100, 1000, RNG_SHAPE)
    affine_44 = np.diag([zoom, zoom, zoom, 1.0])
    affine_44[:3, 3] = -zoom * (np.array(RNG_SHAPE) // 2)
    return Volume((values * inside).astype(dtype), affine_44)


def measures_of(values: NDArray[np.generic]) -> dict[str, float]:
    """Preprocess an image on the template's grid and return what was measured of it."""
    volume = Volume(values, template_brain().affine_44)
    return preprocess_volume(volume, np.eye(4), VolumeSettings()).measures


def doubts(modality: str, measures: Mapping[str, float]) -> list[str]:
    return [
        doubt.code
        for doubt in DOUBTS
        if modality in doubt.modalities and not doubt.lowest <= measures[doubt.measure] <= doubt.highest
    ]


@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32"])
def test_a_map_of_labels_and_another_contrast_are_told_from_a_t1(dtype: str) -> None:
    brain = template_brain().data_XYZ
    noise = np.random.default_rng(3).normal(0, 0.03, brain.shape)
    t1 = np.where(brain > 0, np.clip(200 * (brain + noise), 1, 255), 0).astype(dtype)
    negative = np.where(brain > 0, np.clip(200 * (1.2 - brain + noise), 1, 255), 0).astype(dtype)
    labels = np.digitize(brain, [0.2, 0.5, 0.75]).astype(dtype)
    assert doubts("t1", measures_of(t1)) == []
    assert doubts("t1", measures_of(negative)) == ["other-contrast"]
    assert doubts("t1", measures_of(labels)) == ["label-maps"]
    assert doubts("flair", measures_of(t1)) == ["other-contrast"]


def test_a_map_of_many_labels_is_known_and_coarse_steps_of_intensity_are_none() -> None:
    inside = np.ones((40, 40, 40), bool)
    parcels = np.kron(np.arange(1000).reshape(10, 10, 10), np.ones((4, 4, 4), int)) + 1
    coarse = np.rint(np.random.default_rng(2).normal(40, 2, inside.shape))
    assert flat_share(parcels, inside) > 0.7
    assert flat_share(coarse, inside) < 0.3
    assert flat_share(parcels, ~inside) == 0


@given(hnp.arrays(np.uint16, (4, 6, 2)))
def test_block_mean_of_integers_rounds_half_up(volume: NDArray[np.uint16]) -> None:
    means = block_mean(volume, 2)
    assert means.shape == (2, 3, 1) and means.dtype == np.uint16
    for i, j, k in np.ndindex(means.shape):
        block = [int(value) for value in volume[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, 2 * k : 2 * k + 2].flat]
        assert -4 < 8 * int(means[i, j, k]) - sum(block) <= 4


def test_block_mean_of_the_largest_integers_does_not_overflow() -> None:
    assert (block_mean(np.full((8, 8, 8), 65535, np.uint16), 4) == 65535).all()


def test_block_mean_of_floats_is_the_mean() -> None:
    volume = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    # the first block: 0 1 4 5 16 17 20 21
    assert block_mean(volume, 2)[0, 0, 0] == 10.5
    assert block_mean(volume.astype(np.float16), 2).dtype == np.float16


@pytest.mark.parametrize(("dtype", "largest"), [("uint8", 255), ("uint16", 65535)])
def test_quantise_is_within_half_a_step(dtype: str, largest: int) -> None:
    fractions = np.linspace(0, 1, 1001, dtype=np.float32)
    stored = quantise(fractions, dtype)
    assert stored.dtype == dtype and stored[0] == 0 and stored[-1] == largest
    assert np.abs(stored / largest - fractions).max() <= 0.5 / largest + 1e-6


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_quantise_keeps_fractions_as_floats(dtype: str) -> None:
    assert quantise(np.array([0.25, 1.0], np.float32), dtype).tolist() == [0.25, 1.0]


@pytest.mark.parametrize("region", ["brain", "volume"])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_clamp_bounds_are_numpys_percentiles(dtype: str, region: str) -> None:
    volume = ball(dtype)
    settings = VolumeSettings(
        extent_mm=64, centre_mm=(0, 0, 0), sides=(32,), clamp_region=region, clamp_percentiles=(2, 90)
    )
    measures = preprocess_volume(volume, np.eye(4), settings).measures
    values = [value for value in volume.data_XYZ.flat if value != 0 or region == "volume"]
    assert measures["clamp_low"] == pytest.approx(np.percentile(values, 2), rel=1e-6)
    assert measures["clamp_high"] == pytest.approx(np.percentile(values, 90), rel=1e-6)


@pytest.mark.parametrize("region", ["brain", "volume"])
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32"])
def test_median_and_contrast_are_numpys_inside_the_brain(dtype: str, region: str) -> None:
    volume = ball()
    volume = Volume((volume.data_XYZ / 4).astype(dtype), volume.affine_44)
    settings = VolumeSettings(extent_mm=64, centre_mm=(0, 0, 0), sides=(32,), clamp_region=region)
    measures = preprocess_volume(volume, np.eye(4), settings).measures
    first, median, third = np.percentile([value for value in volume.data_XYZ.flat if value != 0], (25, 50, 75))
    assert measures["median"] == pytest.approx(median, rel=1e-6)
    assert measures["contrast"] == pytest.approx((third - first) / median, rel=1e-5)
    assert measures.keys() <= MEASURES.keys() and len(measures) == 8


def test_overlap_with_the_template_is_the_dice_of_the_masks_at_6_mm() -> None:
    settings = VolumeSettings(sides=(64, 32))
    radius_mm, centre_mm = 60.0, np.array([4.0, -20.0, 8.0])
    affine_44 = np.diag([2.0, 2.0, 2.0, 1.0])
    affine_44[:3, 3] = centre_mm - 65
    ticks_mm = affine_44[0, 0] * np.indices((66,) * 3) - 65
    data = np.random.default_rng(3).uniform(1, 2, (66,) * 3) * ((ticks_mm**2).sum(axis=0) < radius_mm**2)
    found = preprocess_volume(Volume(data.astype(np.float32), affine_44), np.eye(4), settings).measures
    grid = Grid(side=32, spacing_mm=6.0, centre_mm=settings.centre_mm)
    points_mm = apply_affine(grid.affine_44, np.indices((32,) * 3).reshape(3, -1).T.astype(float))
    in_ball = (((points_mm - centre_mm) ** 2).sum(axis=1) < radius_mm**2).reshape((32,) * 3)
    template = template_mask(grid)
    dice = 2 * (in_ball & template).sum() / (in_ball.sum() + template.sum())
    assert 0.3 < dice < 0.9
    assert found["template_overlap"] == pytest.approx(dice, abs=0.01)


def test_overlap_of_the_template_with_itself_is_nearly_1_and_falls_as_it_is_moved_away() -> None:
    settings, template = VolumeSettings(sides=(32,)), template_brain()
    overlaps = []
    for shift_mm in (0.0, 15.0, 40.0, 80.0):
        moved_44 = np.eye(4)
        moved_44[:3, 3] = shift_mm
        overlaps.append(preprocess_volume(template, moved_44, settings).measures["template_overlap"])
    assert overlaps[0] > 0.98
    assert overlaps == sorted(overlaps, reverse=True) and overlaps[-1] < 0.3
    with pytest.raises(ScanRejected, match=r"outside-template.*at least 0\.6, got 0\.\d\d; check the transform"):
        preprocess_volume(template, moved_44, settings, min_template_overlap=0.6)


def test_whole_way_is_within_one_step_of_scipys_in_double_precision() -> None:
    settings = VolumeSettings(extent_mm=64, centre_mm=(0, 0, 0), sides=(32, 16), clamp_percentiles=(3, 97))
    volume = ball(zoom=1.1, radius=14)
    mni_from_native_44 = np.eye(4)
    mni_from_native_44[:3, :3] = Rotation.from_euler("xyz", (8, -12, 20), degrees=True).as_matrix() * (1.1, -1, 1.2)
    mni_from_native_44[:3, 3] = 1.5, -2.5, 3.5
    low, high = np.percentile(volume.data_XYZ[volume.data_XYZ != 0].astype(float), settings.clamp_percentiles)
    clamped = np.where(volume.data_XYZ == 0, 0, np.clip(volume.data_XYZ.astype(float), low, high))
    filtered = np.pad(clamped / high, 1)
    source_from_grid_44 = np.linalg.inv(mni_from_native_44 @ volume.affine_44) @ settings.grid(32).affine_44
    points = apply_affine(source_from_grid_44, np.indices((32,) * 3).reshape(3, -1).T.astype(float))
    for axis in range(3):  # steps of 1.5 to 1.9 voxels: a box of two
        filtered = correlate1d(filtered, [0.5, 0.5], axis, mode="constant", origin=-1)
    expected = map_coordinates(filtered, points.T + 0.5, order=1, mode="constant").reshape((32,) * 3) * 65535
    level = preprocess_volume(volume, mni_from_native_44, settings).levels[32]
    assert (level > 0).mean() > 0.1
    assert np.abs(level - np.rint(expected)).max() <= 1


def test_negative_values_of_a_signed_map_are_stored_as_fractions_of_its_range() -> None:
    volume = ball(zoom=2.0)
    affine_44 = volume.affine_44.copy()
    affine_44[:3, 3] += 1.0  # onto the centres of the grid's voxels
    brain = volume.data_XYZ != 0
    data = np.where(brain, np.random.default_rng(5).uniform(-1, 1, RNG_SHAPE), 0).astype(np.float32)
    preprocessed = preprocess_volume(Volume(data, affine_44), np.eye(4), SETTINGS, signed_range=(-1.0, 1.0))
    low, median, high = np.percentile(data[brain], (0.5, 50, 99.5))
    assert low < -0.9 and abs(median) < 0.1
    measures = preprocessed.measures
    np.testing.assert_allclose(
        [measures[name] for name in ("clamp_low", "median", "clamp_high")], [low, median, high], atol=1e-6
    )
    assert measures["contrast"] == pytest.approx(1.0, abs=0.1)  # of fractions: quartiles 0.25 and 0.75, median 0.5
    fractions = np.where(brain, (np.clip(data, low, high) + 1) / (high + 1), 0)
    # source voxel (16, 15, 17) lies at +1 mm, as does the grid's voxel 16
    expected = fractions[8:25, 7:24, 9:26] * 65535
    assert np.abs(preprocessed.levels[32][8:25, 8:25, 8:25] - expected).max() <= 1
    assert (preprocessed.levels[32][0] == 0).all()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["int16", "float32", "int32", "uint16"])
def test_number_type_and_memory_order_of_the_file_change_nothing(dtype: str, order: Literal["C", "F"]) -> None:
    volume = ball("int16")
    expected = preprocess_volume(volume, np.eye(4), SETTINGS)
    again = preprocess_volume(Volume(volume.data_XYZ.astype(dtype, order=order), volume.affine_44), np.eye(4), SETTINGS)
    for side, level in again.levels.items():
        assert level.flags.c_contiguous
        np.testing.assert_array_equal(level, expected.levels[side])
    assert again.measures == expected.measures


def test_clamp_works_inside_the_brain_and_background_is_exactly_zero() -> None:
    volume = ball(zoom=2.0)  # voxels of the grid's own size and, but for half a voxel, place
    preprocessed = preprocess_volume(volume, np.eye(4), SETTINGS)
    level = preprocessed.levels[32]
    ticks_mm = SETTINGS.grid(32).affine_44[0, 3] + 2.0 * np.indices((32,) * 3)
    radius_mm = np.sqrt((ticks_mm**2).sum(axis=0))
    assert (level[radius_mm > 20 + 2 * np.sqrt(3)] == 0).all()
    low, high = preprocessed.measures["clamp_low"], preprocessed.measures["clamp_high"]
    deep = level[radius_mm < 20 - 2 * np.sqrt(3)] / 65535
    assert deep.min() >= low / high - 1e-4 and deep.max() <= 1


def test_voxels_on_the_grid_are_copied_clamped_and_divided_by_the_upper_bound() -> None:
    volume = ball(zoom=2.0)
    affine_44 = volume.affine_44.copy()
    affine_44[:3, 3] += 1.0  # onto the centres of the grid's voxels
    preprocessed = preprocess_volume(Volume(volume.data_XYZ, affine_44), np.eye(4), SETTINGS)
    low, high = preprocessed.measures["clamp_low"], preprocessed.measures["clamp_high"]
    # source voxel (16, 15, 17) lies at +1 mm, as does the grid's voxel 16
    source = volume.data_XYZ[8:25, 7:24, 9:26]
    expected = np.where(source == 0, 0, np.clip(source, low, high)) / high * 65535
    assert np.abs(preprocessed.levels[32][8:25, 8:25, 8:25].astype(float) - expected).max() <= 0.51


def test_negative_voxels_are_brain_and_clamped_to_zero() -> None:
    volume = ball()
    data = volume.data_XYZ.copy()
    data[16, 15, 17] = -500.0
    preprocessed = preprocess_volume(Volume(data, volume.affine_44), np.eye(4), SETTINGS)
    assert preprocessed.measures["clamp_low"] >= 0
    num_brain = np.count_nonzero(data)
    assert preprocessed.measures["nonzero_share"] == pytest.approx(num_brain / data.size)


def test_brain_volume_is_in_millilitres() -> None:
    # a block of 10 x 10 x 10 voxels of 2 x 2 x 2 mm: 8000 mm3
    data = np.zeros((30, 30, 30), np.float32)
    data[10:20, 10:20, 10:20] = np.random.default_rng(1).uniform(1, 2, (10, 10, 10))
    affine_44 = np.diag([2.0, -2.0, 2.0, 1.0])
    affine_44[:3, 3] = [-30, 30, -30]
    assert preprocess_volume(Volume(data, affine_44), np.eye(4), SETTINGS).measures["brain_ml"] == pytest.approx(8.0)


def test_transform_moves_the_brain() -> None:
    volume = ball(radius=6)
    still = center_of_mass(preprocess_volume(volume, np.eye(4), SETTINGS).levels[32])
    moving_44 = np.eye(4)
    moving_44[:3, 3] = [6.0, -4.0, 2.0]
    moved = center_of_mass(preprocess_volume(volume, moving_44, SETTINGS).levels[32])
    np.testing.assert_allclose(np.subtract(moved, still), [3.0, -2.0, 1.0], atol=0.02)


def test_zeros_around_the_image_change_nothing() -> None:
    volume = ball()
    affine_44 = volume.affine_44.copy()
    affine_44[:3, 3] -= 2.0 * 5
    padded = Volume(np.pad(volume.data_XYZ, 5), affine_44)
    for side, level in preprocess_volume(volume, np.eye(4), SETTINGS).levels.items():
        np.testing.assert_allclose(preprocess_volume(padded, np.eye(4), SETTINGS).levels[side], level, atol=1)


def test_coarse_levels_are_block_means_of_finer_ones() -> None:
    settings = VolumeSettings(extent_mm=64, centre_mm=(0, 0, 0), sides=(64, 32, 8))
    levels = preprocess_volume(ball(), np.eye(4), settings).levels
    assert [(side, level.shape) for side, level in levels.items()] == [(n, (n,) * 3) for n in (64, 32, 8)]
    np.testing.assert_array_equal(levels[32], block_mean(levels[64], 2))
    np.testing.assert_array_equal(levels[8], block_mean(levels[32], 4))


def constant() -> NDArray[np.float32]:
    return (ball().data_XYZ > 0).astype(np.float32) * 5


@pytest.mark.parametrize(
    ("reason", "data", "shift_mm"),
    [
        ("empty", np.zeros(RNG_SHAPE, np.int16), 0.0),
        ("no-contrast", constant(), 0.0),
        ("negative-intensities", -ball().data_XYZ, 0.0),
        ("negative-intensities", ball().data_XYZ - 600 * (ball().data_XYZ > 0), 0.0),
        ("outside-grid", ball().data_XYZ, 300.0),
    ],
)
def test_what_is_no_brain_is_rejected(reason: str, data: NDArray[np.float32], shift_mm: float) -> None:
    mni_from_native_44 = np.eye(4)
    mni_from_native_44[0, 3] = shift_mm
    with pytest.raises(ScanRejected) as caught:
        preprocess_volume(Volume(data, ball().affine_44), mni_from_native_44, SETTINGS)
    assert caught.value.reason == reason
