"""Where a head lies in the scanner and which voxels were recorded.

The native world is the scan's own RAS+ mm. The map from MNI152 to it is an affine: the head's size and shear, a
rotation, and a shift. The voxel grid is oblique to that world, its axes run either way, and its field of view is
cropped around the brain to odd numbers of voxels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mmdata.synth.participant import Participant
from mmdata.volume.flirt import ImageFrame
from mmdata.volume.geometry import Matrix44, apply_affine

_HEAD_ROTATION_DEGREES = 9.0
_GRID_ROTATION_DEGREES = 6.0
_SHIFT_MM = 25.0
_MARGIN_MM = (6.0, 14.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pose:
    """One scan's voxel grid and its pose in MNI152 space."""

    shape: tuple[int, int, int]
    affine_44: Matrix44
    """Voxel to native world, RAS+ mm."""
    mni_from_native_44: Matrix44
    """Native world to MNI152 world, RAS+ mm."""

    @property
    def frame(self) -> ImageFrame:
        """Return what a FLIRT matrix of this scan refers to."""
        return ImageFrame(affine_44=self.affine_44, num_x=self.shape[0])


def draw_pose(
    rng: np.random.Generator, participant: Participant, brain_points_N3: NDArray[np.float64], voxel_mm: float
) -> Pose:
    """Draw where a participant's head lies in one scan.

    Parameters
    ----------
    brain_points_N3
        Points all over the brain in MNI152 mm, shape (N, 3): the field of view holds all of them.
    voxel_mm
        Edge length of the isotropic voxels.
    """
    native_from_mni_44 = _draw_native_from_mni(rng, participant)
    axes_33 = _draw_rotation(rng, _GRID_ROTATION_DEGREES) * rng.choice([-1.0, 1.0], 3) * voxel_mm
    points_N3 = apply_affine(native_from_mni_44, brain_points_N3) @ np.linalg.inv(axes_33).T
    first = np.floor(points_N3.min(axis=0) - rng.uniform(*_MARGIN_MM, 3) / voxel_mm)
    last = np.ceil(points_N3.max(axis=0) + rng.uniform(*_MARGIN_MM, 3) / voxel_mm)
    num_x, num_y, num_z = (int(n) | 1 for n in last - first + 1)
    affine_44 = np.eye(4)
    affine_44[:3, :3] = axes_33
    affine_44[:3, 3] = axes_33 @ first
    affine_44 = affine_44.astype(np.float32).astype(np.float64)  # what a NIfTI header keeps of it
    return Pose(
        shape=(num_x, num_y, num_z),
        affine_44=affine_44,
        mni_from_native_44=np.asarray(np.linalg.inv(native_from_mni_44), dtype=np.float64),
    )


def _draw_native_from_mni(rng: np.random.Generator, participant: Participant) -> Matrix44:
    shape_33 = np.diag(participant.head_scale_3)
    shape_33[[0, 0, 1], [1, 2, 2]] = participant.head_shear_3
    native_from_mni_44 = np.eye(4)
    native_from_mni_44[:3, :3] = _draw_rotation(rng, _HEAD_ROTATION_DEGREES) @ shape_33
    native_from_mni_44[:3, 3] = rng.uniform(-_SHIFT_MM, _SHIFT_MM, 3)
    return native_from_mni_44


def _draw_rotation(rng: np.random.Generator, largest_degrees: float) -> NDArray[np.float64]:
    angles = rng.uniform(-largest_degrees, largest_degrees, 3)
    return np.asarray(Rotation.from_euler("xyz", angles, degrees=True).as_matrix(), dtype=np.float64)
