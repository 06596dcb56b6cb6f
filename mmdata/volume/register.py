"""Bring a brain to the MNI152 template with an affine transform of 12 parameters, where its source has none.

Both brains are sampled on cubes along R, A and S of their own worlds. A first guess fits the brain's centre and its
spread along the three axes, in the orientation its header claims and tilted either way about each axis. From every
guess the transform climbs Mattes' mutual information on 8 mm voxels; from the best summit it climbs on, down to 2 mm.
The contrast may be any. Samples are drawn with a fixed seed and by one thread: equal input gives equal matrices.

A header that lies about the axes is not seen: look for a low normalised mutual information.

Source: Mattes et al. 2003, IEEE TMI 22(1), https://doi.org/10.1109/TMI.2003.809072 (the metric); Studholme et al. 1999,
Pattern Recognition 32(1), https://doi.org/10.1016/S0031-3203(98)00091-0 (normalised mutual information).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mmdata.errors import ScanRejected
from mmdata.volume.geometry import MNI152_BRAIN_CENTRE_MM, Grid, Matrix44, apply_affine
from mmdata.volume.nifti import Volume
from mmdata.volume.resample import resample_to_grid
from mmdata.volume.template import template_brain

_EXTENT_MM = 224.0
"""Of the cubes, which hold any adult's brain around its centre."""
_TILT_DEGREES = 25.0
_START_SCALES = (0.6, 1.6)
_CLAMP_PERCENTILES = (1.0, 99.0)
_NUM_BINS = 32
_MARGIN_MM = 8.0
"""How far around the template's brain the images are compared."""
_SEED = 1
_VOLUME_CHANGES = (0.2, 5.0)
_LARGEST_STRETCH = 2.0
"""Ratio of the longest to the shortest axis of what a ball is mapped to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """Where a brain lies in MNI152 space."""

    mni_from_native_44: Matrix44
    """The volume's world to MNI152's, RAS+ mm."""
    nmi: float
    """Normalised mutual information with the template inside both brains, from 1 (unrelated) to 2 (the same)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Climb:
    """How the metric is climbed: one entry for each level, from coarse to fine."""

    spacing_mm: float
    """Of the cubes the brains are sampled on."""
    shrink_factors: tuple[int, ...]
    smoothing_mm: tuple[float, ...]
    sampled_shares: tuple[float, ...]
    max_steps: int
    smallest_step: float
    """Climbing ends when steps are shorter than this share of a voxel."""


_SEARCH = _Climb(
    spacing_mm=8.0, shrink_factors=(1,), smoothing_mm=(0.0,), sampled_shares=(1.0,), max_steps=20, smallest_step=0.1
)
_REFINEMENT = _Climb(
    spacing_mm=2.0,
    shrink_factors=(4, 2, 1),
    smoothing_mm=(8.0, 4.0, 1.0),
    sampled_shares=(0.5, 0.3, 0.2),
    max_steps=100,
    smallest_step=1e-3,
)


@dataclass(frozen=True, slots=True)
class _Brain:
    """A brain on a cube in its own world."""

    data_XYZ: NDArray[np.float32]
    grid: Grid

    @property
    def image(self) -> sitk.Image:
        """Return it for SimpleITK, with RAS+ mm as physical space: nothing here depends on ITK's LPS."""
        image = sitk.GetImageFromArray(self.data_XYZ.T)
        image.SetSpacing([self.grid.spacing_mm] * 3)
        image.SetOrigin(self.grid.affine_44[:3, 3].tolist())
        return image

    def centre_and_spread_mm(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the mean and the standard deviation of the brain's voxels along R, A, S."""
        points_N3 = apply_affine(self.grid.affine_44, np.argwhere(self.data_XYZ).astype(np.float64))
        return points_N3.mean(axis=0), points_N3.std(axis=0)


def register_affine(volume: Volume) -> Registration:
    """Register a brain-extracted volume to the template's brain.

    Raises
    ------
    ScanRejected
        ``registration-failed``: the images drifted apart, or the transform found is none of a brain.
    """
    template, brain = _template(_REFINEMENT.spacing_mm), _sampled(volume, _REFINEMENT.spacing_mm)
    transform = _search(volume)
    if not math.isfinite(_climb(_REFINEMENT, template, brain, transform)):
        raise ScanRejected("registration-failed", "the brain and the template drifted apart")
    native_from_mni_44 = _matrix_of(transform)
    _check_plausible(native_from_mni_44)
    mni_from_native_44 = np.asarray(np.linalg.inv(native_from_mni_44), np.float64)
    registered = Volume(volume.data_XYZ, mni_from_native_44 @ volume.affine_44)
    nmi = normalised_mutual_information(template.data_XYZ, _on_grid(registered, template.grid).data_XYZ)
    return Registration(mni_from_native_44=mni_from_native_44, nmi=nmi)


def normalised_mutual_information(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return (H(first) + H(second)) / H(first, second) of the voxels where either is not 0, in 32 x 32 bins.

    >>> values = np.arange(1.0, 1025.0)
    >>> round(normalised_mutual_information(values, 5 - values), 6)
    2.0
    """
    inside = (first != 0) | (second != 0)
    joint, _, _ = np.histogram2d(first[inside], second[inside], bins=_NUM_BINS)
    together = _entropy(joint)
    return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / together if together else 1.0


@cache
def _template(spacing_mm: float) -> _Brain:
    grid = Grid(side=round(_EXTENT_MM / spacing_mm), spacing_mm=spacing_mm, centre_mm=MNI152_BRAIN_CENTRE_MM)
    return _on_grid(template_brain(), grid)


def _sampled(volume: Volume, spacing_mm: float) -> _Brain:
    """Sample a brain on a cube around its centre of mass."""
    centre_13 = np.argwhere(volume.data_XYZ).mean(axis=0, keepdims=True)
    x, y, z = apply_affine(volume.affine_44, centre_13)[0].tolist()
    return _on_grid(volume, Grid(side=round(_EXTENT_MM / spacing_mm), spacing_mm=spacing_mm, centre_mm=(x, y, z)))


def _on_grid(volume: Volume, grid: Grid) -> _Brain:
    """Sample a brain on a grid, clamped first: an outlier would leave most of the metric's bins empty."""
    brain = volume.data_XYZ != 0
    low, high = np.percentile(volume.data_XYZ[brain], _CLAMP_PERCENTILES)
    clamped = np.clip(volume.data_XYZ, low, high).astype(np.float32) * brain
    return _Brain(resample_to_grid(clamped, np.linalg.inv(volume.affine_44) @ grid.affine_44, grid), grid)


def _search(volume: Volume) -> sitk.AffineTransform:
    """Return the transform with the best metric among the summits that the guesses lead to on coarse voxels."""
    template, brain = _template(_SEARCH.spacing_mm), _sampled(volume, _SEARCH.spacing_mm)
    summits = [(_climb(_SEARCH, template, brain, guess), guess) for guess in _guesses(template, brain)]
    return min(summits, key=lambda summit: summit[0])[1]


def _guesses(template: _Brain, brain: _Brain) -> Iterator[sitk.AffineTransform]:
    """Yield maps from the template's world that fit the brain's centre and size, untilted and tilted."""
    template_centre_mm, template_spread_mm = template.centre_and_spread_mm()
    centre_mm, spread_mm = brain.centre_and_spread_mm()
    scale_33 = np.diag(np.clip(spread_mm / template_spread_mm, *_START_SCALES))
    for tilt in np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)]) * _TILT_DEGREES:
        transform = sitk.AffineTransform(3)
        transform.SetCenter(template_centre_mm.tolist())
        transform.SetTranslation((centre_mm - template_centre_mm).tolist())
        transform.SetMatrix((Rotation.from_rotvec(tilt, degrees=True).as_matrix() @ scale_33).ravel().tolist())
        yield transform


def _climb(climb: _Climb, template: _Brain, brain: _Brain, transform: sitk.AffineTransform) -> float:
    """Move a transform, native from MNI152, to the next summit of mutual information.

    Returns
    -------
    float
        The mutual information's negative; infinity where the images drifted apart.
    """
    fixed = template.image
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(_NUM_BINS)
    method.SetMetricFixedMask(sitk.BinaryDilate(fixed > 0.0, [round(_MARGIN_MM / climb.spacing_mm)] * 3))
    method.SetMetricSamplingStrategy(sitk.ImageRegistrationMethod.REGULAR)
    method.SetMetricSamplingPercentagePerLevel(climb.sampled_shares, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=climb.smallest_step, numberOfIterations=climb.max_steps
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(climb.shrink_factors)
    method.SetSmoothingSigmasPerLevel(climb.smoothing_mm)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, brain.image)
    except RuntimeError:
        return math.inf
    return float(method.GetMetricValue())


def _matrix_of(transform: sitk.AffineTransform) -> Matrix44:
    matrix_33 = np.array(transform.GetMatrix()).reshape(3, 3)
    centre_3 = np.array(transform.GetCenter())
    matrix_44 = np.eye(4)
    matrix_44[:3, :3] = matrix_33
    matrix_44[:3, 3] = np.array(transform.GetTranslation()) + centre_3 - matrix_33 @ centre_3
    return matrix_44


def _check_plausible(native_from_mni_44: Matrix44) -> None:
    if not np.isfinite(native_from_mni_44).all():
        raise ScanRejected("registration-failed", "the transform is not finite")
    change = float(np.linalg.det(native_from_mni_44[:3, :3]))
    low, high = _VOLUME_CHANGES
    if not low < change < high:
        raise ScanRejected("registration-failed", f"expected a change of volume from {low} to {high}, got {change:.2g}")
    axes = np.linalg.svd(native_from_mni_44[:3, :3], compute_uv=False)
    if axes[0] > _LARGEST_STRETCH * axes[-1]:
        raise ScanRejected("registration-failed", f"the transform stretches one axis {axes[0] / axes[-1]:.1f} times")


def _entropy(counts: NDArray[np.float64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
