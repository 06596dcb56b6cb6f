"""The asymmetry that human brains have in common: the right frontal and the left occipital pole protrude.

Terms
-----
petalia    how much further forwards the right frontal pole lies than the left one, or the right occipital pole than the
           left one, in mm. Positive in most people: the two together are the (Yakovlevian) torque.

Each person has a frontal and an occipital petalia of their own. Half of it moves the right side forwards, half the left
side backwards; the mid-plane, the middle of the brain and the cerebellum stay where they are.

Source: Toga and Thompson, Mapping brain asymmetry, Nat Rev Neurosci 4 (2003), 37-48; Xiang, Crow and Roberts, Cerebral
torque is human specific and unrelated to brain size, Brain Struct Funct 224 (2019), 1141-1150. Which poles protrude is
theirs. The amounts are ours, of a few mm; so is it that the two petalias of a person are independent.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MEAN_PETALIA_MM = 3.0
PETALIA_SD_MM = 1.5
"""Between people."""
_SIDE_MM = 15.0
"""Distance from the mid-plane where three quarters of a side's displacement are reached."""
_FRONTAL_FROM_MM, _OCCIPITAL_FROM_MM, _CEREBRUM_FROM_MM = 35.0, -70.0, -18.0
"""MNI152 y, y and z where a lobe's displacement is half of what it is at the pole."""
_FADE_MM = 8.0


def draw_petalias(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a person's frontal and occipital petalia in mm, shape (2,)."""
    return rng.normal(MEAN_PETALIA_MM, PETALIA_SD_MM, 2).astype(np.float32)


def forward_shares(x_mm: NDArray[Any], y_mm: NDArray[Any], z_mm: NDArray[Any]) -> NDArray[np.float32]:
    """Return how far forwards each petalia moves anatomy, in mm per mm of petalia.

    Parameters
    ----------
    x_mm, y_mm, z_mm
        MNI152 mm; broadcast against each other to a shape S.

    Returns
    -------
    shares
        Of the frontal and of the occipital petalia, shape (2, S): up to 0.5 to the right, down to -0.5 to the left.
    """
    half = np.tanh(x_mm / _SIDE_MM) / 2 * _beyond(z_mm - _CEREBRUM_FROM_MM)
    lobes = (_beyond(y_mm - _FRONTAL_FROM_MM), _beyond(_OCCIPITAL_FROM_MM - y_mm))
    return np.stack([half * lobe for lobe in lobes]).astype(np.float32)


def _beyond(distance_mm: NDArray[Any]) -> NDArray[Any]:
    """Return a smooth step from 0 to 1 around a distance of 0."""
    step: NDArray[Any] = (1 + np.tanh(distance_mm / (2 * _FADE_MM))) / 2
    return step
