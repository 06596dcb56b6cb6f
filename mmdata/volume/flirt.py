"""FLIRT matrices and the world transforms they stand for.

A FLIRT matrix maps *FSL coordinates* of a source image to FSL coordinates of a reference image. FSL coordinates are
voxel indices times zooms, in mm, with the x axis turned around when the image's affine has a positive determinant.

Source: FSL's description of FLIRT coordinates (https://fsl.fmrib.ox.ac.uk/fsl/docs/#/registration/flirt/faq).
"""

from dataclasses import dataclass

import numpy as np

from mmdata.volume.geometry import Matrix44, zooms_mm


@dataclass(frozen=True, slots=True)
class ImageFrame:
    """What FLIRT needs to know of an image: its affine and its number of voxels along x."""

    affine_44: Matrix44
    num_x: int


MNI152_1MM = ImageFrame(
    affine_44=np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]]),
    num_x=182,
)
"""The image every UK Biobank ``*_to_MNI*.mat`` refers to: MNI152_T1_1mm, 182 x 218 x 182 voxels."""


def fsl_from_voxel(frame: ImageFrame) -> Matrix44:
    """Return the map from voxel indices to FSL coordinates in mm.

    >>> fsl_from_voxel(ImageFrame(np.diag([2.0, 2, 2, 1]), 10))[0].tolist()  # positive determinant: x runs backwards
    [-2.0, 0.0, 0.0, 18.0]
    """
    zooms = zooms_mm(frame.affine_44)
    scale_44 = np.diag([*zooms, 1.0])
    if np.linalg.det(frame.affine_44[:3, :3]) <= 0:
        return scale_44
    flip_44 = np.diag([-1.0, 1.0, 1.0, 1.0])
    flip_44[0, 3] = (frame.num_x - 1) * zooms[0]
    return flip_44 @ scale_44


def world_from_fsl(frame: ImageFrame) -> Matrix44:
    """Return the map from FSL coordinates to RAS+ world mm of one image."""
    return frame.affine_44 @ np.linalg.inv(fsl_from_voxel(frame))


def world_from_flirt(flirt_44: Matrix44, source: ImageFrame, reference: ImageFrame = MNI152_1MM) -> Matrix44:
    """Return the reference-world from source-world transform that a FLIRT matrix stands for, in RAS+ mm."""
    return world_from_fsl(reference) @ flirt_44 @ np.linalg.inv(world_from_fsl(source))


def flirt_from_world(
    reference_from_source_44: Matrix44, source: ImageFrame, reference: ImageFrame = MNI152_1MM
) -> Matrix44:
    """Return the FLIRT matrix of a world transform: the inverse of `world_from_flirt`."""
    return np.linalg.inv(world_from_fsl(reference)) @ reference_from_source_44 @ world_from_fsl(source)
