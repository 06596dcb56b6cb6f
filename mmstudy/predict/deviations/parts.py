"""Whether there is too little or too much of a brain: a half that is missing, skull that is left."""

import numpy as np
from numpy.typing import NDArray

from mmstudy.predict.deviation import Deviation
from mmstudy.predict.deviations.names import deviation

_HALVES = (("left", "right"), ("back", "front"), ("lower", "upper"))
"""By axis, first to last voxel of R, A, S."""
_LOST, _KEPT = 0.6, 0.8
"""A half that is covered less than the first share is missing where its opposite is covered more than the second."""
_TOO_SMALL = 0.8
"""Of the expected volume: what has more was moved, and has lost nothing."""


def find_missing_part(brain_XYZ: NDArray[np.bool_], expected_XYZ: NDArray[np.bool_]) -> str:
    """Return which half of a brain is not there, in words; empty where none is missing.

    Parameters
    ----------
    brain_XYZ
        Where the volume has brain, axes R, A, S.
    expected_XYZ
        Where nearly everybody has.
    """
    if np.count_nonzero(brain_XYZ) > _TOO_SMALL * np.count_nonzero(expected_XYZ):
        return ""
    for axis, names in enumerate(_HALVES):
        weight = expected_XYZ.sum(axis=tuple(other for other in range(3) if other != axis))
        middle = int(np.searchsorted(np.cumsum(weight), weight.sum() / 2))
        lower = (slice(None),) * axis + (slice(0, middle),)
        upper = (slice(None),) * axis + (slice(middle, None),)
        covered = [float(brain_XYZ[half][expected_XYZ[half]].mean()) for half in (lower, upper)]
        if min(covered) < _LOST and max(covered) > _KEPT:
            return names[int(np.argmin(covered))]
    return ""


def part_missing(modality: str, part: str) -> Deviation:
    """Return the mismatch of a brain without one half."""
    return deviation(
        "part-missing",
        modality,
        expected="a whole brain",
        got=f"one whose {part} half is missing",
        remedy="Look at the image: the field of view or a mask may have cut it off.",
    )


def unstripped(modality: str, got: str) -> Deviation:
    """Return the mismatch of a brain with something left around it."""
    return deviation(
        "not-skull-stripped",
        modality,
        expected="a brain without skull, scalp and eyes",
        got=got,
        remedy="Give a better brain mask, or another brain extractor.",
    )
