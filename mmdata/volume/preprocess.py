"""From a brain on its native grid to the study's grid: clamp, resample once, quantise, average to coarser levels.

All transforms together are one affine, source voxel from grid voxel, so a volume is interpolated once. Only the box
around the brain is worked on, in single precision; a brain-extracted image is three quarters background.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.errors import ScanRejected
from mmdata.volume.geometry import Matrix44
from mmdata.volume.nifti import Volume
from mmdata.volume.quantiles import percentiles
from mmdata.volume.resample import resample_to_grid, sample_mask
from mmdata.volume.settings import VolumeSettings
from mmdata.volume.template import template_overlap, white_over_grey

OVERLAP_SIDE = 32
"""The overlap with the template is taken on a grid of this side, so that it means the same in every study."""
_SLICES_APART = 4
_QUARTILES = (25.0, 50.0, 75.0)


@dataclass(frozen=True, slots=True)
class PreprocessedVolume:
    """One volume at every resolution level, as it is stored."""

    levels: dict[int, NDArray[Any]]
    """Side to volume (side, side, side), axes R, A, S, C order."""
    measures: dict[str, float]
    """By the names of `mmbase.records.MEASURES`."""


def preprocess_volume(
    volume: Volume,
    mni_from_native_44: Matrix44,
    settings: VolumeSettings,
    *,
    min_template_overlap: float = 0.0,
    signed_range: tuple[float, float] | None = None,
) -> PreprocessedVolume:
    """Bring a brain onto the study's grid.

    Parameters
    ----------
    volume
        A brain; every voxel that is not 0 belongs to it. Negative ones are stored as 0.
    min_template_overlap
        Dice coefficient with the template's brain below which a scan is rejected.
    signed_range
        For a map whose negative values mean something: the values to store as fractions 0 and 1, before clamping.
        Its clamps and its median are measured in the map's own unit, its contrast in these fractions.

    Raises
    ------
    ScanRejected
        ``empty``, ``negative-intensities``, ``no-contrast``, ``outside-grid`` or ``outside-template``.
    """
    brain_XYZ = volume.data_XYZ != 0
    if not brain_XYZ.any():
        raise ScanRejected("empty", "every voxel is zero")
    lowest, highest = signed_range or (0.0, 1.0)
    data_XYZ = volume.data_XYZ if signed_range is None else _rescaled(volume.data_XYZ, brain_XYZ, lowest, highest)
    box = _bounding_box(brain_XYZ)
    inside_XYZ = brain_XYZ[box]
    values = data_XYZ[box].T[inside_XYZ.T]
    low, high, median, contrast = _measure_intensities(data_XYZ, values, settings)
    source_from_mni_44 = np.linalg.inv(mni_from_native_44 @ volume.affine_44)
    boxed_from_mni_44 = _moved([-axis.start for axis in box]) @ source_from_mni_44
    overlap = _checked_overlap(inside_XYZ, boxed_from_mni_44, settings, min_template_overlap)
    grid = settings.grid(settings.sides[0])
    fractions_XYZ = _fractions(data_XYZ[box], inside_XYZ, low, high)
    finest = quantise(resample_to_grid(fractions_XYZ, boxed_from_mni_44 @ grid.affine_44, grid), settings.dtype)
    levels = _levels(_in_c_order(finest), settings.sides)
    unit = highest - lowest
    measures = {
        "clamp_low": low * unit + lowest,
        "clamp_high": high * unit + lowest,
        "median": median * unit + lowest,
        "contrast": contrast,
        "brain_ml": values.size * abs(float(np.linalg.det(volume.affine_44))) / 1000,
        "nonzero_share": values.size / brain_XYZ.size,
        "template_overlap": overlap,
        "flat_share": flat_share(data_XYZ[box], inside_XYZ),
    }
    coarsest = settings.sides[-1]
    if (ratio := white_over_grey(levels[coarsest], settings.grid(coarsest))) is not None:
        measures["white_over_grey"] = ratio
    return PreprocessedVolume(levels, measures)


def flat_share(data_XYZ: NDArray[Any], inside_XYZ: NDArray[np.bool_]) -> float:
    """Return the share of voxels inside a brain that are exactly like their neighbour, over every fourth slice.

    In an image of tissue noise makes neighbours differ; in a map of labels most are alike, however many labels it has.

    >>> labels = np.repeat(np.arange(4), 10).reshape(40, 1, 1)
    >>> round(flat_share(labels, labels > 0), 2)
    0.93
    """
    data, inside = data_XYZ[:, :, ::_SLICES_APART], inside_XYZ[:, :, ::_SLICES_APART]
    are_both = inside[1:] & inside[:-1]
    num_alike = np.count_nonzero((data[1:] == data[:-1]) & are_both)
    return float(num_alike) / max(1, int(np.count_nonzero(are_both)))


def quantise(fractions: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """Turn fractions 0 to 1 into the stored number type, integers over their whole range.

    >>> quantise(np.array([0.0, 0.5, 1.0], np.float32), "uint8").tolist()
    [0, 128, 255]
    """
    stored = np.dtype(dtype)
    if stored.kind == "f":
        return fractions.astype(stored)
    steps = fractions * np.float32(np.iinfo(stored).max)
    np.rint(steps, out=steps)
    return steps.astype(stored)


def as_fractions(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Return what `quantise` has stored as fractions 0 to 1, in memory of its own.

    >>> as_fractions(np.array([0, 255], np.uint8)).tolist()
    [0.0, 1.0]
    """
    fractions: NDArray[np.float32] = stored.astype(np.float32)
    if stored.dtype.kind != "f":
        fractions /= np.float32(np.iinfo(stored.dtype).max)
    return fractions


def block_mean(volume_XYZ: NDArray[Any], factor: int) -> NDArray[Any]:
    """Average blocks of factor³ voxels; integers round half up."""
    dtype = volume_XYZ.dtype
    is_float = dtype.kind == "f"
    wide = np.dtype(np.float32) if is_float else np.min_scalar_type(int(np.iinfo(dtype).max) * factor**3)
    sums = volume_XYZ
    for axis in range(3):
        terms = np.moveaxis(sums, axis, 0)
        along = terms[::factor].astype(wide)
        for offset in range(1, factor):
            along += terms[offset::factor]
        sums = np.moveaxis(along, 0, axis)
    means: NDArray[Any] = sums / factor**3 if is_float else (sums + factor**3 // 2) // factor**3
    return means.astype(dtype)


def _levels(finest: NDArray[Any], sides: tuple[int, ...]) -> dict[int, NDArray[Any]]:
    levels = {sides[0]: finest}
    for fine, coarse in pairwise(sides):
        levels[coarse] = block_mean(levels[fine], fine // coarse)
    return levels


def _rescaled(
    data_XYZ: NDArray[Any], brain_XYZ: NDArray[np.bool_], lowest: float, highest: float
) -> NDArray[np.float32]:
    """Return the brain as fractions of a range, background 0."""
    fractions: NDArray[np.float32] = (data_XYZ.astype(np.float32) - lowest) / (highest - lowest) * brain_XYZ
    return fractions


def _bounding_box(brain_XYZ: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """Return the brain's box with a voxel of background around it, so that its edge is interpolated towards 0."""
    spans = []
    for axis in (2, 1, 0):  # the slowest in memory first, so that the others are looked for in less
        others = tuple(other for other in range(3) if other != axis)
        inside = np.flatnonzero(brain_XYZ.any(axis=others))
        span = slice(max(0, int(inside[0]) - 1), int(inside[-1]) + 2)
        brain_XYZ = brain_XYZ[(slice(None),) * axis + (span,)]
        spans.append(span)
    return spans[2], spans[1], spans[0]


def _measure_intensities(
    data_XYZ: NDArray[Any], values: NDArray[Any], settings: VolumeSettings
) -> tuple[float, float, float, float]:
    """Return lower and upper clamp, median inside the brain, and its interquartile range over the median."""
    lower, upper = settings.clamp_percentiles
    low, first, median, third, high = percentiles(values, (lower, *_QUARTILES, upper))
    if settings.clamp_region == "volume":
        low, high = percentiles(data_XYZ.ravel(order="K"), settings.clamp_percentiles)
    if median <= 0:
        raise ScanRejected("negative-intensities", f"expected mostly positive intensities, got a median of {median:g}")
    if high <= max(low, 0.0):
        raise ScanRejected("no-contrast", f"expected a rising positive range of intensities, got {low:g} to {high:g}")
    return max(low, 0.0), high, median, (third - first) / median


def _checked_overlap(
    inside_XYZ: NDArray[np.bool_], source_from_mni_44: Matrix44, settings: VolumeSettings, smallest: float
) -> float:
    grid = settings.grid(OVERLAP_SIDE)
    on_grid = sample_mask(inside_XYZ, source_from_mni_44 @ grid.affine_44, grid)
    if not on_grid.any():
        raise ScanRejected("outside-grid", "the transform puts the brain outside the study's grid")
    overlap = template_overlap(on_grid, grid)
    if overlap < smallest:
        expected = f"expected an overlap with the template's brain of at least {smallest:g}, got {overlap:.2f}"
        raise ScanRejected("outside-template", f"{expected}; check the transform, or register with --register affine")
    return overlap


def _fractions(data_XYZ: NDArray[Any], inside_XYZ: NDArray[np.bool_], low: float, high: float) -> NDArray[np.float32]:
    """Return the brain, clamped, as fractions of the upper clamp; 0 outside."""
    fractions: NDArray[np.float32] = data_XYZ.astype(np.float32, order="F")
    np.clip(fractions, low, high, out=fractions)
    fractions /= high
    fractions *= inside_XYZ
    return fractions


def _in_c_order(volume_XYZ: NDArray[Any]) -> NDArray[Any]:
    """Return a volume of Fortran order in C order, by planes: what is transposed at a time stays in the cache."""
    ordered = np.empty(volume_XYZ.shape, volume_XYZ.dtype)
    for y in range(volume_XYZ.shape[1]):
        ordered[:, y] = volume_XYZ[:, y].copy(order="F")
    return ordered


def _moved(offset_voxels: list[int]) -> Matrix44:
    moved_44 = np.eye(4)
    moved_44[:3, 3] = offset_voxels
    return moved_44
