"""Whole batches: what is drawn for them, where they are changed, and with which precision."""

from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from mmdata.augment.apply import BatchChanges, apply_changes, plan_changes
from mmdata.augment.changes import map_tensors
from mmdata.augment.geometry import control_points, resample, sampling_grids
from mmdata.augment.parameters import AugmentSettings
from mmdata.augment.recipe import draw_geometries, draw_geometry, draw_intensities, draw_intensity

ALWAYS = AugmentSettings(probability=1.0, probabilities={})
EXTENT_MM = 192.0
MODALITIES = ("t1", "flair")
seeds = st.integers(0, 2**31)


def draw(with_settings: AugmentSettings, num: int, side: int) -> BatchChanges:
    names = [f"sample {number}" for number in range(num)]
    intensities = draw_intensities(with_settings, 1, names, 1, MODALITIES)
    return plan_changes(draw_geometries(with_settings, 1, names, 1), intensities, side, EXTENT_MM)


def volumes_of(num: int, side: int) -> torch.Tensor:
    volumes = torch.rand((num, len(MODALITIES), side, side, side), generator=torch.Generator().manual_seed(3))
    volumes[..., : side // 4] = 0
    return volumes


@pytest.mark.parametrize("probability", [0.1, 0.5, 1.0])
def test_a_recipe_does_not_depend_on_the_batch_that_it_is_drawn_in(probability: float) -> None:
    some = replace(ALWAYS, probability=probability)
    names = [f"sample {number}" for number in range(12)]
    geometries = draw_geometries(some, 5, names, 3)
    intensities = draw_intensities(some, 5, names, 3, MODALITIES)
    for name, geometry, of_sample in zip(names, geometries, intensities, strict=True):
        np.testing.assert_equal(asdict(geometry), asdict(draw_geometry(some, 5, name, 3)))
        for modality, recipe in zip(MODALITIES, of_sample, strict=True):
            np.testing.assert_equal(asdict(recipe), asdict(draw_intensity(some, 5, name, 3, modality)))


def test_version_1_of_the_drawing_stays_what_it_was() -> None:
    geometry = draw_geometry(ALWAYS, 7, "some sample", 2)
    recipe = draw_intensity(ALWAYS, 7, "some sample", 2, "t1")
    linear = [0.9962400307059542, -0.023343357291113843, 0.02251292407285924]
    np.testing.assert_allclose(geometry.linear_33[0], linear, rtol=1e-14)
    assert geometry.shift_mm.tolist() == [1.5607997459658574, -1.0568957986594214, 2.5923164947357415]
    assert (geometry.displacement_mm[2, 8, 8, 8], geometry.inflation) == (0.6153467606022724, 0.029854316378852747)
    assert recipe.curve.tolist() == [0.0, 0.32240251584429197, 0.636661621913647, 1.0]
    assert recipe.gamma == pytest.approx(1.0232303222685537, rel=1e-14)
    assert (recipe.bias_coefficients[1, 1, 1], recipe.noise_std) == (-0.09867731174011088, 0.005067755255266557)
    assert recipe.noise_starts == (0.06315668411808262, 0.28983527818875077)
    assert recipe.gibbs == (0.28854933931584786, 0.16060006058847393, 0.18050252029579833)
    assert (recipe.spike, recipe.spike_cycles) == (0.013458215097402816, (5, -4, 11))
    assert (recipe.ghosting, recipe.ghosting_interval, recipe.ghosting_axis) == (0.22722325965064472, 5, 1)
    assert recipe.motion is not None and recipe.motion.axis == 0
    assert recipe.motion.times == (0.3010735888022499, 0.6318979055593327)
    assert recipe.motion.poses[1].shift_mm.tolist() == [-1.1493757459040237, -2.116889028830296, -2.907327271916274]
    assert (recipe.blur_mm, recipe.slice_mm, recipe.slice_axis) == (1.464176583039627, 4.919510850575507, 2)


@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_applying_changes_never_asks_the_device_for_a_number(probability: float) -> None:
    # Tensors on "meta" hold no numbers: whatever waits for one fails.
    changes = draw(replace(ALWAYS, probability=probability), 6, 32)
    copies = apply_changes(volumes_of(6, 32).to("meta"), changes)
    assert (copies.shape, copies.device.type) == (volumes_of(6, 32).shape, "meta")
    with pytest.raises((RuntimeError, NotImplementedError)):
        copies.max().item()


@dataclass(frozen=True)
class SeenPrecision:
    """A change that notes how precisely matrices are multiplied."""

    seen: list[tuple[str, bool]]
    index: torch.Tensor | None = None

    def apply(self, volumes_NXYZ: torch.Tensor) -> torch.Tensor:
        matmul = torch.backends.cuda.matmul
        self.seen.append((matmul.fp32_precision, matmul.allow_tf32))  # the profiler reads the second of every operation
        return volumes_NXYZ


@pytest.mark.parametrize("allowed", [False, True])
def test_a_run_in_tensor_float_32_is_augmented_in_float32(allowed: bool) -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = allowed
        change = SeenPrecision([])
        apply_changes(volumes_of(1, 8), BatchChanges(None, (change,)))
        assert change.seen == [("ieee", False)]
        assert torch.backends.cuda.matmul.allow_tf32 == allowed
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def test_every_tensor_of_a_batchs_changes_is_brought_along() -> None:
    devices: list[str] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        devices.append(tensor.device.type)
        return tensor

    map_tensors(map_tensors(draw(ALWAYS, 4, 16), lambda tensor: tensor.to("meta")), note)
    assert set(devices) == {"meta"}
    assert len(devices) > 25  # one for the geometry, 1 to 4 for a kind, up to five for motion along each axis


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([2.0, 40.0, 170.0]), st.integers(0, 15), st.integers(1, 16))
def test_nothing_around_the_brain_is_interpolated_and_nothing_of_it_is_lost(
    seed: int, degrees: float, start: int, length: int
) -> None:
    volumes = torch.zeros(2, 2, 16, 16, 16)
    part = slice(start, start + length)
    volumes[:, 0, part, :, part] = torch.rand((2, 16, 16, 16), generator=torch.Generator().manual_seed(seed))[
        :, part, :, part
    ]
    strong = replace(ALWAYS, rotation_degrees=degrees, translation_mm=40.0)
    grids = sampling_grids(control_points(draw_geometries(strong, seed, ["a", "b"], 1), EXTENT_MM), 16)
    whole = functional.grid_sample(volumes, grids, padding_mode="zeros", align_corners=False)
    assert torch.equal(resample(volumes, grids), whole)
    assert not resample(torch.zeros_like(volumes), grids).any()
