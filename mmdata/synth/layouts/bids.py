"""BIDS derivatives, of three kinds of participants in turn.

brain           brain-extracted images, and an affine to MNI152
head            images of the whole head (``desc-preproc``), a brain mask for each grid, and an affine to MNI152
unregistered    brain-extracted images, and no affine

FLAIR lies on the T1w's grid (``space-T1w``) and shares the transform ``from-T1w``; diffusion maps have a grid and a
transform of their own. Participants with a fault are of the first kind. Scans that UK Biobank marks as unusable have no
derivatives.

Source: BIDS 1.9.0, derivatives; transforms as fMRIPrep names them, see `mmdata.synth.itk`.
"""

import csv
import json
from pathlib import Path

import numpy as np

from mmdata.sources.volume_files import VOLUME_FILES
from mmdata.synth.anatomy import Map
from mmdata.synth.drawing import DrawnScan, DrawnVisit, grid_of
from mmdata.synth.faults.kinds import fault_in
from mmdata.synth.head import with_head
from mmdata.synth.itk import itk_affine_text
from mmdata.synth.plan import ReleasePlan, Visit
from mmdata.synth.seeds import generator
from mmdata.synth.table import draw_rows
from mmdata.volume.nifti import encode_volume

TABLE_NAME = "participants.tsv"
KINDS = ("brain", "head", "unregistered")
_SEX = {"0": "F", "1": "M"}
_HANDEDNESS = {"1": "R", "2": "L", "3": "A"}
_DESCRIPTION = {
    "Name": "Synthetic brains",
    "BIDSVersion": "1.9.0",
    "DatasetType": "derivative",
    "GeneratedBy": [{"Name": "mm synth"}],
}


def kind_of(visit: Visit) -> str:
    """Return which of `KINDS` a visit's files are of."""
    return KINDS[0] if visit.fault else KINDS[visit.index % len(KINDS)]


def prepare(root: Path, seed: int, plan: ReleasePlan) -> None:
    """Write ``dataset_description.json`` and ``.bidsignore``."""
    (root / "dataset_description.json").write_text(json.dumps(_DESCRIPTION, indent=2) + "\n", encoding="utf-8")
    (root / ".bidsignore").write_text("*.parquet\nw*.csv\n", encoding="utf-8")


def write_visit(root: Path, drawn: DrawnVisit) -> None:
    """Write ``sub-EID/ses-INSTANCE/anat/``, ``dwi/`` and whichever else volumes have."""
    stem = f"sub-{drawn.eid}_ses-{drawn.visit.instance}"
    session = root / f"sub-{drawn.eid}" / f"ses-{drawn.visit.instance}"
    for modality, scan in drawn.scans.items():
        folder = session / VOLUME_FILES[modality].bids.datatype
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, content in _scan_files(drawn, modality, scan).items():
            (folder / f"{stem}_{suffix}").write_bytes(content)


def write_table(root: Path, seed: int, plan: ReleasePlan) -> int:
    """Write ``participants.tsv``: age at the imaging visit, sex, handedness, of everyone with imaging."""
    rows = [
        {
            "participant_id": f"sub-{row.eid}",
            "age": row.cells["21003-2.0"],
            "sex": _SEX[row.cells["31-0.0"]],
            "handedness": _HANDEDNESS.get(row.cells["1707-2.0"], "n/a"),
        }
        for row in draw_rows(seed, plan)
        if row.has_imaging
    ]
    with (root / TABLE_NAME).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def _scan_files(drawn: DrawnVisit, modality: str, scan: DrawnScan) -> dict[str, bytes]:
    """Return a scan's files by the part of their name behind participant and session."""
    kind, affine_44 = kind_of(drawn.visit), scan.pose.affine_44
    encode, grid = fault_in(drawn.visit, scan.field).encode, grid_of(modality)
    own_space = VOLUME_FILES[grid].bids.suffix
    space = "" if grid == modality else f"space-{own_space}_"
    files = {}
    for name, brain in scan.images.items():
        image = _with_head(drawn, scan, brain, name) if kind == "head" else brain
        files[space + _image_suffix(modality, name, kind)] = encode(image, affine_44, scan.dtype)
    if kind == "head":
        files[f"{space}desc-brain_mask.nii.gz"] = encode_volume(scan.is_brain, affine_44, np.uint8)
    if kind != "unregistered":
        name = f"from-{own_space}_to-MNI152NLin6Asym_mode-image_xfm.txt"
        files[name] = itk_affine_text(scan.pose.mni_from_native_44)
    return files


def _image_suffix(modality: str, name: str, kind: str) -> str:
    files = VOLUME_FILES[modality]
    if files.has_maps:
        return f"model-tensor_param-{name}_dwimap.nii.gz"
    return f"desc-{'preproc' if kind == 'head' else 'brain'}_{files.bids.suffix}.nii.gz"


def _with_head(drawn: DrawnVisit, scan: DrawnScan, brain: Map, name: str) -> Map:
    rng = generator(drawn.seed, "head", name, drawn.visit.index, drawn.visit.instance)
    return with_head(brain, scan.is_brain, scan.pose.affine_44, rng)
