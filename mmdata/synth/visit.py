"""Write the files of one visit.

Tasks carry a participant's index, never the eid, because Dask may log them.
"""

from collections.abc import Mapping
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
    """What was written."""

    visit: Visit
    mni_from_native: Mapping[str, Matrix44]
    """Volume modality to the map from its native world to MNI152's, whether or not there is such a scan."""


def write_visit(task: VisitTask) -> VisitResult:
    """Draw and write everything one visit has; equal tasks write equal bytes."""
    drawn = draw_visit(task.visit, task.seed, task.voxel_mm)
    LAYOUTS[task.layout].write_visit(task.root, drawn)
    maps = {modality: pose.mni_from_native_44 for modality, pose in drawn.poses.items()}
    return VisitResult(visit=task.visit, mni_from_native=maps)
