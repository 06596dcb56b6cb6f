"""The reference study's own folders, as its code would have written them, for whoever has everything.

Volumes lie on its grid (`mmdata.volume.reference_grid`) and are clamped, and their affine is the identity. Every fifth
participant is in ``TEST``. Each volume in ``TRAIN`` has augmented copies; those of all modalities of a participant
share their geometry. Tables hold features by the study's names and order, classes from 0 on, and no gaps. Repeat visits
are not written.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from mmdata.augment.apply import move_batch
from mmdata.augment.parameters import AugmentSettings
from mmdata.augment.recipe import draw_geometry
from mmdata.copies.threads import one_torch_thread
from mmdata.synth.anatomy import Map
from mmdata.synth.drawing import DrawnVisit
from mmdata.synth.faults.kinds import fault_in
from mmdata.synth.features import named_features
from mmdata.synth.participant import eid_of
from mmdata.synth.plan import GLASSER_FIELD, ReleasePlan
from mmdata.synth.table import draw_rows
from mmdata.synth.template_space import sample_at
from mmdata.synth.timeseries import PARCELLATIONS
from mmdata.volume.connectivity import correlate_regions
from mmdata.volume.reference_grid import REFERENCE_EXTENT_MM, REFERENCE_SIDES, reference_affine

NUM_COPIES = 2
COLUMNS = (
    *("sex", "age", "mood_swings", "miserableness", "irritability", "sensitivity", "fed_up", "nervous", "anxious"),
    *("tense", "worry", "lonely", "guilty", "neuroticism", "handedness", "smoking", "hypertension", "atopy", "asthma"),
    *("Hb", "haematocrit", "reaction_time", "weight", "bmi", "body_fat", "hba1c", "HDL", "LDL"),
)
"""Of the tables, behind ``biobank_id``: the 25 variables in their likely order, and three that its code drops."""
_IDENTITY_44 = np.eye(4)
_CLAMP_PERCENTILES = (0.5, 99.5)
_PARTICIPANTS_PER_TEST = 5
_CLASSES = {"handedness": {"1": "1", "2": "0", "3": "0"}, "smoking": {"0": "0", "1": "1", "2": "1"}}
"""Variables of which UK Biobank has more codes than classes: its code to the class."""


def split_of(index: int) -> str:
    """Return ``TRAIN`` or ``TEST`` for a participant's index."""
    return "TRAIN" if index % _PARTICIPANTS_PER_TEST else "TEST"


def prepare(root: Path, seed: int, plan: ReleasePlan) -> None:
    """Write in each split ``imaging_fmri_*.txt``, and ``.npy`` of zeros, shape (ids, regions, regions), float32."""
    num_regions = PARCELLATIONS["Glasser"].num_regions
    indices = [visit.index for visit in plan.visits if GLASSER_FIELD in visit.fields]
    for split in ("TRAIN", "TEST"):
        eids = sorted(eid_of(seed, index) for index in indices if split_of(index) == split)
        (root / split).mkdir()
        table = _table_path(root, split)
        table.with_suffix(".txt").write_text("".join(f"{eid}\n" for eid in eids), encoding="utf-8")
        shape = (len(eids), num_regions, num_regions)
        np.lib.format.open_memmap(table, mode="w+", dtype=np.float32, shape=shape).flush()


def write_visit(root: Path, drawn: DrawnVisit) -> None:
    """Write ``TRAIN|TEST/T1/EID_t1.nii.gz`` and so on, of dwi FA, augmented copies, and the visit's matrix."""
    split = split_of(drawn.visit.index)
    affine_44 = reference_affine(REFERENCE_SIDES[0])
    images = {
        modality: _clamped(sample_at(next(iter(scan.images.values())), scan.pose, affine_44, REFERENCE_SIDES[0]))
        for modality, scan in drawn.scans.items()
    }
    _write_images(root / split, drawn, images)
    for number in range(NUM_COPIES if split == "TRAIN" and images else 0):
        copies = _moved(images, drawn.seed, drawn.visit.index, number)
        _write_images(root / "AUGMENTATIONS" / "TRAIN" / str(number), drawn, copies)
    if GLASSER_FIELD in drawn.series:
        _write_matrix(_table_path(root, split), drawn)


def write_table(root: Path, seed: int, plan: ReleasePlan) -> int:
    """Write ``metadata_train.csv`` and ``metadata_test.csv``; return their rows."""
    index_of = {eid_of(seed, visit.index): visit.index for visit in plan.visits}
    rows = [(row.eid, _classes(named_features(row.cells))) for row in draw_rows(seed, plan) if row.has_imaging]
    typical = {name: _median(values[name] for _, values in rows) for name in COLUMNS}
    for split in ("TRAIN", "TEST"):
        of_split = [(eid, values) for eid, values in rows if split_of(index_of[eid]) == split]
        with (root / split / f"metadata_{split.lower()}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("", "biobank_id", *COLUMNS))
            for number, (eid, values) in enumerate(of_split):
                writer.writerow((number, eid, *(values[name] or typical[name] for name in COLUMNS)))
    return len(rows)


def _table_path(root: Path, split: str) -> Path:
    return root / split / f"imaging_fmri_{split.lower()}.npy"


def _clamped(image: Map) -> Map:
    low, high = np.percentile(image, _CLAMP_PERCENTILES).astype(np.float32)
    clamped: Map = np.clip(image, low, high)
    return clamped


def _moved(images: dict[str, Map], seed: int, index: int, number: int) -> dict[str, Map]:
    """Return one augmented copy of each image, all in the same geometry."""
    volumes = torch.from_numpy(np.stack(list(images.values())))[None]
    geometry = draw_geometry(AugmentSettings(probability=1.0), seed, f"reference-layout/{index}", number + 1)
    with one_torch_thread():
        return dict(zip(images, move_batch(volumes, [geometry], REFERENCE_EXTENT_MM)[0].numpy(), strict=True))


def _write_images(folder: Path, drawn: DrawnVisit, images: dict[str, Map]) -> None:
    for modality, image in images.items():
        path = folder / modality.upper() / f"{drawn.eid}_{modality}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(fault_in(drawn.visit, drawn.scans[modality].field).encode(image, _IDENTITY_44, np.float32))


def _write_matrix(table: Path, drawn: DrawnVisit) -> None:
    series_RT = drawn.series[GLASSER_FIELD]["Glasser"].astype(np.float64)
    edges, _ = correlate_regions(series_RT, fisher_z=False)
    matrix = np.eye(len(series_RT), dtype=np.float32)
    above = np.triu_indices(len(series_RT), 1)
    matrix[above] = edges
    matrix.T[above] = edges
    row = table.with_suffix(".txt").read_text(encoding="utf-8").split().index(str(drawn.eid))
    np.load(table, mmap_mode="r+")[row] = matrix


def _classes(values: dict[str, str]) -> dict[str, str]:
    return values | {name: classes.get(values[name], "") for name, classes in _CLASSES.items()}


def _median(values: Iterable[str]) -> str:
    known = sorted((value for value in values if value), key=float)
    return known[len(known) // 2] if known else "0"
