"""The numbers by which one volume is held against those that a model was trained on.

Terms
-----
sign        one number of one volume, by the names of `SIGNS`.
reduced     a volume in what its signs are computed from: a coarse copy, its histogram, and the signs that need no
            comparison.
pattern     what reduced volumes are compared with: the training participants' mean volume and mean histogram.
asymmetry   a volume's half of the difference from its mirror image in the x axis. That of one brain is mostly chance;
            along the mean asymmetry of many it is positive, in a brain that was mirrored negative.

All volumes lie on the model's grid with axes R, A, S, from 0, the background, to 1, the scan's upper clamp.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.volume.geometry import Grid, largest_divisor
from mmdata.volume.preprocess import as_fractions, block_mean

COARSEST_SIDE = 32
"""Volumes are compared with the mean at this side at most."""
BRAIN_ABOVE = 0.02
"""Intensities of the brain; what is darker is background and the brain's blurred edge."""
NUM_BINS = 64
"""Of the histogram, over 0 to 1."""
_TOP = 0.99
"""Quantile that a clamp moves: where 2 % of the brain is clamped, not 0.5 %, it is nearer to the clamp."""
_PATTERN_ABOVE = 0.1
"""Share of the mean volume's largest value above which a voxel is brain in nearly everybody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sign:
    """What one number tells."""

    about: str
    """In words, with its unit; its range follows."""
    least: float
    """Distance from the median that does no harm."""
    sides: tuple[str, ...] = ("low", "high")
    """At which ends there is a limit."""


SIGNS = {
    "likeness": Sign(about="likeness to the mean image (correlation; 1 is the same)", least=0.03, sides=("low",)),
    "tissue_likeness": Sign(
        about="likeness to the mean image inside the brain (correlation; 1 is the same, -1 the inverse)",
        least=0.05,
        sides=("low",),
    ),
    "histogram_distance": Sign(
        about="difference of the brightness from the mean image's (distance of histograms; 0 is none)",
        least=0.02,
        sides=("high",),
    ),
    "top_value": Sign(
        about="brightness from which the brightest 1 % of the brain begins (share of the largest intensity)",
        least=0.003,
    ),
    "roughness": Sign(about="difference between neighbouring voxels (share of the standard deviation)", least=0.02),
    "brain_ml": Sign(about="volume of the brain in ml", least=200.0),
    "centre_x_mm": Sign(about="centre of the brain, in mm from left to right,", least=3.0),
    "centre_y_mm": Sign(about="centre of the brain, in mm from back to front,", least=4.0),
    "centre_z_mm": Sign(about="centre of the brain, in mm from bottom to top,", least=4.0),
    "extent_x_mm": Sign(about="spread of the brain's voxels, in mm from left to right,", least=1.5),
    "extent_y_mm": Sign(about="spread of the brain's voxels, in mm from back to front,", least=1.5),
    "extent_z_mm": Sign(about="spread of the brain's voxels, in mm from bottom to top,", least=1.5),
    "edge_share": Sign(about="share of the brain at the border of the image", least=0.002, sides=("high",)),
}
"""Every sign of a volume by name; that of mirrored brains, `asymmetry`, is judged on its own."""
NUM_LIMITS = sum(len(sign.sides) for sign in SIGNS.values())
"""That one volume is held against."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reduced:
    """One volume in what its signs are computed from."""

    coarse_XYZ: NDArray[np.float32]
    """Block means, of a side of `COARSEST_SIDE` at most."""
    cdf_H: NDArray[np.float64]
    """Share of the brain's voxels that are not brighter than each bin's upper end."""
    own: Mapping[str, float]
    """Signs that need no comparison."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """What volumes are compared with."""

    mean_XYZ: NDArray[np.float32]
    cdf_H: NDArray[np.float64]


def coarse_side(side: int) -> int:
    """Return the side at which volumes of a side are compared."""
    return largest_divisor(side, COARSEST_SIDE)


def reduce_volume(volume_XYZ: NDArray[Any], grid: Grid) -> Reduced:
    """Return a volume in what its signs are computed from.

    Parameters
    ----------
    volume_XYZ
        Stored, or from 0 to 1; finite.
    grid
        The volume's.
    """
    fractions = as_fractions(volume_XYZ)
    brain_XYZ = fractions > BRAIN_ABOVE
    values = fractions[brain_XYZ]
    counts_H, _ = np.histogram(values, bins=NUM_BINS, range=(0.0, 1.0))
    own = _positions(brain_XYZ, grid)
    own |= {
        "top_value": float(np.quantile(values, _TOP)) if len(values) else 0.0,
        "roughness": _roughness(fractions, brain_XYZ, values),
    }
    return Reduced(
        coarse_XYZ=block_mean(fractions, grid.side // coarse_side(grid.side)),
        cdf_H=np.cumsum(counts_H) / max(1, len(values)),
        own=own,
    )


def signs_of(reduced: Reduced, pattern: Pattern) -> dict[str, float]:
    """Return every sign of a volume by name, NaN where it cannot be told."""
    inside_XYZ = (pattern.mean_XYZ > _PATTERN_ABOVE * pattern.mean_XYZ.max()) & (reduced.coarse_XYZ > BRAIN_ABOVE)
    return {
        **reduced.own,
        "likeness": correlate(reduced.coarse_XYZ, pattern.mean_XYZ),
        "tissue_likeness": correlate(reduced.coarse_XYZ[inside_XYZ], pattern.mean_XYZ[inside_XYZ]),
        "histogram_distance": float(np.mean(np.abs(reduced.cdf_H - pattern.cdf_H))),
    }


def asymmetry_of(coarse_XYZ: NDArray[np.float32], pattern: Pattern) -> float:
    """Return how far a volume's asymmetry goes along the training participants' mean one: 1 as far as theirs.

    Nearly 0 where these have none in common, and minus the value for a volume that was mirrored.
    """
    own, common = _antisymmetric(coarse_XYZ).ravel(), _antisymmetric(pattern.mean_XYZ).ravel()
    return float(own @ common) / (float(common @ common) or 1.0)


def correlate(values: NDArray[Any], others: NDArray[Any]) -> float:
    """Return the Pearson correlation of two arrays of one shape; NaN where one is constant."""
    first, second = (
        np.asarray(a, np.float64).ravel() - np.mean(a, dtype=np.float64) if np.size(a) else np.zeros(1)
        for a in (values, others)
    )
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / norm if norm > 0 else float("nan")


def _antisymmetric(volume_XYZ: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((volume_XYZ - volume_XYZ[::-1]) / 2, np.float32)


def _positions(brain_XYZ: NDArray[np.bool_], grid: Grid) -> dict[str, float]:
    """Return where the brain lies on the grid and how large it is."""
    num_voxels = int(np.count_nonzero(brain_XYZ))
    signs = {"brain_ml": num_voxels * grid.spacing_mm**3 / 1000}
    num_border = num_voxels - int(np.count_nonzero(brain_XYZ[1:-1, 1:-1, 1:-1]))
    signs["edge_share"] = num_border / max(1, num_voxels)
    for axis, name in enumerate("xyz"):
        marginal = brain_XYZ.sum(axis=tuple(other for other in range(3) if other != axis)) / max(1, num_voxels)
        mm = (np.arange(grid.side) - (grid.side - 1) / 2) * grid.spacing_mm + grid.centre_mm[axis]
        centre = float(marginal @ mm)
        signs[f"centre_{name}_mm"] = centre
        signs[f"extent_{name}_mm"] = float(np.sqrt(max(0.0, float(marginal @ mm**2) - centre**2)))
    return signs


def _roughness(fractions: NDArray[np.float32], brain_XYZ: NDArray[np.bool_], values: NDArray[np.float32]) -> float:
    """Return the root mean square difference of neighbours over the standard deviation, inside the brain."""
    spread = float(values.std()) if len(values) else 0.0
    squares = [_mean_square_step(np.moveaxis(fractions, axis, 0), np.moveaxis(brain_XYZ, axis, 0)) for axis in range(3)]
    return float(np.sqrt(np.mean(squares))) / spread if spread > 0 else float("nan")


def _mean_square_step(fractions: NDArray[np.float32], brain_XYZ: NDArray[np.bool_]) -> float:
    steps = (fractions[1:] - fractions[:-1])[brain_XYZ[1:] & brain_XYZ[:-1]]
    return float(np.mean(steps**2)) if len(steps) else float("nan")
