"""A drawn sample of two modalities, bright where the other is dark."""

import numpy as np
from numpy.typing import NDArray

from mmdata.viewer.page import ViewedSample
from mmdata.viewer.viewer import ShownMean, ShownVolume, encode_picture
from mmdata.volume.geometry import Grid

SIDE, COARSE_SIDE = 32, 16
EXTENT_MM = 192.0


def grid(side: int) -> Grid:
    return Grid(side=side, spacing_mm=EXTENT_MM / side, centre_mm=(0.0, -16.5, 6.5))


def drawn(side: int, inside: float, core: float) -> NDArray[np.float32]:
    """A ball of 70 mm with a core of 30 mm in the right half."""
    place = grid(side)
    world = np.moveaxis(np.indices((side,) * 3), 0, -1) * place.spacing_mm + place.affine_44[:3, 3]
    ball: NDArray[np.bool_] = np.linalg.norm(world - place.centre_mm, axis=-1) < 70
    right: NDArray[np.bool_] = np.linalg.norm(world - np.add(place.centre_mm, (30.0, 0.0, 0.0)), axis=-1) < 30
    return np.where(right, core, np.where(ball, inside, 0.0)).astype(np.float32)


def picture(side: int, inside: float, core: float) -> bytes:
    return encode_picture(drawn(side, inside, core), grid(side).affine_44)


def drawn_sample() -> ViewedSample:
    return ViewedSample(
        sample_id="feedfeedfeedfeed",
        grid="Volumes of 32³ voxels of 6 mm, in MNI152-linear space.",
        volumes=[
            ShownVolume(title="FLAIR", picture=picture(SIDE, 0.4, 1.0), modality="flair"),
            ShownVolume(title="T1", picture=picture(SIDE, 0.8, 0.2), modality="t1"),
        ],
        means={
            "flair": ShownMean(picture=picture(COARSE_SIDE, 0.4, 0.6), num_averaged=12),
            "t1": ShownMean(picture=picture(COARSE_SIDE, 0.8, 0.4), num_averaged=12),
        },
        lacking=["No diffusion: absent."],
    )
