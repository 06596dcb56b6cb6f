"""A scan as its source has it, before anything is done to it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmdata.volume.geometry import Matrix44, zooms_mm
from mmdata.volume.nifti import Volume


@dataclass(frozen=True, kw_only=True, slots=True)
class NativeScan:
    """An image on its own grid with what its source knows of it."""

    volume: Volume
    mni_from_native_44: Matrix44 | None
    """The image's world to MNI152's, RAS+ mm; None where the source has no transform."""
    brain_XYZ: NDArray[np.bool_] | None = None
    """Brain mask on the image's grid; None where the image should be brain-extracted as it is."""
    transform_source: Literal["source", "reference-grid"] = "source"
    """Who says where the image lies: its source, or the user's word that it lies on the reference study's grid."""
    expected_mask: str = ""
    """Where a mask is looked for, in words; empty where nowhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NativeFacts:
    """What stays known of an image once it lies on the study's grid."""

    shape: tuple[int, ...]
    """Voxels along each axis."""
    voxel_mm: tuple[float, ...]
    """Edge lengths of a voxel."""
    is_mirrored: bool
    """Whether the transform to MNI152 exchanges left and right, which no head needs."""
    transform_source: str
    """Who says where it lies: ``source``, ``reference-grid`` or ``registration``."""


def facts_of(volume: Volume, mni_from_native_44: Matrix44, transform_source: str) -> NativeFacts:
    """Return what stays known of an image and its transform.

    >>> facts_of(Volume(np.zeros((9, 8, 7)), np.diag([-1.0, 1, 2, 1])), np.eye(4), "source").voxel_mm
    (1.0, 1.0, 2.0)
    """
    return NativeFacts(
        shape=volume.data_XYZ.shape,
        voxel_mm=tuple(zooms_mm(volume.affine_44).tolist()),
        is_mirrored=bool(np.linalg.det(mni_from_native_44[:3, :3]) < 0),
        transform_source=transform_source,
    )
