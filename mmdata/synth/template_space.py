"""Scans sampled in MNI152 space, once, through their affine.

UK Biobank's own images on the grid of MNI152_T1_1mm come of nonlinear registration; here they are the linear ones.
"""

import numpy as np

from mmdata.synth.anatomy import Map
from mmdata.synth.pose import Pose
from mmdata.volume.flirt import MNI152_1MM
from mmdata.volume.geometry import MNI152_BRAIN_CENTRE_MM, Grid, Matrix44, zooms_mm
from mmdata.volume.resample import resample_to_grid

MNI152_1MM_SHAPE = (182, 218, 182)


def sample_on_grid(image: Map, pose: Pose, grid: Grid) -> Map:
    """Sample a scan on a grid in MNI152 space: float32, shape (side, side, side)."""
    return _sample(image, pose, grid.affine_44, grid)


def sample_at(image: Map, pose: Pose, mni_from_voxel_44: Matrix44, side: int) -> Map:
    """Sample a scan at the voxels of an affine: float32, shape (side, side, side)."""
    spacing_mm = float(zooms_mm(mni_from_voxel_44)[0])
    cube = Grid(side=side, spacing_mm=spacing_mm, centre_mm=MNI152_BRAIN_CENTRE_MM)  # only side and spacing count
    return _sample(image, pose, mni_from_voxel_44, cube)


def sample_on_mni152_1mm(image: Map, pose: Pose) -> Map:
    """Sample a scan on MNI152_T1_1mm: float32, shape `MNI152_1MM_SHAPE`, affine ``MNI152_1MM.affine_44``."""
    x, y, z = MNI152_1MM_SHAPE
    cube = Grid(side=max(x, y, z), spacing_mm=1.0, centre_mm=MNI152_BRAIN_CENTRE_MM)  # only its side counts
    return np.ascontiguousarray(_sample(image, pose, MNI152_1MM.affine_44, cube)[:x, :y, :z])


def _sample(image: Map, pose: Pose, mni_from_voxel_44: Matrix44, cube: Grid) -> Map:
    source_from_mni_44 = np.linalg.inv(pose.mni_from_native_44 @ pose.affine_44)
    return resample_to_grid(image.astype(np.float32, copy=False), source_from_mni_44 @ mni_from_voxel_44, cube)
