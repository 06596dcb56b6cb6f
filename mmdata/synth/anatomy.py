"""Brains made from nilearn's MNI152 1 mm templates: deformed, then sampled once at a scan's own voxels.

Terms
-----
maps       shares of grey and white matter and of brain, and two smooth weights: next to the ventricles, next to sulci.
pull       a smooth field in mm that points into the ventricles, at most 1 mm long. Anatomy is looked up at
           ``position + field``, so following the pull by k mm moves the ventricles' walls outwards by about k mm.

Every participant's field is the pull times their ventricles' enlargement, plus a smooth random field of their own, plus
the asymmetry that people have in common in the amount that is theirs (`asymmetry`): the templates are symmetric.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from nilearn.datasets import load_mni152_brain_mask, load_mni152_gm_template, load_mni152_wm_template
from numpy.typing import NDArray
from scipy import ndimage

from mmdata.synth.asymmetry import draw_petalias, forward_shares
from mmdata.synth.participant import Brain
from mmdata.synth.pose import Pose

Map = NDArray[Any]
"""An array of float32."""

_FIELD_STEP = 4
"""Voxels of the 1 mm template per voxel of a displacement field."""
_PULL_SIGMA_MM = 7.0
_RANDOM_FIELD_SIGMA_MM = 18.0
_RANDOM_FIELD_SD_MM = 1.2


@dataclass(frozen=True, slots=True)
class Template:
    """The templates, smoothed and thinned out to the resolution they will be sampled at."""

    maps_CXYZ: torch.Tensor
    """Grey matter, white matter, brain, next to ventricles, next to sulci; shape (5, X, Y, Z), float32."""
    step_mm: float
    """Edge length of the maps' voxels."""
    origin_mm: Map
    """MNI152 mm of the first voxel, shape (3,); the axes run along R, A, S."""
    pull_XYZ3: Map
    """In mm, every fourth voxel of the 1 mm template."""
    forward_2XYZ: Map
    """How far forwards a frontal and an occipital petalia move anatomy, mm per mm, at the same voxels."""
    near_brain_XYZ: NDArray[np.bool_]
    """Brain and 8 mm around it, every fourth voxel of the 1 mm template."""
    brain_points_N3: NDArray[np.float64]
    """Points all over the brain, 4 mm apart, MNI152 mm."""


@dataclass(frozen=True, slots=True)
class Tissue:
    """Tissue shares at the P brain voxels of one scan: arrays of shape (P,) in the order of `is_brain`'s voxels."""

    is_brain: NDArray[np.bool_]
    """Of the scan's shape (X, Y, Z)."""
    gm: Map
    wm: Map
    csf: Map
    near_ventricles: Map
    """1 at the ventricles, 0 from about 15 mm on."""
    mni_mm: Map
    """MNI152 mm by the scan's affine, shape (P, 3)."""


@cache
def load_template(voxel_mm: float) -> Template:
    """Load the templates once per process, blurred for sampling at `voxel_mm`."""
    gm_image = load_mni152_gm_template(resolution=1)
    gm, wm, brain = (
        np.asarray(image.get_fdata(), dtype=np.float32)
        for image in (gm_image, load_mni152_wm_template(resolution=1), load_mni152_brain_mask(resolution=1))
    )
    origin_mm = np.asarray(gm_image.affine[:3, 3], dtype=np.float32)
    csf = np.clip(brain - gm - wm, 0.0, 1.0)
    ventricles = csf * _ventricle_region(csf.shape, origin_mm)
    near_ventricles = np.clip(3.0 * ndimage.gaussian_filter(ventricles, 5.0), 0.0, 1.0)
    near_sulci = np.clip(3.0 * ndimage.gaussian_filter(csf - ventricles, 2.0), 0.0, 1.0) * brain
    blur = 0.4 * np.sqrt(max(voxel_mm**2 - 1.0, 0.0))
    step = max(1, int(voxel_mm / 1.5))  # a smaller template stays in the processor's cache
    maps = [
        ndimage.gaussian_filter(a, blur)[::step, ::step, ::step] for a in (gm, wm, brain, near_ventricles, near_sulci)
    ]
    coarse_brain = brain[::_FIELD_STEP, ::_FIELD_STEP, ::_FIELD_STEP] > 0.5
    voxels = np.ogrid[*map(slice, coarse_brain.shape)]
    x_mm, y_mm, z_mm = (axis * _FIELD_STEP + o for axis, o in zip(voxels, origin_mm, strict=True))
    points = np.argwhere(coarse_brain) * float(_FIELD_STEP)
    return Template(
        maps_CXYZ=torch.from_numpy(np.stack(maps)),
        step_mm=float(step),
        origin_mm=origin_mm,
        pull_XYZ3=_pull(ventricles),
        forward_2XYZ=forward_shares(x_mm, y_mm, z_mm),
        near_brain_XYZ=ndimage.binary_dilation(coarse_brain, iterations=2),
        brain_points_N3=np.asarray(points + origin_mm, dtype=np.float64),
    )


def draw_field(rng: np.random.Generator, template: Template, brain: Brain) -> Map:
    """Draw a participant's displacement in mm on the template's field grid, shape (X, Y, Z, 3)."""
    shape = template.pull_XYZ3.shape
    noise = rng.standard_normal(shape, dtype=np.float32)
    sigma = _RANDOM_FIELD_SIGMA_MM / _FIELD_STEP
    noise = ndimage.gaussian_filter(noise, (sigma, sigma, sigma, 0.0), truncate=3.0)
    field: Map = noise * np.float32(_RANDOM_FIELD_SD_MM / noise.std()) + template.pull_XYZ3 * brain.ventricle_mm
    field[..., 1] -= np.tensordot(draw_petalias(rng), template.forward_2XYZ, axes=1)  # looked up further back
    return field


def sample_tissue(template: Template, field_XYZ3: Map, brain: Brain, pose: Pose) -> Tissue:
    """Sample a participant's tissue at the voxels of a scan, by one linear interpolation of the template."""
    is_brain, mni_mm = _voxels_near_brain(template, pose)
    offset_mm = torch.from_numpy(mni_mm - template.origin_mm)
    field = torch.from_numpy(np.ascontiguousarray(np.moveaxis(field_XYZ3, -1, 0)))
    displacement = _sample(field, offset_mm / _FIELD_STEP).T
    maps_CP = _sample(template.maps_CXYZ, (offset_mm + displacement) / template.step_mm).numpy()
    is_inside = maps_CP[2] > 0.5
    is_brain[is_brain] = is_inside
    gm, wm, in_brain, near_ventricles, near_sulci = maps_CP[:, is_inside]
    mni_mm = mni_mm[is_inside]
    csf = np.clip(in_brain - gm - wm, 0.0, 1.0)
    lost = gm * np.clip(near_sulci * front_to_back(mni_mm, brain.cortical_loss, brain.posterior_3[0]), 0.0, 0.9)
    return Tissue(is_brain, gm - lost, wm, csf + lost, near_ventricles, mni_mm)


def front_to_back(mni_mm: Map, front: float, back: float) -> Map:
    """Return a map that goes smoothly from one value at the front of the brain to another at its back."""
    weight = 1.0 / (1.0 + np.exp((np.float32(-5.0) - mni_mm[..., 1]) / np.float32(12.0)))
    values: Map = np.float32(back) + np.float32(front - back) * weight
    return values


def _ventricle_region(shape: tuple[int, ...], origin_mm: Map) -> NDArray[np.bool_]:
    """Return a box around the lateral and third ventricles, without the cisterns behind them."""
    x, y, z = (axis + o for axis, o in zip(np.ogrid[: shape[0], : shape[1], : shape[2]], origin_mm, strict=True))
    box = (abs(x) < 32) & (y > -52) & (y < 36) & (z > -6) & (z < 34)
    cisterns = (abs(x) < 14) & (y < -22) & (z < 9)
    fissure = (abs(x) < 3) & ((y > 6) | (y < -30))
    insula = (abs(x) > 24) & (y > -28)
    return np.asarray(box & ~cisterns & ~fissure & ~insula)


def _pull(ventricles: Map) -> Map:
    smooth = ndimage.gaussian_filter(ventricles, _PULL_SIGMA_MM)[::_FIELD_STEP, ::_FIELD_STEP, ::_FIELD_STEP]
    gradient: list[Map] = list(np.gradient(smooth))
    pull: Map = np.stack(gradient, axis=-1)
    largest = np.sqrt((pull**2).sum(axis=-1)).max()
    return np.asarray(pull / largest, dtype=np.float32)


def _voxels_near_brain(template: Template, pose: Pose) -> tuple[NDArray[np.bool_], Map]:
    """Return which voxels of a scan can hold brain, shape (X, Y, Z), and their MNI152 mm, shape (P, 3).

    The others, three quarters of a field of view, need no sampling.
    """
    mni_from_voxel_44 = (pose.mni_from_native_44 @ pose.affine_44).astype(np.float32)
    i, j, k = (index.astype(np.float32) for index in np.ogrid[tuple(slice(n) for n in pose.shape)])
    mni_mm: Map = np.empty((*pose.shape, 3), dtype=np.float32)
    for axis, row in enumerate(mni_from_voxel_44[:3]):
        mni_mm[..., axis] = row[0] * i + row[1] * j + (row[2] * k + row[3])
    nearest = np.rint((mni_mm - template.origin_mm) / _FIELD_STEP).astype(np.int32)
    last = np.array(template.near_brain_XYZ.shape) - 1
    is_near: NDArray[np.bool_] = template.near_brain_XYZ[tuple(np.moveaxis(np.clip(nearest, 0, last), -1, 0))]
    return is_near, mni_mm[is_near]


def _sample(maps_CXYZ: torch.Tensor, voxels_P3: torch.Tensor) -> torch.Tensor:
    """Interpolate maps linearly at voxel coordinates; return shape (C, P), 0 outside."""
    last = torch.tensor(maps_CXYZ.shape[1:], dtype=torch.float32) - 1
    grid = (voxels_P3 * (2 / last) - 1).flip(-1)  # grid_sample wants the fastest axis first
    sampled: torch.Tensor = torch.nn.functional.grid_sample(maps_CXYZ[None], grid[None, None, None], align_corners=True)
    return sampled[0, :, 0, 0]
