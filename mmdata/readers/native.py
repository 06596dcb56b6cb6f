"""A scan as its source has it, before anything is done to it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmdata.volume.geometry import Matrix44
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
