import numpy as np
import pytest
from nilearn.datasets import load_mni152_brain_mask
from nilearn.image import resample_img
from numpy.typing import NDArray
from scipy.spatial.distance import dice

from mmdata.volume.geometry import MNI152_BRAIN_CENTRE_MM, Grid
from mmdata.volume.settings import VolumeSettings
from mmdata.volume.template import (
    template_brain,
    template_mask,
    template_on_grid,
    template_overlap,
    white_over_grey,
)

FINE, COARSE = (VolumeSettings().grid(side) for side in (128, 64))


def test_mask_is_the_one_that_nilearn_resamples() -> None:
    expected = resample_img(
        load_mni152_brain_mask(resolution=1),
        target_affine=FINE.affine_44,
        target_shape=(128,) * 3,
        interpolation="nearest",
        force_resample=True,
        copy_header=True,
    ).get_fdata()
    different = np.count_nonzero(template_mask(FINE) != (expected > 0))
    assert different < 0.03 * np.count_nonzero(expected)  # voxels on the brain's edge


@pytest.mark.parametrize("grid", [FINE, COARSE, Grid(side=90, spacing_mm=2.0, centre_mm=(5.0, -20.0, 10.0))])
def test_mask_has_the_templates_volume_on_any_grid(grid: Grid) -> None:
    voxel_ml = grid.spacing_mm**3 / 1000
    assert np.count_nonzero(template_mask(grid)) * voxel_ml == pytest.approx(1883, rel=0.02)


def test_mask_lies_around_the_centre_that_grids_use() -> None:
    inside = np.argwhere(template_mask(FINE))
    box_centre_mm = (inside.min(axis=0) + inside.max(axis=0)) / 2 * FINE.spacing_mm + FINE.affine_44[:3, 3]
    np.testing.assert_allclose(box_centre_mm, MNI152_BRAIN_CENTRE_MM, atol=FINE.spacing_mm)


def test_brain_is_the_template_inside_its_mask_and_zero_outside() -> None:
    brain = template_brain()
    mask = load_mni152_brain_mask(resolution=1)
    np.testing.assert_array_equal(brain.affine_44, mask.affine)
    np.testing.assert_array_equal(brain.data_XYZ != 0, mask.get_fdata() > 0)
    assert brain.data_XYZ.min() == 0
    assert brain.data_XYZ.max() == 1


def test_nobody_can_change_the_template_for_others() -> None:
    for shared in (template_brain().data_XYZ, template_mask(COARSE), template_on_grid(COARSE)):
        with pytest.raises(ValueError, match="read-only"):
            shared[0, 0, 0] = 1


def shifted(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    return np.roll(mask, steps, axis=0)


def test_overlap_is_one_with_itself_zero_apart_and_falls_with_distance() -> None:
    mask = template_mask(COARSE)
    assert template_overlap(mask, COARSE) == 1.0
    assert template_overlap(~mask, COARSE) == 0.0
    assert template_overlap(np.zeros_like(mask), COARSE) == 0.0
    overlaps = [template_overlap(shifted(mask, steps), COARSE) for steps in (0, 2, 5, 10)]
    assert overlaps == sorted(overlaps, reverse=True)
    assert overlaps[-1] < 0.75


@pytest.mark.parametrize("side", [128, 64, 32])
def test_white_matter_is_brighter_than_grey_in_a_t1_and_darker_in_its_negative(side: int) -> None:
    grid = VolumeSettings().grid(side)
    t1 = template_on_grid(grid)
    negative = np.where(t1 > 0, 1.1 - t1, 0)
    ratios = [white_over_grey(volume, grid) for volume in (t1, 1000 * t1, negative)]
    assert ratios[0] == pytest.approx(ratios[1])
    assert ratios[0] is not None and ratios[0] > 1.2
    assert ratios[2] is not None and ratios[2] < 0.7


def test_a_grid_that_is_too_coarse_says_nothing_of_the_contrast() -> None:
    grid = VolumeSettings().grid(8)
    assert white_over_grey(np.ones((8, 8, 8)), grid) is None


def test_overlap_is_scipys_dice() -> None:
    mask = template_mask(COARSE)
    other = shifted(mask, 4)
    assert template_overlap(other, COARSE) == pytest.approx(1 - dice(mask.ravel(), other.ravel()))
