"""What can be told of a volume without any training participant: whether a brain lies where MNI152's does.

Used where a model's training participants are not described, as with published weights. Left and right cannot be told
apart so: the template is symmetric.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.volume.geometry import Grid
from mmdata.volume.preprocess import as_fractions, block_mean
from mmdata.volume.template import template_mask, template_overlap
from mmstudy.models.signs import BRAIN_ABOVE, coarse_side
from mmstudy.predict.deviation import Deviation
from mmstudy.predict.deviations.explanation import Cause, explain, regridded
from mmstudy.predict.deviations.names import deviation
from mmstudy.predict.deviations.parts import find_missing_part, part_missing, unstripped

MIN_OVERLAP = 0.85
"""Dice overlap with the template's brain; good synthetic scans have 0.93 and more, an ingest refuses below 0.6."""
_INSIDE = 0.5
_BETTER, _GOOD = 0.02, 0.9
"""By how much a brain overlaps the template's more on the grid that it really lies on, and how much it does there."""
MAX_VOLUME = 1.25
"""Times the template's brain; good synthetic scans have 1.19 at most, one with 5 mm around it 1.31."""


def find_template_deviations(modality: str, volume_XYZ: NDArray[Any], grid: Grid) -> list[Deviation]:
    """Return whether the brain on a grid lies where the MNI152 brain does, as one brain."""
    side = coarse_side(grid.side)
    coarse_grid = Grid(side=side, spacing_mm=grid.spacing_mm * grid.side / side, centre_mm=grid.centre_mm)
    coarse_XYZ = block_mean(as_fractions(volume_XYZ), grid.side // side)
    brain_XYZ, template_XYZ = coarse_XYZ > BRAIN_ABOVE, template_mask(coarse_grid)
    if part := find_missing_part(brain_XYZ, template_XYZ):
        return [part_missing(modality, part)]
    overlap = template_overlap(brain_XYZ, coarse_grid)
    for cause in regridded(brain_XYZ.astype(np.float32), coarse_grid):
        if template_overlap(cause.undone_XYZ > _INSIDE, coarse_grid) > max(_GOOD, overlap + _BETTER):
            return [_misplaced(modality, overlap, cause)]
    if (ratio := float(brain_XYZ.sum()) / float(template_XYZ.sum())) > MAX_VOLUME:
        return [unstripped(modality, f"{ratio:.2f} times the volume of the MNI152 brain")]
    if overlap >= MIN_OVERLAP:
        return []
    return [
        _misplaced(
            modality, overlap, explain(brain_XYZ.astype(np.float32), template_XYZ.astype(np.float32), coarse_grid)
        )
    ]


def _misplaced(modality: str, overlap: float, cause: Cause | None) -> Deviation:
    return deviation(
        cause.name if cause else "outside-template",
        modality,
        expected=f"an overlap with the standard brain (1: complete) of {MIN_OVERLAP:g} or more, and no better one on "
        "another grid",
        got=f"{overlap:.2f}, but {cause.got}" if cause else f"{overlap:.2f}",
        remedy="Check the transform to MNI152, the image's orientation and its grid.",
    )
