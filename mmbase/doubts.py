"""Scans that are probably not what their file's name says, by what was measured of them: told, never rejected.

Each bound is where the measure changes its meaning: most neighbours alike, white matter no brighter than grey.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """A range of one measure in which the scans of a modality lie, and what one beyond it probably is."""

    code: str
    """In kebab-case."""
    modalities: tuple[str, ...]
    measure: str
    """Of `mmbase.records.MEASURES`."""
    lowest: float = -math.inf
    highest: float = math.inf
    suspicion: str
    """What such scans are, to follow "look like"."""


DOUBTS = (
    Doubt(
        code="label-maps",
        modalities=("t1", "flair", "dwi"),
        measure="flat_share",
        highest=0.6,
        suspicion="maps of labels: most of their voxels are exactly like their neighbour",
    ),
    Doubt(
        code="other-contrast",
        modalities=("t1",),
        measure="white_over_grey",
        lowest=1.0,
        suspicion="another contrast, such as T2 or FLAIR: white matter is no brighter than grey",
    ),
    Doubt(
        code="other-contrast",
        modalities=("flair",),
        measure="white_over_grey",
        highest=1.2,
        suspicion="another contrast, such as T1: white matter is much brighter than grey",
    ),
)
"""What is looked for."""
