"""Draw one visit: the images, time series and edges that its files are made of, whatever files those will be.

Every stream of random numbers belongs to one thing of one visit, so that what else is drawn changes nothing.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mmdata.synth import contrast, microstructure, timeseries
from mmdata.synth.anatomy import Map, Template, Tissue, draw_field, load_template, sample_tissue
from mmdata.synth.landmarks import with_cysts
from mmdata.synth.participant import Brain, Participant, age_at, brain_at, draw_participant, eid_of
from mmdata.synth.plan import DWI_FIELD, FLAIR_FIELD, T1_FIELD, Visit
from mmdata.synth.pose import Pose, draw_pose
from mmdata.synth.seeds import generator
from mmdata.volume.geometry import Matrix44

DWI_SMALLEST_VOXEL_MM = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnScan:
    """One modality's brain-extracted images on their native grid."""

    field: str
    """UK Biobank's."""
    images: dict[str, Map]
    """Name to image of the pose's shape, 0 outside the brain: ``T1``, ``FLAIR``, or a diffusion map's name."""
    is_brain: NDArray[np.bool_]
    pose: Pose
    dtype: DTypeLike
    """What files hold: images are rounded where it is an integer type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnVisit:
    """Everything a layout may write of one visit."""

    visit: Visit
    seed: int
    """The release's."""
    eid: int = field(repr=False)
    scans: dict[str, DrawnScan]
    """By modality: ``t1``, ``flair``, ``dwi``."""
    series: dict[str, dict[str, NDArray[np.float32]]]
    """Field to parcellation to time series, shape (regions, timepoints)."""
    edges: dict[str, NDArray[np.float64]]
    """Field to edges, upper triangle column by column."""
    mni_from_t1_44: Matrix44
    """Of the T1's and the FLAIR's native world, whether or not there are such scans."""
    mni_from_dwi_44: Matrix44


@dataclass(frozen=True, kw_only=True, slots=True)
class _Structural:
    """One kind of structural image."""

    field: str
    name: str
    contrast_of: contrast.ContrastFunction
    acquisition: contrast.Acquisition


_STRUCTURAL = {
    "t1": _Structural(field=T1_FIELD, name="T1", contrast_of=contrast.t1_contrast, acquisition=contrast.T1),
    "flair": _Structural(
        field=FLAIR_FIELD, name="FLAIR", contrast_of=contrast.flair_contrast, acquisition=contrast.FLAIR
    ),
}
"""By modality, which is also the name of their random numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sitter:
    """Who is scanned, and how."""

    visit: Visit
    seed: int
    voxel_mm: float
    participant: Participant
    brain: Brain

    def stream(self, what: str) -> np.random.Generator:
        return generator(self.seed, what, self.visit.drawn_index, self.visit.instance)

    def pose(self, what: str, voxel_mm: float) -> Pose:
        return draw_pose(self.stream(what), self.participant, load_template(self.voxel_mm).brain_points_N3, voxel_mm)


def draw_visit(visit: Visit, seed: int, voxel_mm: float) -> DrawnVisit:
    """Draw everything one visit has; equal arguments give equal arrays."""
    participant = draw_participant(seed, visit.drawn_index)
    brain = brain_at(participant, age_at(seed, participant, visit.instance))
    sitter = _Sitter(visit=visit, seed=seed, voxel_mm=voxel_mm, participant=participant, brain=brain)
    t1_pose = sitter.pose("t1-pose", voxel_mm)
    dwi_voxel_mm = max(DWI_SMALLEST_VOXEL_MM, voxel_mm)
    dwi_pose = sitter.pose("dwi-pose", dwi_voxel_mm)
    return DrawnVisit(
        visit=visit,
        seed=seed,
        eid=eid_of(seed, visit.index),
        scans=_draw_scans(sitter, t1_pose, dwi_pose, load_template(dwi_voxel_mm)),
        series=_draw_series(sitter),
        edges=_draw_edges(sitter),
        mni_from_t1_44=t1_pose.mni_from_native_44,
        mni_from_dwi_44=dwi_pose.mni_from_native_44,
    )


def _draw_scans(sitter: _Sitter, t1_pose: Pose, dwi_pose: Pose, dwi_template: Template) -> dict[str, DrawnScan]:
    fields, brain = sitter.visit.fields, sitter.brain
    template = load_template(sitter.voxel_mm)
    field_XYZ3 = draw_field(generator(sitter.seed, "deformation", sitter.visit.drawn_index), template, brain)
    scans = {}
    if T1_FIELD in fields or FLAIR_FIELD in fields:
        tissue = _draw_tissue(sitter, template, field_XYZ3, t1_pose)
        for modality, kind in _STRUCTURAL.items():
            if kind.field in fields:
                scans[modality] = _draw_structural(sitter.stream(modality), kind, tissue, brain, t1_pose)
    if DWI_FIELD in fields:
        scans["dwi"] = _draw_diffusion(sitter, _draw_tissue(sitter, dwi_template, field_XYZ3, dwi_pose), dwi_pose)
    return scans


def _draw_tissue(sitter: _Sitter, template: Template, field_XYZ3: Map, pose: Pose) -> Tissue:
    tissue = sample_tissue(template, field_XYZ3, sitter.brain, pose)
    return with_cysts(tissue) if sitter.visit.is_phantom else tissue


def _draw_structural(
    rng: np.random.Generator, kind: _Structural, tissue: Tissue, brain: Brain, pose: Pose
) -> DrawnScan:
    """Return a T1 or FLAIR: int16 for one half of the scans, float32 for the other."""
    contrast_P = kind.contrast_of(tissue, brain, rng)
    is_int16 = rng.random() < 0.5
    image = contrast.acquire(contrast_P, tissue, kind.acquisition, rng)
    if is_int16:
        image = np.where(tissue.is_brain, np.maximum(image, 1), 0)
    dtype = np.int16 if is_int16 else np.float32
    return DrawnScan(field=kind.field, images={kind.name: image}, is_brain=tissue.is_brain, pose=pose, dtype=dtype)


def _draw_diffusion(sitter: _Sitter, tissue: Tissue, pose: Pose) -> DrawnScan:
    rng = sitter.stream("dwi")
    images = {
        "FA": contrast.acquire(contrast.fa_contrast(tissue, sitter.brain, rng), tissue, contrast.FA, rng),
        "MD": contrast.acquire(contrast.md_contrast(tissue, sitter.brain, rng), tissue, contrast.MD, rng),
    }
    if sitter.visit.has_extras:
        images |= microstructure.draw_maps(sitter.stream("dwi-extras"), tissue, sitter.brain)
    return DrawnScan(field=DWI_FIELD, images=images, is_brain=tissue.is_brain, pose=pose, dtype=np.float32)


def _draw_series(sitter: _Sitter) -> dict[str, dict[str, NDArray[np.float32]]]:
    return {
        field: {
            name: timeseries.draw_series(sitter.stream(kind.stream), sitter.seed, kind, sitter.brain)
            for name, kind in timeseries.PARCELLATIONS.items()
            if kind.field == field
        }
        for field in sitter.visit.fields
        if field in timeseries.SERIES_FIELDS
    }


def _draw_edges(sitter: _Sitter) -> dict[str, NDArray[np.float64]]:
    kinds = {field: timeseries.EDGES[field] for field in sitter.visit.fields if field in timeseries.EDGES}
    return {
        field: timeseries.draw_edges(sitter.stream(kind.stream), sitter.seed, kind, sitter.brain)
        for field, kind in kinds.items()
    }
