from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass

from mmdata.arrays import array_specs
from mmdata.augment.parameters import AugmentSettings, Geometry, Intensity, draw_geometry, draw_intensity
from mmdata.augment.precompute import execute_copies, plan_copies
from mmdata.augment.transform import change_intensity, resample, sampling_grid
from mmdata.errors import StoreError, StudyError
from mmdata.store import ensure_array, open_array
from mmdata.study import ConnectivitySettings, Study, StudyConfig, TrainSettings, VolumeSettings, create_study

SETTINGS = AugmentSettings()
NO_DISPLACEMENT = np.empty((3, 0, 0, 0))
UNCHANGED = Intensity(np.linspace(0, 1, 3), np.linspace(0, 1, 3), np.empty((0, 0, 0)), 0.0, 0)
EXTENT_MM = 192.0
seeds = st.integers(0, 2**31)


def shift_by(*shift_mm: float) -> Geometry:
    return Geometry(np.eye(3), np.array(shift_mm), NO_DISPLACEMENT)


def blob(side: int, centre_mm: NDArray[np.float64], sigma_mm: float = 12.0) -> torch.Tensor:
    """A Gaussian at a position relative to the grid's centre."""
    ticks_mm = (np.indices((side,) * 3) - (side - 1) / 2) * (EXTENT_MM / side)
    squared = sum((t - c) ** 2 for t, c in zip(ticks_mm, centre_mm, strict=True))
    return torch.from_numpy(np.exp(-0.5 * squared / sigma_mm**2)).float()


def centre_mm_of(volume: torch.Tensor) -> NDArray[np.float64]:
    side = volume.shape[0]
    return (np.array(center_of_mass(volume.numpy())) - (side - 1) / 2) * (EXTENT_MM / side)


def flat(value: Geometry | Intensity) -> NDArray[np.float64]:
    return np.concatenate([np.ravel(np.asarray(getattr(value, name), float)) for name in type(value).__slots__])


@given(seeds, st.text(max_size=20), st.integers(1, 100))
def test_the_draw_is_a_function_of_seed_sample_and_copy(seed: int, sample_id: str, copy: int) -> None:
    always = replace(SETTINGS, probability=1.0)
    geometry = flat(draw_geometry(always, seed, sample_id, copy))
    np.testing.assert_array_equal(geometry, flat(draw_geometry(always, seed, sample_id, copy)))
    intensity = flat(draw_intensity(always, seed, sample_id, copy, "t1"))
    np.testing.assert_array_equal(intensity, flat(draw_intensity(always, seed, sample_id, copy, "t1")))
    for other in ((seed + 1, sample_id, copy), (seed, sample_id + "x", copy), (seed, sample_id, copy + 1)):
        assert not np.array_equal(geometry, flat(draw_geometry(always, *other)))
        assert not np.array_equal(intensity[-2:], flat(draw_intensity(always, *other, "t1"))[-2:])
    assert not np.array_equal(intensity[-2:], flat(draw_intensity(always, seed, sample_id, copy, "flair"))[-2:])


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_without_chance_nothing_changes(seed: int) -> None:
    never = replace(SETTINGS, probability=0.0)
    geometry, intensity = draw_geometry(never, seed, "s", 1), draw_intensity(never, seed, "s", 1, "t1")
    volume = blob(16, np.array([8.0, -10.0, 3.0]))
    changed = change_intensity(resample(volume, sampling_grid(geometry, 16, EXTENT_MM)), intensity)
    np.testing.assert_allclose(changed, volume, atol=1e-5)


@given(seeds)
def test_amounts_stay_within_the_settings(seed: int) -> None:
    geometry = draw_geometry(SETTINGS, seed, "s", 1)
    assert np.abs(geometry.shift_mm).max() <= 3 and np.abs(geometry.displacement_mm).max(initial=0) <= 2
    # rotation, shear and scale: singular values near one, no mirror
    assert np.linalg.det(geometry.linear_33) > 0
    assert np.abs(np.linalg.svd(geometry.linear_33, compute_uv=False) - 1).max() < 0.08
    assert np.abs(geometry.linear_33 - np.eye(3)).max() < 0.12
    intensity = draw_intensity(SETTINGS, seed, "s", 1, "t1")
    assert intensity.curve_to[0] == 0 and intensity.curve_to[-1] == 1 and (np.diff(intensity.curve_to) >= 0).all()
    assert np.abs(intensity.curve_to - intensity.curve_from).max() <= 0.1 + 1e-9
    assert 0 <= intensity.noise_std <= 0.02


def test_each_kind_of_change_happens_about_as_often_as_set() -> None:
    half = replace(SETTINGS, probability=0.5)
    geometries = [draw_geometry(half, seed, "s", 1) for seed in range(400)]
    for share in (
        np.mean([geometry.shift_mm.any() for geometry in geometries]),
        np.mean([geometry.displacement_mm.size > 0 for geometry in geometries]),
        np.mean([draw_intensity(half, seed, "s", 1, "t1").noise_std > 0 for seed in range(400)]),
    ):
        assert 0.4 < share < 0.6


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_shift_of_one_voxel_reads_the_next_voxel_along_that_axis(axis: int) -> None:
    volume = torch.rand((12, 12, 12), generator=torch.Generator().manual_seed(1))
    shift_mm = [0.0, 0.0, 0.0]
    shift_mm[axis] = EXTENT_MM / 12
    moved = resample(volume, sampling_grid(shift_by(*shift_mm), 12, EXTENT_MM))
    np.testing.assert_allclose(moved.narrow(axis, 0, 11), volume.narrow(axis, 1, 11), atol=1e-5)
    np.testing.assert_allclose(moved.narrow(axis, 11, 1), 0, atol=1e-5)


def test_positions_follow_the_affine_by_hand() -> None:
    # side 4, 8 mm: voxels of 2 mm, first centre at -3 mm; x' = y + 1, y' = 2x, z' = z - 2; half extent 4 mm
    linear_33 = np.array([[0.0, 1, 0], [2, 0, 0], [0, 0, 1]])
    positions = sampling_grid(Geometry(linear_33, np.array([1.0, 0, -2]), NO_DISPLACEMENT), 4, 8.0)
    # voxel (0, 1, 3) lies at (-3, -1, 3): source (0, -6, 1), as (z, y, x) in half extents
    np.testing.assert_allclose(positions[0, 1, 3], [0.25, -1.5, 0.0], atol=1e-6)


def test_equal_displacement_everywhere_is_a_shift() -> None:
    displacement = np.broadcast_to(np.array([5.0, -3.0, 2.0]).reshape(3, 1, 1, 1), (3, 9, 9, 9)).copy()
    bent = sampling_grid(Geometry(np.eye(3), np.zeros(3), displacement), 16, EXTENT_MM)
    np.testing.assert_allclose(bent, sampling_grid(shift_by(5, -3, 2), 16, EXTENT_MM), atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_displacement_acts_where_its_control_point_is(axis: int) -> None:
    displacement = np.zeros((3, 9, 9, 9))
    index = [4, 4, 4]
    index[axis] = 6  # control points 1 and 7 lie on the cube's faces, 4 in the middle
    displacement[(0, *index)] = 2.0
    plain = sampling_grid(shift_by(0, 0, 0), 48, EXTENT_MM)
    moved_x = (sampling_grid(Geometry(np.eye(3), np.zeros(3), displacement), 48, EXTENT_MM) - plain)[..., 2]
    found = (np.array(center_of_mass(moved_x.numpy())) + 0.5) / 48
    expected = np.full(3, 0.5)
    expected[axis] = 5 / 6
    np.testing.assert_allclose(found, expected, atol=0.03)
    # the peak of a cubic B-spline is 2/3 along each axis
    assert moved_x.max() * EXTENT_MM / 2 == pytest.approx(2.0 * (2 / 3) ** 3, rel=0.02)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_elastic_displacement_is_small_and_folds_nothing(seed: int) -> None:
    side, spacing_mm = 32, EXTENT_MM / 32
    geometry = draw_geometry(replace(SETTINGS, probability=1.0), seed, "s", 1)
    bare = Geometry(np.eye(3), np.zeros(3), geometry.displacement_mm)
    positions_mm = sampling_grid(bare, side, EXTENT_MM).flip(-1).numpy().astype(float) * (EXTENT_MM / 2)
    plain_mm = (np.indices((side,) * 3) - (side - 1) / 2).transpose(1, 2, 3, 0) * spacing_mm
    assert np.abs(positions_mm - plain_mm).max() <= 2.0 + 1e-4
    jacobian = np.stack([np.stack(np.gradient(positions_mm[..., c], spacing_mm), -1) for c in range(3)], -2)
    assert np.linalg.det(jacobian).min() > 0.5


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_geometry_is_the_same_in_mm_at_every_side(seed: int) -> None:
    geometry = draw_geometry(replace(SETTINGS, probability=1.0), seed, "s", 1)
    start_mm = np.array([22.0, -31.0, 14.0])
    fine, coarse = (
        centre_mm_of(resample(blob(side, start_mm), sampling_grid(geometry, side, EXTENT_MM))) for side in (64, 32)
    )
    np.testing.assert_allclose(fine, coarse, atol=0.1)
    assert np.abs(fine - start_mm).max() > 0.1


def test_a_blob_goes_to_where_the_inverse_of_the_affine_puts_it() -> None:
    linear_33 = np.array([[1.0, 0.05, 0], [-0.04, 0.98, 0.03], [0, 0.02, 1.01]])
    shift_mm = np.array([4.0, -6.0, 2.5])
    source_mm = np.array([20.0, -15.0, 30.0])
    moved = resample(blob(64, source_mm), sampling_grid(Geometry(linear_33, shift_mm, NO_DISPLACEMENT), 64, EXTENT_MM))
    np.testing.assert_allclose(centre_mm_of(moved), np.linalg.solve(linear_33, source_mm - shift_mm), atol=0.1)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_intensities_stay_within_0_to_1_and_background_exactly_0(seed: int) -> None:
    strong = replace(SETTINGS, probability=1.0, histogram_shift=0.5, bias_field=1.0, noise=0.5)
    volume = torch.rand((16, 16, 16), generator=torch.Generator().manual_seed(seed))
    volume[:5] = 0
    changed = change_intensity(volume, draw_intensity(strong, seed, "s", 1, "t1"))
    assert not changed[:5].any() and changed.min() >= 0 and changed.max() <= 1
    assert not torch.equal(changed, volume)


def test_intensity_curve_goes_through_its_control_points() -> None:
    curve = replace(UNCHANGED, curve_to=np.array([0.0, 0.8, 1.0]))
    volume = torch.tensor([0.25, 0.5, 0.75, 1.0]).reshape(1, 1, 4)
    np.testing.assert_allclose(change_intensity(volume, curve).ravel(), [0.4, 0.8, 0.9, 1.0], atol=1e-6)


def test_bias_field_of_order_one_is_an_exponential_along_its_axis() -> None:
    coefficients = np.zeros((4, 4, 4))
    coefficients[0, 1, 0] = -0.2
    volume = torch.full((4, 4, 4), 0.5)
    changed = change_intensity(volume, replace(UNCHANGED, bias_coefficients=coefficients))
    # voxel centres of four lie at -0.75, -0.25, 0.25, 0.75
    expected = 0.5 * np.exp(-0.2 * np.array([-0.75, -0.25, 0.25, 0.75]))
    np.testing.assert_allclose(changed, np.broadcast_to(expected[:, None], (4, 4, 4)), rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"probability": -0.1}, {"noise": -1.0}, {"elastic_mm": -1.0}])
def test_wrong_amounts_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        AugmentSettings(**wrong)


ROWS = {"t1": {0: "a", 2: "c", 5: "f"}, "flair": {0: "a", 5: "f"}}


def small_study(folder: Path, **augment: Any) -> Study:
    """Six rows of two modalities with equal volumes, training rows as in `ROWS`, four rows to a shard."""
    config = StudyConfig(
        salt="salt-of-a-small-study",
        volumes=VolumeSettings(modalities=("t1", "flair"), sides=(16, 8), rows_per_shard=4),
        connectivity=ConnectivitySettings(enabled=False),
        augment=AugmentSettings(sides=(16,), **augment),
        train=TrainSettings(side=16),
    )
    study = create_study(folder, config)
    volumes = np.random.default_rng(4).integers(1, 65535, (6, 16, 16, 16), np.uint16)
    volumes[:, :3] = 0
    for modality in ROWS:
        for spec in array_specs(study, modality, 6):
            ensure_array(spec)
            rows = volumes[:, : spec.shape[-1], : spec.shape[-1], : spec.shape[-1]]
            array = open_array(spec.path)
            array.write_shard(0, rows[:4])
            array.write_shard(4, rows[4:])
    return study


def make_copies(study: Study, copies: int, *, workers: int = 0, stop_after: int | None = None) -> int:
    plan = plan_copies(study, ROWS, num_rows=6, copies=copies, sides=(16,), workers=workers)
    calls = 0

    def on_progress(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if stop_after is not None and calls > stop_after:
            raise KeyboardInterrupt

    execute_copies(study, plan, workers=workers, on_progress=on_progress)
    return plan.num_volumes


def augmented_files(study: Study) -> dict[str, bytes]:
    root = study.layout.augmented
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_copies_exist_of_the_training_rows_only(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s")
    assert make_copies(study, 2) == 2 * (3 + 2)
    for modality, rows in ROWS.items():
        array = open_array(study.layout.augmented_array(modality, 16))
        stored = array.read_rows([(copy, row) for copy in (0, 1) for row in rows])
        assert len({row.tobytes() for row in stored}) == 2 * len(rows)
        for row in set(range(6)) - set(rows):
            with pytest.raises(StoreError, match="never stored"):
                array.read_rows([(1, row)])


def test_modalities_of_a_sample_share_the_geometry_of_a_copy(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s", histogram_shift=0.0, bias_field=0.0, noise=0.0)
    make_copies(study, 1)
    t1, flair = (open_array(study.layout.augmented_array(m, 16)).read_rows([(0, 0), (0, 5)]) for m in ("t1", "flair"))
    np.testing.assert_array_equal(t1, flair)
    assert not np.array_equal(t1[0], open_array(study.layout.volume_array("t1", 16)).read_rows([(0,)])[0])


def test_interrupted_copies_end_as_uninterrupted_ones_and_finished_ones_do_not_change(tmp_path: Path) -> None:
    whole, broken = small_study(tmp_path / "whole"), small_study(tmp_path / "broken")
    make_copies(whole, 3)
    for stop_after in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            make_copies(broken, 3, stop_after=stop_after)
    # of six shards, with 3 and 2 volumes in turn, one and then three more were finished
    assert make_copies(broken, 3) == 5
    assert augmented_files(broken) == augmented_files(whole)
    assert make_copies(broken, 3) == 0
    assert augmented_files(broken) == augmented_files(whole)


def test_two_workers_make_the_same_bytes_as_none(tmp_path: Path) -> None:
    here, there = small_study(tmp_path / "here"), small_study(tmp_path / "there")
    make_copies(here, 2)
    make_copies(there, 2, workers=2)
    assert augmented_files(there) == augmented_files(here)


def test_more_copies_later_are_those_of_one_go(tmp_path: Path) -> None:
    at_once, later = small_study(tmp_path / "once"), small_study(tmp_path / "later")
    make_copies(at_once, 3)
    make_copies(later, 1)
    assert make_copies(later, 3) == 2 * 5
    assert augmented_files(later) == augmented_files(at_once)


def test_other_amounts_are_refused(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s")
    make_copies(study, 1)
    other = replace(study, config=replace(study.config, augment=replace(study.config.augment, noise=0.1)))
    with pytest.raises(StoreError, match=r"other settings \(augmentation\)"):
        make_copies(other, 2)


@pytest.mark.parametrize(
    ("rows", "copies", "sides", "named"),
    [
        (ROWS, 0, (16,), "Expected 1 to 1000 copies, got 0"),
        (ROWS, 1, (12,), "Side 12"),
        ({"t1": {}}, 1, (16,), "No training volume"),
    ],
)
def test_what_cannot_be_made_is_said_before_anything_is_written(
    tmp_path: Path, rows: dict[str, dict[int, str]], copies: int, sides: tuple[int, ...], named: str
) -> None:
    study = small_study(tmp_path / "s")
    with pytest.raises(StudyError, match=named):
        plan_copies(study, rows, num_rows=6, copies=copies, sides=sides, workers=0)
    assert not study.layout.augmented.exists()
