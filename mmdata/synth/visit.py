"""Write the bulk files of one visit.

Tasks carry a participant's index, never the eid, because Dask may log them.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmdata.flirt import flirt_from_world
from mmdata.geometry import Matrix44
from mmdata.nifti import encode_volume
from mmdata.synth import contrast, timeseries
from mmdata.synth.anatomy import Map, Template, Tissue, draw_field, load_template, sample_tissue
from mmdata.synth.archive import write_zip
from mmdata.synth.landmarks import with_cysts
from mmdata.synth.participant import Brain, Participant, brain_at, draw_participant
from mmdata.synth.plan import DWI_FIELD, EDGES_FIELD, FLAIR_FIELD, GLASSER_FIELD, T1_FIELD, Visit
from mmdata.synth.pose import Pose, draw_pose
from mmdata.synth.seeds import generator

DWI_SMALLEST_VOXEL_MM = 2.0
_REPEAT_YEARS = (2.0, 4.0)
_KEPT_WHEN_TRUNCATED = 0.6


@dataclass(frozen=True, kw_only=True, slots=True)
class VisitTask:
    """Write one visit."""

    visit: Visit
    seed: int
    voxel_mm: float
    bulk: Path
    """The folder the files go to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VisitResult:
    """What was written: the maps from the two native worlds to MNI152, whether or not the scans exist."""

    visit: Visit
    mni_from_t1_44: Matrix44
    """Of the T1's and the FLAIR's native world."""
    mni_from_dwi_44: Matrix44


def age_at(seed: int, participant: Participant, instance: int) -> float:
    """Return a participant's age in years at an assessment: 0 recruitment, 1 between, 2 imaging, 3 repeat imaging."""
    if instance == 0:
        return participant.recruitment_age_years
    if instance == 1:
        return participant.recruitment_age_years + 4.0
    if instance == 2:
        return participant.age_years
    return participant.age_years + float(generator(seed, "repeat", participant.index).uniform(*_REPEAT_YEARS))


def write_visit(task: VisitTask) -> VisitResult:
    """Draw and write everything one visit has; equal tasks write equal bytes."""
    visit, seed = task.visit, task.seed
    participant = draw_participant(seed, visit.index)
    brain = brain_at(participant, age_at(seed, participant, visit.instance))
    template = load_template(task.voxel_mm)
    t1_pose = draw_pose(_stream(task, "t1-pose"), participant, template.brain_points_N3, task.voxel_mm)
    dwi_voxel_mm = max(DWI_SMALLEST_VOXEL_MM, task.voxel_mm)
    dwi_pose = draw_pose(_stream(task, "dwi-pose"), participant, template.brain_points_N3, dwi_voxel_mm)
    field_XYZ3 = draw_field(generator(seed, "deformation", visit.index), template, brain)
    if T1_FIELD in visit.fields or FLAIR_FIELD in visit.fields:
        tissue = _tissue(template, field_XYZ3, brain, t1_pose, visit)
        if T1_FIELD in visit.fields:
            _write_t1(task, participant, brain, tissue, t1_pose)
        if FLAIR_FIELD in visit.fields:
            _write_flair(task, participant, brain, tissue, t1_pose)
    if DWI_FIELD in visit.fields:
        tissue = _tissue(load_template(dwi_voxel_mm), field_XYZ3, brain, dwi_pose, visit)
        _write_dwi(task, participant, brain, tissue, dwi_pose)
    _write_connectivity(task, participant, brain)
    return VisitResult(
        visit=visit, mni_from_t1_44=t1_pose.mni_from_native_44, mni_from_dwi_44=dwi_pose.mni_from_native_44
    )


def _stream(task: VisitTask, what: str) -> np.random.Generator:
    return generator(task.seed, what, task.visit.index, task.visit.instance)


def _path(task: VisitTask, participant: Participant, field: str, suffix: str) -> Path:
    return task.bulk / f"{participant.eid}_{field}_{task.visit.instance}_0{suffix}"


def _tissue(template: Template, field_XYZ3: Map, brain: Brain, pose: Pose, visit: Visit) -> Tissue:
    tissue = sample_tissue(template, field_XYZ3, brain, pose)
    return with_cysts(tissue) if visit.is_phantom else tissue


def _write_t1(task: VisitTask, participant: Participant, brain: Brain, tissue: Tissue, pose: Pose) -> None:
    rng = _stream(task, "t1")
    image = _structural(contrast.t1_contrast(tissue, brain, rng), contrast.T1, tissue, pose.affine_44, rng)
    if task.visit.t1_defect == "truncated":
        image = image[: int(len(image) * _KEPT_WHEN_TRUNCATED)]
    folder = "T1/unusable" if task.visit.t1_defect == "unusable" else "T1"
    members = {
        f"{folder}/T1_unbiased_brain.nii.gz": image,
        f"{folder}/T1_brain_mask.nii.gz": encode_volume(tissue.is_brain, pose.affine_44, np.uint8),
        f"{folder}/transforms/T1_to_MNI_linear.mat": _flirt_text(pose),
    }
    write_zip(_path(task, participant, T1_FIELD, ".zip"), members)


def _write_flair(task: VisitTask, participant: Participant, brain: Brain, tissue: Tissue, pose: Pose) -> None:
    rng = _stream(task, "flair")
    image = _structural(contrast.flair_contrast(tissue, brain, rng), contrast.FLAIR, tissue, pose.affine_44, rng)
    members = {"T2_FLAIR/T2_FLAIR_unbiased_brain.nii.gz": image}
    if task.visit.flair_has_matrix:
        members["T2_FLAIR/transforms/T2_FLAIR_to_MNI_linear.mat"] = _flirt_text(pose)
    write_zip(_path(task, participant, FLAIR_FIELD, ".zip"), members)


def _structural(
    contrast_P: Map, acquisition: contrast.Acquisition, tissue: Tissue, affine_44: Matrix44, rng: np.random.Generator
) -> bytes:
    """Return a T1 or FLAIR file: int16 for one half of the scans, float32 for the other."""
    is_int16 = rng.random() < 0.5
    image = contrast.acquire(contrast_P, tissue, acquisition, rng)
    if is_int16:
        image = np.where(tissue.is_brain, np.maximum(image, 1), 0)
    return encode_volume(image, affine_44, np.int16 if is_int16 else np.float32)


def _write_dwi(task: VisitTask, participant: Participant, brain: Brain, tissue: Tissue, pose: Pose) -> None:
    rng = _stream(task, "dwi")
    fa = contrast.acquire(contrast.fa_contrast(tissue, brain, rng), tissue, contrast.FA, rng)
    md = contrast.acquire(contrast.md_contrast(tissue, brain, rng), tissue, contrast.MD, rng)
    members = {
        "dMRI/dMRI/dti_FA.nii.gz": encode_volume(fa, pose.affine_44, np.float32),
        "dMRI/dMRI/dti_MD.nii.gz": encode_volume(md, pose.affine_44, np.float32),
        "dMRI/TBSS/FA/dti_FA_to_MNI_affine.mat": _flirt_text(pose),
    }
    write_zip(_path(task, participant, DWI_FIELD, ".zip"), members)


def _write_connectivity(task: VisitTask, participant: Participant, brain: Brain) -> None:
    if GLASSER_FIELD in task.visit.fields:
        series_RT = timeseries.draw_series(_stream(task, "glasser"), task.seed, brain)
        members = {"fMRI.Glasser.csv.gz": gzip.compress(timeseries.series_csv(series_RT), compresslevel=1, mtime=0)}
        write_zip(_path(task, participant, GLASSER_FIELD, ".zip"), members)
    if EDGES_FIELD in task.visit.fields:
        edges_E = timeseries.draw_edges(_stream(task, "edges"), task.seed, brain)
        _path(task, participant, EDGES_FIELD, ".txt").write_bytes(timeseries.edges_txt(edges_E))


def _flirt_text(pose: Pose) -> bytes:
    """Return a ``.mat`` file as FLIRT writes it."""
    flirt_44 = flirt_from_world(pose.mni_from_native_44, pose.frame)
    return "".join("  ".join(f"{value:.10f}" for value in row) + "  \n" for row in flirt_44.tolist()).encode()
