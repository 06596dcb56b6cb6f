"""Why a volume is unlike the training participants' mean: which change of it makes it alike.

A brain that is turned, that lies on another grid or off the centre is tried again after that change was undone. The
first cause whose undoing brings the volume most of the way to the mean has a name; where none does, none has.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmdata.volume.geometry import MNI152_BRAIN_CENTRE_MM, Grid
from mmdata.volume.reference_grid import REFERENCE_CENTRE_MM, REFERENCE_EXTENT_MM
from mmdata.volume.settings import VolumeSettings
from mmstudy.models.signs import correlate

_REMAINS = 0.5
"""A cause explains a volume where undoing it leaves at most this share of what the correlation lacks of 1."""
_SAME_MM = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """What may have happened to a volume."""

    name: str
    """Of the mismatch."""
    got: str
    """In words, to follow "but"."""
    undone_XYZ: NDArray[np.float32]
    """The volume as it would be without it."""


def explain(coarse_XYZ: NDArray[np.float32], mean_XYZ: NDArray[np.float32], grid: Grid) -> Cause | None:
    """Return the cause that makes a volume like the mean when it is undone, the best of all; None where none does.

    Parameters
    ----------
    coarse_XYZ, mean_XYZ
        On the model's grid, at one side.
    grid
        The model's, at that side.
    """
    missing = 1 - correlate(coarse_XYZ, mean_XYZ)
    causes = [*_turned(coarse_XYZ), *regridded(coarse_XYZ, grid), *_moved(coarse_XYZ, mean_XYZ, grid)]
    remains = [1 - correlate(cause.undone_XYZ, mean_XYZ) for cause in causes]
    best = int(np.argmin(np.nan_to_num(remains, nan=2.0)))
    return causes[best] if remains[best] <= _REMAINS * missing else None


def _turned(coarse_XYZ: NDArray[np.float32]) -> Iterator[Cause]:
    """Yield every exchange and reversal of axes but the reversal of x alone, which hardly changes a brain."""
    for axes, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        if axes == (0, 1, 2) and signs[1:] == (1, 1):
            continue
        undone_XYZ = coarse_XYZ.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
        yield Cause(
            name="wrong-orientation",
            got="it fits after its axes are turned or reversed",
            undone_XYZ=undone_XYZ,
        )


def regridded(coarse_XYZ: NDArray[np.float32], grid: Grid) -> Iterator[Cause]:
    """Yield the volume as if it lay on one of the other grids in use."""
    known = {
        "the grid of the published weights (182.9 mm)": (REFERENCE_EXTENT_MM, REFERENCE_CENTRE_MM),
        "mm's own grid (192 mm)": (VolumeSettings().extent_mm, MNI152_BRAIN_CENTRE_MM),
    }
    for words, (extent_mm, centre_mm) in known.items():
        if abs(extent_mm - grid.spacing_mm * grid.side) < _SAME_MM and np.allclose(centre_mm, grid.centre_mm, atol=0.1):
            continue
        other = Grid(side=grid.side, spacing_mm=extent_mm / grid.side, centre_mm=centre_mm)
        other_from_grid_44 = np.linalg.inv(other.affine_44) @ grid.affine_44
        undone_XYZ = ndimage.affine_transform(
            coarse_XYZ, other_from_grid_44[:3, :3], other_from_grid_44[:3, 3], order=1
        )
        yield Cause(name="other-grid", got=f"it fits as an image on {words}", undone_XYZ=undone_XYZ)


def _moved(coarse_XYZ: NDArray[np.float32], mean_XYZ: NDArray[np.float32], grid: Grid) -> Iterator[Cause]:
    """Yield the volume moved to where it is most like the mean."""
    spectrum = np.conj(np.fft.rfftn(coarse_XYZ - coarse_XYZ.mean())) * np.fft.rfftn(mean_XYZ - mean_XYZ.mean())
    likeness_XYZ = np.fft.irfftn(spectrum, s=coarse_XYZ.shape, axes=(0, 1, 2))
    peak = np.unravel_index(int(np.argmax(likeness_XYZ)), coarse_XYZ.shape)
    steps = [int(p) if p <= side // 2 else int(p) - side for p, side in zip(peak, coarse_XYZ.shape, strict=True)]
    if any(steps):
        distance_mm = float(np.linalg.norm(steps)) * grid.spacing_mm
        yield Cause(
            name="off-centre",
            got=f"it fits after it is moved by {distance_mm:.0f} mm",
            undone_XYZ=np.roll(coarse_XYZ, steps, axis=(0, 1, 2)),
        )
