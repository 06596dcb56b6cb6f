"""The reference study's own folder: images on one grid in MNI152 space, one table of edges, one table of features.

Every fourth participant is for testing. Repeat visits are not written.
"""

import csv
from pathlib import Path

import numpy as np

from mmdata.synth.drawing import DrawnVisit
from mmdata.synth.faults.kinds import fault_in
from mmdata.synth.features import named_features
from mmdata.synth.participant import eid_of
from mmdata.synth.plan import GLASSER_FIELD, ReleasePlan, Visit
from mmdata.synth.table import draw_rows
from mmdata.synth.template_space import sample_on_grid
from mmdata.synth.timeseries import PARCELLATIONS
from mmdata.volume.connectivity import correlate_regions
from mmdata.volume.geometry import MNI152_BRAIN_CENTRE_MM, Grid

TABLE_NAME, EDGES_NAME, IDS_NAME = "metadata.csv", "connectivity.npy", "connectivity_ids.txt"
GRID = Grid(side=128, spacing_mm=1.5, centre_mm=MNI152_BRAIN_CENTRE_MM)
_PARTICIPANTS_PER_TEST = 4


def split_of(visit: Visit) -> str:
    """Return ``TRAIN`` or ``TEST``."""
    return "TRAIN" if visit.index % _PARTICIPANTS_PER_TEST else "TEST"


def prepare(root: Path, seed: int, plan: ReleasePlan) -> None:
    """Write ``connectivity_ids.txt`` and a ``connectivity.npy`` of zeros, shape (ids, edges), float32."""
    eids = sorted(eid_of(seed, visit.index) for visit in plan.visits if GLASSER_FIELD in visit.fields)
    (root / IDS_NAME).write_text("".join(f"{eid}\n" for eid in eids), encoding="utf-8")
    num_regions = PARCELLATIONS["Glasser"].num_regions
    shape = (len(eids), num_regions * (num_regions - 1) // 2)
    np.lib.format.open_memmap(root / EDGES_NAME, mode="w+", dtype=np.float32, shape=shape).flush()


def write_visit(root: Path, drawn: DrawnVisit) -> None:
    """Write ``TRAIN|TEST/T1/EID_t1.nii.gz`` and so on, of dwi FA, and the visit's row of ``connectivity.npy``."""
    for modality, scan in drawn.scans.items():
        path = root / split_of(drawn.visit) / modality.upper() / f"{drawn.eid}_{modality}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        first = next(iter(scan.images.values()))
        image = sample_on_grid(first, scan.pose, GRID)
        path.write_bytes(fault_in(drawn.visit, scan.field).encode(image, GRID.affine_44, np.float32))
    if GLASSER_FIELD in drawn.series:
        series_RT = drawn.series[GLASSER_FIELD]["Glasser"].astype(np.float64)
        edges, _ = correlate_regions(series_RT, fisher_z=False)
        row = (root / IDS_NAME).read_text().split().index(str(drawn.eid))
        np.load(root / EDGES_NAME, mmap_mode="r+")[row] = edges


def write_table(root: Path, seed: int, plan: ReleasePlan) -> int:
    """Write ``metadata.csv``: eid and features by name, of everyone with imaging."""
    rows = [{"eid": str(row.eid)} | named_features(row.cells) for row in draw_rows(seed, plan) if row.has_imaging]
    with (root / TABLE_NAME).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)
