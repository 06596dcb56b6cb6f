"""What changes intensities, against closed forms, scipy, and k-space written out in numpy."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest, rice

from mmdata.augment.apply import change_intensity
from mmdata.augment.geometry import control_points, resample, sampling_grids
from mmdata.augment.intensity import thickening_matrix
from mmdata.augment.kspace import plan_spectra
from mmdata.augment.parameters import KINDS, AugmentSettings
from mmdata.augment.recipe import Geometry, Intensity, Motion, draw_intensity, rotation_33

ALWAYS = AugmentSettings(probability=1.0, probabilities={})
EXTENT_MM = 192.0
SIDE = 16
seeds = st.integers(0, 2**31)


def changed(volume: torch.Tensor, **recipe: Any) -> torch.Tensor:
    return change_intensity(volume[None], [Intensity(**recipe)], EXTENT_MM)[0]


def respectrum(volume: NDArray[np.float32], **recipe: Any) -> NDArray[np.float32]:
    spectra = plan_spectra([Intensity(**recipe)], volume.shape[-1], EXTENT_MM)
    assert spectra is not None and spectra.index is None
    return spectra.apply(torch.from_numpy(volume)[None])[0].numpy()


def random_volume(side: int = SIDE, seed: int = 1) -> torch.Tensor:
    """Without background."""
    return 0.1 + 0.8 * torch.rand((side,) * 3, generator=torch.Generator().manual_seed(seed))


def brain(side: int = SIDE, seed: int = 1) -> torch.Tensor:
    """A ball of random intensities."""
    radius = np.linalg.norm(np.indices((side,) * 3) - (side - 1) / 2, axis=0)
    return random_volume(side, seed) * torch.from_numpy(radius < side / 3)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_intensities_stay_within_0_to_1_and_background_exactly_0(seed: int) -> None:
    strong = replace(ALWAYS, histogram_shift=0.5, bias_field=1.0, noise=0.5, spikes=1.0, ghosting=1.0, motion_mm=30.0)
    volume = brain(seed=seed)
    recipe = draw_intensity(strong, seed, "s", 1, "t1")
    result = change_intensity(volume[None], [recipe], EXTENT_MM)[0]
    assert not result[volume == 0].any() and result.min() >= 0 and result.max() <= 1
    assert not torch.equal(result, volume)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind in ("noise", "gibbs", "spikes", "ghosting", "motion")])
def test_an_artefact_lights_no_background(kind: str) -> None:
    alone = replace(ALWAYS, probability=0.0, probabilities={kind: 1.0})
    for seed in range(5):
        result = change_intensity(brain()[None], [draw_intensity(alone, seed, "s", 1, "t1")], EXTENT_MM)[0]
        assert not result[brain() == 0].any()
        assert (result - brain()).abs().max() > 1e-3


def test_without_changes_the_very_same_volume_comes_back() -> None:
    assert torch.equal(changed(brain()), brain())


def test_intensity_curve_goes_through_its_control_points() -> None:
    volume = torch.tensor([0.25, 0.5, 0.75, 1.0]).reshape(1, 1, 4)
    np.testing.assert_allclose(
        changed(volume, curve=np.array([0.0, 0.8, 1.0])).ravel(), [0.4, 0.8, 0.9, 1.0], atol=1e-6
    )


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_intensity_curve_is_what_numpy_interpolates(seed: int) -> None:
    curve = draw_intensity(replace(ALWAYS, histogram_shift=0.4), seed, "s", 1, "t1").curve
    expected = np.interp(random_volume(), np.linspace(0, 1, len(curve)), curve)
    np.testing.assert_allclose(changed(random_volume(), curve=curve), expected, atol=1e-6)


def test_gamma_is_a_power() -> None:
    np.testing.assert_allclose(changed(random_volume(), gamma=1.3), random_volume() ** 1.3, rtol=1e-5)


def test_bias_field_of_order_one_is_an_exponential_along_its_axis() -> None:
    coefficients = np.zeros((4, 4, 4))
    coefficients[0, 1, 0] = -0.2
    # voxel centres of four lie at -0.75, -0.25, 0.25, 0.75
    expected = 0.5 * np.exp(-0.2 * np.array([-0.75, -0.25, 0.25, 0.75]))
    result = changed(torch.full((4, 4, 4), 0.5), bias_coefficients=coefficients)
    np.testing.assert_allclose(result, np.broadcast_to(expected[:, None], (4, 4, 4)), rtol=1e-5)


def test_drawn_bias_field_is_numpys_legendre_series() -> None:
    coefficients = draw_intensity(ALWAYS, 5, "s", 1, "t1").bias_coefficients
    ticks = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    field = np.exp(np.polynomial.legendre.leggrid3d(ticks, ticks, ticks, coefficients))
    np.testing.assert_allclose(
        changed(random_volume(), bias_coefficients=coefficients),
        np.clip(random_volume().numpy() * field, 0, 1),
        rtol=1e-4,
    )


@pytest.mark.parametrize(("level", "std"), [(0.5, 0.02), (0.02, 0.05)])
def test_noise_follows_the_rice_distribution(level: float, std: float) -> None:
    noisy = changed(torch.full((32, 32, 32), level), noise_std=std, noise_starts=(0.1, 0.7)).numpy().ravel()
    assert kstest(noisy, rice(level / std, scale=std).cdf).pvalue > 0.001
    others = changed(torch.full((32, 32, 32), level), noise_std=std, noise_starts=(0.4, 0.9)).numpy().ravel()
    assert abs(np.corrcoef(noisy, others)[0, 1]) < 0.03


def test_blur_is_scipys_gaussian() -> None:
    volume, sigma_mm = random_volume().numpy(), 18.0
    expected = gaussian_filter(volume, sigma_mm * SIDE / EXTENT_MM, mode="wrap", truncate=8)
    np.testing.assert_allclose(respectrum(volume, blur_mm=sigma_mm), expected, atol=2e-4)


def test_gibbs_cuts_the_outer_lines_of_k_space_and_makes_edges_ring() -> None:
    volume, cut = random_volume().numpy(), (0.5, 0.0, 0.3)
    cycles = np.fft.fftfreq(SIDE) * SIDE
    kept = [np.abs(cycles) <= (1 - share) * SIDE / 2 for share in cut]
    spectrum = np.fft.fftn(volume) * np.einsum("x,y,z->xyz", *kept)
    np.testing.assert_allclose(respectrum(volume, gibbs=cut), np.fft.ifftn(spectrum).real, atol=1e-5)
    step = np.zeros((64, 64, 64), np.float32)
    step[16:48] = 0.5
    # a step overshoots by 9 % of its height (Wilbraham, Gibbs): the integral of the sine
    assert respectrum(step, gibbs=(0.5, 0.0, 0.0)).max() == pytest.approx(0.5 * 1.0895, rel=0.03)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("interval", [2, 4])
def test_ghosts_are_weaker_images_of_the_brain_along_one_axis(axis: int, interval: int) -> None:
    volume, weaker = brain().numpy(), 0.4
    ghosted = respectrum(volume, ghosting=weaker, ghosting_interval=interval, ghosting_axis=axis)
    spectrum = np.fft.fftn(volume)
    lines = np.moveaxis(spectrum, axis, 0)
    for line in range(interval, SIDE, interval):
        lines[line] *= 1 - weaker
    np.testing.assert_allclose(ghosted, np.fft.ifftn(spectrum).real, atol=1e-5)
    # all lines but the middle one: copies of the volume, shifted by parts of the field of view
    copies = sum(np.roll(volume, shift, axis) for shift in range(0, SIDE, SIDE // interval)) / interval
    middle = volume.mean(axis=axis, keepdims=True)
    np.testing.assert_allclose(ghosted, volume - weaker * (copies - middle), atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(-12, 12)] * 3).filter(any), st.floats(0, 6.28))
def test_a_spike_is_a_wave_of_its_amplitude(cycles: tuple[int, int, int], phase: float) -> None:
    volume = random_volume().numpy()
    wave = np.einsum("c,cxyz->xyz", np.array(cycles), np.indices((SIDE,) * 3)) * 2 * np.pi / SIDE
    spiked = respectrum(volume, spike=0.07, spike_cycles=cycles, spike_phase=phase)
    np.testing.assert_allclose(spiked, volume + 0.07 * np.cos(wave + phase), atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_motion_takes_each_line_from_the_pose_at_its_time(axis: int) -> None:
    poses = tuple(
        Geometry(rotation_33(np.array(degrees)), np.array(shift_mm))
        for degrees, shift_mm in (((5.0, -3, 8), (10.0, 0, -8)), ((0, 6.0, 2), (-6.0, 12, 0)))
    )
    volume = brain()
    result = respectrum(volume.numpy(), motion=Motion((poses[0], poses[1]), (0.3, 0.7), axis))
    before, after = resample(volume.expand(2, 1, -1, -1, -1), sampling_grids(control_points(poses, EXTENT_MM), SIDE))[
        :, 0
    ].numpy()
    lines = np.moveaxis(np.fft.fftshift(np.fft.fftn(volume.numpy())), axis, 0)
    for moved, when in ((before, slice(0, 5)), (after, slice(11, SIDE))):  # lines from the most negative frequency
        lines[when] = np.moveaxis(np.fft.fftshift(np.fft.fftn(moved)), axis, 0)[when]
    expected = np.fft.ifftn(np.fft.ifftshift(np.moveaxis(lines, 0, axis))).real
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert np.abs(result - volume.numpy()).max() > 0.05


def test_two_voxels_to_a_slice_are_averaged_and_drawn_between() -> None:
    line = np.array([1.0, 3.0, 5.0, 7.0])
    np.testing.assert_allclose(thickening_matrix(4, 2.0) @ line, [2.0, 3.0, 5.0, 6.0])


@given(st.integers(8, 40), st.floats(1.0, 8.0))
def test_slices_keep_what_is_even_and_move_nothing(side: int, thickness: float) -> None:
    np.testing.assert_allclose(thickening_matrix(side, thickness) @ np.ones(side), 1.0)
    ramp = np.arange(side) - (side - 1) / 2
    beyond = slice(int(2 * thickness) + 1, side - int(2 * thickness) - 1)
    np.testing.assert_allclose((thickening_matrix(side, thickness) @ ramp)[beyond], ramp[beyond], atol=0.15)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_anisotropy_thickens_along_one_axis_alone(axis: int) -> None:
    volume = random_volume()
    result = changed(volume, slice_mm=30.0, slice_axis=axis).numpy()
    lines = np.moveaxis(volume.numpy(), axis, 0).reshape(SIDE, -1)
    expected = (thickening_matrix(SIDE, 2.5) @ lines).reshape((SIDE,) * 3)
    np.testing.assert_allclose(np.moveaxis(result, axis, 0), expected, atol=1e-5)
    assert torch.equal(changed(volume, slice_mm=5.0), volume)  # thinner than a voxel


def test_a_batch_gives_what_its_volumes_give_one_by_one() -> None:
    half = replace(ALWAYS, probability=0.5)
    recipes = [draw_intensity(half, seed, "s", 1, "t1") for seed in range(12)]
    volumes = torch.stack([brain(seed=seed) for seed in range(12)])
    at_once = change_intensity(volumes, recipes, EXTENT_MM)
    for volume, recipe, result in zip(volumes, recipes, at_once, strict=True):
        np.testing.assert_allclose(result, change_intensity(volume[None], [recipe], EXTENT_MM)[0], atol=1e-6)
    assert torch.equal(change_intensity(volumes.flip(0), recipes[::-1], EXTENT_MM).flip(0), at_once)
