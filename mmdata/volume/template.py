"""The MNI152 brain that scans are compared with: ICBM 152 nonlinear symmetric 2009, as nilearn ships it at 1 mm.

FSL's MNI152, to which UK Biobank's matrices lead, is the older average of the sixth generation: close, not the same.
nilearn is imported where it is needed: it takes seconds, and most of what imports this module needs no template.

Source: Fonov et al. 2011, NeuroImage 54(1), https://doi.org/10.1016/j.neuroimage.2010.07.033.
"""

from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.volume.geometry import Grid
from mmdata.volume.nifti import Volume
from mmdata.volume.resample import resample_to_grid

_WHITE_ABOVE = 0.85
_GREY_RANGE = (0.5, 0.7)
"""Intensities of the template at which tissue is white and grey matter."""
_MIN_OF_TISSUE = 100
"""Voxels."""
_BRAIN_THRESHOLD = 0.2
"""Darker voxels of the template are not brain, by nilearn's own definition of its mask."""


@cache
def template_brain() -> Volume:
    """Return the brain-extracted T1 template at 1 mm: float32, 0 to 1, background 0, MNI152 world, read-only."""
    from nilearn.datasets import load_mni152_template

    template = load_mni152_template(resolution=1)
    data_XYZ = np.asarray(template.dataobj, np.float32)
    brain_XYZ = data_XYZ * (data_XYZ > _BRAIN_THRESHOLD)
    brain_XYZ.flags.writeable = False
    return Volume(brain_XYZ, np.asarray(template.affine, np.float64))


@lru_cache(maxsize=8)
def template_on_grid(grid: Grid) -> NDArray[np.float32]:
    """Return the template's brain on a grid: 0 to 1, background 0, read-only, shape (side, side, side)."""
    brain = template_brain()
    on_grid: NDArray[np.float32] = resample_to_grid(
        brain.data_XYZ, np.linalg.inv(brain.affine_44) @ grid.affine_44, grid
    )
    on_grid.flags.writeable = False
    return on_grid


@lru_cache(maxsize=8)
def template_mask(grid: Grid) -> NDArray[np.bool_]:
    """Return which voxels of a grid lie in the template's brain: read-only, shape (side, side, side)."""
    brain = template_brain()
    source_from_grid_44 = np.linalg.inv(brain.affine_44) @ grid.affine_44
    inside: NDArray[np.bool_] = (
        resample_to_grid((brain.data_XYZ > 0).astype(np.float32), source_from_grid_44, grid) >= 0.5
    )
    inside.flags.writeable = False
    return inside


def template_overlap(brain: NDArray[np.bool_], grid: Grid) -> float:
    """Return the Dice coefficient of a brain mask on a grid with the template's: 1 where they agree, 0 where apart.

    It tells a brain in another position, hardly one that is turned: heads are round.

    Parameters
    ----------
    brain
        Shape (side, side, side), axes R, A, S.
    """
    template = template_mask(grid)
    num_both, num_each = int((brain & template).sum()), int(brain.sum()) + int(template.sum())
    return 2.0 * num_both / max(1, num_each)


def white_over_grey(volume: NDArray[Any], grid: Grid) -> float | None:
    """Return the median of a volume's white matter over the upper quartile of its grey, by the template's tissue.

    It is above 1 in a T1 and below in a T2 or FLAIR. Where the template has grey matter a person has fluid too, dark in
    a T1 and bright in a T2: the upper quartile is grey matter in the one and fluid in the other. None where the grid is
    too coarse to say.

    Parameters
    ----------
    volume
        Shape (side, side, side), axes R, A, S; background 0.
    """
    template = template_on_grid(grid)
    white = volume[(template > _WHITE_ABOVE) & (volume > 0)]
    grey = volume[(template > _GREY_RANGE[0]) & (template < _GREY_RANGE[1]) & (volume > 0)]
    if min(len(white), len(grey)) < _MIN_OF_TISSUE:
        return None
    return float(np.median(white)) / float(np.percentile(grey, 75))
