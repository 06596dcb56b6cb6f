"""Draw one visit: the images, time series and edges that its files are made of, whatever files those will be.

Every stream of random numbers belongs to one thing of one visit, so that what else is drawn changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mmbase.names import MODALITIES
from mmdata.sources.volume_files import VOLUME_FILES
from mmdata.synth import contrast, microstructure, timeseries
from mmdata.synth.anatomy import Map, Template, Tissue, draw_field, load_template, sample_tissue
from mmdata.synth.landmarks import with_cysts
from mmdata.synth.participant import Brain, Participant, age_at, brain_at, draw_participant, eid_of
from mmdata.synth.plan import VOLUME_FIELDS, Visit
from mmdata.synth.pose import Pose, draw_pose
from mmdata.synth.seeds import generator

DWI_SMALLEST_VOXEL_MM = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnScan:
    """One modality's brain-extracted images on their native grid."""

    field: str
    """UK Biobank's."""
    images: dict[str, Map]
    """Name to image of the pose's shape, 0 outside the brain: the modality's title, e.g. ``T1``, or names of maps."""
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
    """By modality."""
    series: dict[str, dict[str, NDArray[np.float32]]]
    """Field to parcellation to time series, shape (regions, timepoints)."""
    edges: dict[str, NDArray[np.float64]]
    """Field to edges, upper triangle column by column."""
    poses: Mapping[str, Pose]
    """By volume modality, whether or not there is such a scan."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Subject:
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


def grid_of(modality: str) -> str:
    """Return the modality on whose voxel grid another one lies: mostly its own.

    >>> grid_of("flair"), grid_of("dwi")
    ('t1', 'dwi')
    """
    files = VOLUME_FILES[modality]
    return files.ukb.base if files.on_base_grid else modality


def draw_visit(visit: Visit, seed: int, voxel_mm: float) -> DrawnVisit:
    """Draw everything one visit has; equal arguments give equal arrays."""
    participant = draw_participant(seed, visit.drawn_index)
    brain = brain_at(participant, age_at(seed, participant, visit.instance))
    subject = _Subject(visit=visit, seed=seed, voxel_mm=voxel_mm, participant=participant, brain=brain)
    grids = dict.fromkeys(map(grid_of, VOLUME_FILES))
    pose_of = {grid: subject.pose(f"{grid}-pose", _voxel_mm(grid, voxel_mm)) for grid in grids}
    poses = {modality: pose_of[grid_of(modality)] for modality in VOLUME_FILES}
    return DrawnVisit(
        visit=visit,
        seed=seed,
        eid=eid_of(seed, visit.index),
        scans=_draw_scans(subject, poses),
        series=_draw_series(subject),
        edges=_draw_edges(subject),
        poses=poses,
    )


def _voxel_mm(modality: str, voxel_mm: float) -> float:
    return max(DWI_SMALLEST_VOXEL_MM, voxel_mm) if VOLUME_FILES[modality].has_maps else voxel_mm


def _draw_scans(subject: _Subject, poses: Mapping[str, Pose]) -> dict[str, DrawnScan]:
    rng = generator(subject.seed, "deformation", subject.visit.drawn_index)
    field_XYZ3 = draw_field(rng, load_template(subject.voxel_mm), subject.brain)
    tissues: dict[str, Tissue] = {}
    scans = {}
    for modality, bulk_field in VOLUME_FIELDS.items():
        if bulk_field not in subject.visit.fields:
            continue
        grid, pose = grid_of(modality), poses[modality]
        if grid not in tissues:
            tissues[grid] = _draw_tissue(subject, load_template(_voxel_mm(grid, subject.voxel_mm)), field_XYZ3, pose)
        draw = _draw_diffusion if VOLUME_FILES[modality].has_maps else _draw_structural
        scans[modality] = draw(subject, modality, tissues[grid], pose)
    return scans


def _draw_tissue(subject: _Subject, template: Template, field_XYZ3: Map, pose: Pose) -> Tissue:
    tissue = sample_tissue(template, field_XYZ3, subject.brain, pose)
    return with_cysts(tissue) if subject.visit.is_phantom else tissue


def _draw_structural(subject: _Subject, modality: str, tissue: Tissue, pose: Pose) -> DrawnScan:
    """Return an image such as a T1: int16 for one half of the scans, float32 for the other."""
    rng = subject.stream(modality)
    kind = contrast.STRUCTURAL.get(modality, contrast.PLAIN)
    contrast_P = kind.contrast_of(tissue, subject.brain, rng)
    is_int16 = rng.random() < 0.5
    image = contrast.acquire(contrast_P, tissue, kind.acquisition, rng)
    if is_int16:
        image = np.where(tissue.is_brain, np.maximum(image, 1), 0)
    return DrawnScan(
        field=VOLUME_FIELDS[modality],
        images={MODALITIES[modality].title: image},
        is_brain=tissue.is_brain,
        pose=pose,
        dtype=np.int16 if is_int16 else np.float32,
    )


def _draw_diffusion(subject: _Subject, modality: str, tissue: Tissue, pose: Pose) -> DrawnScan:
    rng = subject.stream(modality)
    images = {
        "FA": contrast.acquire(contrast.fa_contrast(tissue, subject.brain, rng), tissue, contrast.FA, rng),
        "MD": contrast.acquire(contrast.md_contrast(tissue, subject.brain, rng), tissue, contrast.MD, rng),
    }
    if subject.visit.has_extras:
        images |= microstructure.draw_maps(subject.stream("dwi-extras"), tissue, subject.brain)
    return DrawnScan(
        field=VOLUME_FIELDS[modality], images=images, is_brain=tissue.is_brain, pose=pose, dtype=np.float32
    )


def _draw_series(subject: _Subject) -> dict[str, dict[str, NDArray[np.float32]]]:
    return {
        field: {
            name: timeseries.draw_series(subject.stream(kind.stream), subject.seed, kind, subject.brain)
            for name, kind in timeseries.PARCELLATIONS.items()
            if kind.field == field
        }
        for field in subject.visit.fields
        if field in timeseries.SERIES_FIELDS
    }


def _draw_edges(subject: _Subject) -> dict[str, NDArray[np.float64]]:
    kinds = {field: timeseries.EDGES[field] for field in subject.visit.fields if field in timeseries.EDGES}
    return {
        field: timeseries.draw_edges(subject.stream(kind.stream), subject.seed, kind, subject.brain)
        for field, kind in kinds.items()
    }
