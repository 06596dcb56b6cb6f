"""Write the files of one visit.

Tasks carry a participant's index, never the eid, because Dask may log them.
"""

from dataclasses import dataclass
from pathlib import Path

from mmdata.synth.drawing import draw_visit
from mmdata.synth.layout import LAYOUTS, LayoutName
from mmdata.synth.plan import Visit
from mmdata.volume.geometry import Matrix44


@dataclass(frozen=True, kw_only=True, slots=True)
class VisitTask:
    """Write one visit."""

    visit: Visit
    seed: int
    voxel_mm: float
    layout: LayoutName
    root: Path
    """The release's folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VisitResult:
    """What was written: the maps from the two native worlds to MNI152, whether or not the scans exist."""

    visit: Visit
    mni_from_t1_44: Matrix44
    """Of the T1's and the FLAIR's native world."""
    mni_from_dwi_44: Matrix44


def write_visit(task: VisitTask) -> VisitResult:
    """Draw and write everything one visit has; equal tasks write equal bytes."""
    drawn = draw_visit(task.visit, task.seed, task.voxel_mm)
    LAYOUTS[task.layout].write_visit(task.root, drawn)
    return VisitResult(visit=task.visit, mni_from_t1_44=drawn.mni_from_t1_44, mni_from_dwi_44=drawn.mni_from_dwi_44)
