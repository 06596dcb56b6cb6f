"""Synthetic scans as an ingest stores them, right ones and ones with one thing wrong, without a file."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmdata.synth import contrast
from mmdata.synth.anatomy import Map, Tissue, draw_field, load_template, sample_tissue
from mmdata.synth.drawing import DrawnScan, draw_visit
from mmdata.synth.head import with_head
from mmdata.synth.participant import Brain, brain_at, draw_participant
from mmdata.synth.plan import VOLUME_FIELDS, Visit
from mmdata.synth.seeds import generator
from mmdata.volume.geometry import zooms_mm
from mmdata.volume.nifti import Volume
from mmdata.volume.preprocess import PreprocessedVolume, preprocess_volume
from mmdata.volume.reference_grid import REFERENCE_CENTRE_MM, REFERENCE_EXTENT_MM
from mmdata.volume.settings import VolumeSettings

SETTINGS = VolumeSettings(sides=(64, 32))
REFERENCE_SETTINGS = replace(SETTINGS, extent_mm=REFERENCE_EXTENT_MM, centre_mm=REFERENCE_CENTRE_MM)
IMAGES = {"t1": ("t1", "T1"), "flair": ("flair", "FLAIR"), "fa": ("dwi", "FA"), "md": ("dwi", "MD")}
"""Name to modality and image."""
Scan = tuple[Map, DrawnScan]


def draw_scans(seed: int, index: int, voxel_mm: float, names: tuple[str, ...] = tuple(IMAGES)) -> dict[str, Scan]:
    """Return a participant's images on their native grid."""
    fields = tuple(dict.fromkeys(VOLUME_FIELDS[IMAGES[name][0]] for name in names))
    drawn = draw_visit(Visit(index=index, instance=2, fields=fields), seed, voxel_mm)
    return {
        name: (scan.images[image], scan)
        for name in names
        for modality, image in [IMAGES[name]]
        for scan in [drawn.scans[modality]]
    }


def preprocess(
    image: Map, scan: DrawnScan, settings: VolumeSettings = SETTINGS, *, moved: bool = True
) -> PreprocessedVolume:
    """Bring an image onto the grid; not `moved`: as if its own space were MNI152."""
    transform_44 = scan.pose.mni_from_native_44 if moved else np.eye(4)
    return preprocess_volume(Volume(image, scan.pose.affine_44), transform_44, settings)


def t2_image(seed: int, index: int, voxel_mm: float) -> Map:
    """Return a T2 on the grid of the participant's T1: fluid bright, as it is not in a FLAIR."""
    participant = draw_participant(seed, index)
    brain = brain_at(participant, participant.age_years)
    _, scan = draw_scans(seed, index, voxel_mm, ("t1",))["t1"]
    template = load_template(voxel_mm)
    field_XYZ3 = draw_field(generator(seed, "deformation", index), template, brain)
    tissue = sample_tissue(template, field_XYZ3, brain, scan.pose)
    rng = generator(seed, "t2", index)
    return contrast.acquire(_t2_contrast(tissue, brain, rng), tissue, contrast.FLAIR, rng)


def _t2_contrast(tissue: Tissue, brain: Brain, rng: np.random.Generator) -> Map:
    values: Map = np.float32(1.0) * tissue.csf + np.float32(0.65) * tissue.gm + np.float32(0.45) * tissue.wm
    return values


def with_rim(image: Map, scan: DrawnScan, rim_mm: float = 9.0) -> Map:
    """Return a brain with fluid, skull and some scalp left around it, and no air."""
    head = with_head(image, scan.is_brain, scan.pose.affine_44, generator(0, "rim"))
    distance_mm = ndimage.distance_transform_edt(~scan.is_brain, sampling=zooms_mm(scan.pose.affine_44))
    return np.asarray(head * (distance_mm < rim_mm), np.float32)


def without_half(image: Map, axis: int) -> Map:
    """Return a brain whose first half along an axis was not recorded."""
    halved = image.copy()
    centre = int(np.median(np.nonzero(image)[axis]))
    halved[(slice(None),) * axis + (slice(0, centre),)] = 0
    return halved


def coarser(image: Map) -> Map:
    """Return an image as if its voxels had been twice as long."""
    return np.asarray(_blocks(image), np.float32)


def _blocks(image: Map) -> NDArray[Any]:
    trimmed = image[tuple(slice(0, n - n % 2) for n in image.shape)].astype(np.float32)
    inside = ndimage.uniform_filter(trimmed, 2, origin=-1)[::2, ::2, ::2]
    repeated = inside.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    padded = np.zeros(image.shape, np.float32)
    padded[tuple(slice(0, n) for n in repeated.shape)] = repeated
    return padded * (image != 0)
