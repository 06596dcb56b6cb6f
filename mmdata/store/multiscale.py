"""The levels of one modality as an OME-Zarr image, so that its viewers and libraries open a study's volumes.

Terms
-----
image    the group of a modality; its arrays are the levels, with axes (sample, x, y, z): `sample` counts the brains.

`sample` is neither time nor channel, so its type is one of our own, which the specification allows on one axis in front
of those of space. The order x, y, z is that of the arrays: the specification asks for z, y, x only where images are
stacked along z. A world coordinate is scale times index plus translation, which says all of an affine of the study's
grid. Orientations are of RFC 4, which version 0.5 does not have: its readers pass them over.

Source: https://ngff.openmicroscopy.org/0.5 (multiscales), https://ngff.openmicroscopy.org/rfc/4 (orientation).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

OME_VERSION = "0.5"
_ORIENTATIONS = {"x": "left-to-right", "y": "posterior-to-anterior", "z": "inferior-to-superior"}
"""Towards which the coordinates of RAS+ rise."""


def multiscale_attributes(name: str, affines: Mapping[str, NDArray[np.float64]], downscaling: str) -> dict[str, Any]:
    """Return what the group of a modality says of its levels.

    Parameters
    ----------
    name
        Of the image.
    affines
        Path of each level in the group to its affine, voxel to world, RAS+ mm, 4x4 and diagonal but for its last
        column; the finest level first.
    downscaling
        How a level is made of the one before.
    """
    image = {
        "name": name,
        "axes": [{"name": "sample", "type": "sample"}, *map(_space_axis, _ORIENTATIONS)],
        "datasets": [_dataset(path, affine_44) for path, affine_44 in affines.items()],
        "type": downscaling,
        "metadata": {"description": "one index along the axis sample is one brain; the axes of space are RAS+"},
    }
    return {"ome": {"version": OME_VERSION, "multiscales": [image]}}


def _space_axis(name: str) -> dict[str, Any]:
    orientation = {"type": "anatomical", "value": _ORIENTATIONS[name]}
    return {"name": name, "type": "space", "unit": "millimeter", "orientation": orientation}


def _dataset(path: str, affine_44: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "path": path,
        "coordinateTransformations": [
            {"type": "scale", "scale": [1.0, *np.diag(affine_44)[:3].tolist()]},
            {"type": "translation", "translation": [0.0, *affine_44[:3, 3].tolist()]},
        ],
    }
