"""From a native volume to the study's grid: clamp, resample once, average to coarser levels, quantise.

The whole way is one affine, source voxel from grid voxel, so a volume is interpolated once.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.errors import ScanRejected
from mmdata.geometry import Matrix44
from mmdata.nifti import Volume
from mmdata.resample import resample_to_grid
from mmdata.study import VolumeSettings


@dataclass(frozen=True, slots=True)
class PreprocessedVolume:
    """One volume at every resolution level, as it is stored."""

    levels: dict[int, NDArray[Any]]
    """Side to volume (side, side, side), axes R, A, S."""
    measures: dict[str, float]
    """Clamps in the scan's own unit, brain volume in ml, share of non-zero voxels."""


def preprocess_volume(volume: Volume, mni_from_native_44: Matrix44, settings: VolumeSettings) -> PreprocessedVolume:
    """Bring a skull-stripped volume onto the study's grid.

    Raises
    ------
    ScanRejected
        ``empty``, ``not-skull-stripped``, ``no-contrast`` or ``outside-grid``.
    """
    brain = volume.data_XYZ != 0
    nonzero_share = _checked_nonzero_share(brain, settings.max_nonzero_share)
    low, high = _clamp_bounds(volume.data_XYZ, brain, settings)
    box = _bounding_box(brain)
    clamped = np.clip(volume.data_XYZ[box], low, high).astype(np.float32, copy=False) * brain[box]
    cropped_from_source = np.eye(4)
    cropped_from_source[:3, 3] = [-axis.start for axis in box]
    grid = settings.grid(settings.sides[0])
    source_from_grid_44 = np.linalg.inv(mni_from_native_44 @ volume.affine_44) @ grid.affine_44
    finest = resample_to_grid(clamped, cropped_from_source @ source_from_grid_44, grid) / np.float32(high)
    if not finest.any():
        raise ScanRejected("outside-grid", "the transform puts the brain outside the study's grid")
    brain_ml = float(brain.sum() * abs(np.linalg.det(volume.affine_44)) / 1000)
    measures = {"clamp_low": low, "clamp_high": high, "nonzero_share": nonzero_share, "brain_ml": brain_ml}
    return PreprocessedVolume(_levels(quantise(finest, settings.dtype), settings.sides), measures)


def quantise(fractions: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """Turn fractions 0 to 1 into the stored number type, integers over their whole range.

    >>> quantise(np.array([0.0, 0.5, 1.0], np.float32), "uint8").tolist()
    [0, 128, 255]
    """
    stored = np.dtype(dtype)
    if stored.kind == "f":
        return fractions.astype(stored)
    return np.rint(fractions * np.iinfo(stored).max).astype(stored)


def block_mean(volume_XYZ: NDArray[Any], factor: int) -> NDArray[Any]:
    """Average blocks of factor³ voxels; integers round half up."""
    x, y, z = (size // factor for size in volume_XYZ.shape)
    blocks = volume_XYZ.reshape(x, factor, y, factor, z, factor)
    if volume_XYZ.dtype.kind == "f":
        mean: NDArray[np.float32] = blocks.mean(axis=(1, 3, 5), dtype=np.float32)
        return mean.astype(volume_XYZ.dtype)
    total: NDArray[np.uint64] = blocks.sum(axis=(1, 3, 5), dtype=np.uint64)
    return ((total + factor**3 // 2) // factor**3).astype(volume_XYZ.dtype)


def _levels(finest: NDArray[Any], sides: tuple[int, ...]) -> dict[int, NDArray[Any]]:
    levels = {sides[0]: finest}
    for fine, coarse in pairwise(sides):
        levels[coarse] = block_mean(levels[fine], fine // coarse)
    return levels


def _checked_nonzero_share(brain: NDArray[np.bool_], limit: float) -> float:
    share = float(brain.mean())
    if share == 0:
        raise ScanRejected("empty", "every voxel is zero")
    if share > limit:
        raise ScanRejected(
            "not-skull-stripped",
            f"expected at most {limit:.0%} non-zero voxels in a brain-extracted image, got {share:.0%}",
        )
    return share


def _clamp_bounds(data_XYZ: NDArray[Any], brain: NDArray[np.bool_], settings: VolumeSettings) -> tuple[float, float]:
    values = data_XYZ.ravel(order="F")
    if settings.clamp_region == "brain":
        values = values[brain.ravel(order="F")]
    low, high = (float(bound) for bound in np.percentile(values, settings.clamp_percentiles))
    if high <= max(low, 0.0):
        raise ScanRejected("no-contrast", f"expected a rising positive range of intensities, got {low:g} to {high:g}")
    return max(low, 0.0), high


def _bounding_box(brain: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """Return the brain's box with a voxel of background around it, so that its edge is interpolated towards 0."""
    spans = []
    for axis in range(3):
        inside = np.flatnonzero(brain.any(axis=tuple(other for other in range(3) if other != axis)))
        spans.append(slice(max(0, int(inside[0]) - 1), int(inside[-1]) + 2))
    return spans[0], spans[1], spans[2]
