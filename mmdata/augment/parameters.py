"""What an augmented copy is made from: drawn here, applied in `mmdata.augment.transform`.

The draw is a pure function of (study seed, sample, copy). Geometry is one draw for all modalities of a sample, in
millimetres, so that it is the same at every resolution level; intensity is drawn for each modality.
"""

import hashlib
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

ELASTIC_CONTROL_POINTS = 9
"""Control points of the displacement along each axis of the volume."""
BIAS_ORDER = 3
"""Order of the bias field's polynomial."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentSettings:
    """How far augmented copies may differ from the volume they are made of."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    sides: tuple[int, ...] = (64,)
    """Resolution levels to make copies of."""
    probability: float = 0.5
    """Chance of each kind of change, on its own, in each copy."""
    rotation_degrees: float = 2.0
    """Largest rotation about each axis."""
    shear_degrees: float = 2.0
    """Largest shear angle for each pair of axes."""
    scale: float = 0.01
    """Largest relative change of size along each axis."""
    translation_mm: float = 3.0
    """Largest shift along each axis."""
    elastic_mm: float = 1.5
    """Largest displacement of a control point along each axis; below 0.4 of their distance nothing folds."""
    histogram_shift: float = 0.05
    """Largest vertical move of the 3 to 6 control points of the intensity curve, as a share of the range."""
    bias_field: float = 0.1
    """Largest coefficient of the third-order polynomial in the bias field's exponent."""
    noise: float = 0.02
    """Largest standard deviation of Gaussian noise inside the brain, as a share of the range."""

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be 0 to 1, got {self.probability}")
        amounts = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("sides", "probability")}
        for name, amount in amounts.items():
            if not 0 <= amount < float("inf"):
                raise ValueError(f"{name} must be a number from 0, got {amount}")


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where each voxel of the copy comes from: ``source = linear @ p + shift + displacement(p)``."""

    linear_33: NDArray[np.float64]
    """Acts on positions relative to the grid's centre."""
    shift_mm: NDArray[np.float64]
    """Shape (3,)."""
    displacement_mm: NDArray[np.float64]
    """Cubic B-spline coefficients, shape (3, n, n, n); empty where there is none."""


@dataclass(frozen=True, slots=True)
class Intensity:
    """How the intensities of one modality change; all shares are of the stored range 0 to 1."""

    curve_from: NDArray[np.float64]
    """Rising control points of the intensity curve, first 0 and last 1."""
    curve_to: NDArray[np.float64]
    """Where they go; never falling."""
    bias_coefficients: NDArray[np.float64]
    """Legendre coefficients, shape (n, n, n), of the logarithm of the bias field; empty where there is none."""
    noise_std: float
    noise_seed: int


def draw_geometry(settings: AugmentSettings, seed: int, sample_id: str, copy: int) -> Geometry:
    """Draw the geometry that all modalities of a sample share in one copy."""
    rng = _generator(seed, "geometry", sample_id, copy)
    chance = settings.probability
    angles = np.deg2rad(_maybe_uniform(rng, chance, settings.rotation_degrees, 3))
    shears = np.tan(np.deg2rad(_maybe_uniform(rng, chance, settings.shear_degrees, 3)))
    scales = 1.0 + _maybe_uniform(rng, chance, settings.scale, 3)
    shift_mm = _maybe_uniform(rng, chance, settings.translation_mm, 3)
    elastic_shape = (3, *[ELASTIC_CONTROL_POINTS] * 3)
    elastic_mm = _maybe_uniform(rng, chance, settings.elastic_mm, int(np.prod(elastic_shape))).reshape(elastic_shape)
    shear_33 = np.eye(3)
    shear_33[np.triu_indices(3, 1)] = shears
    linear_33 = _rotation(angles) @ shear_33 @ np.diag(scales)
    return Geometry(linear_33, shift_mm, elastic_mm if elastic_mm.any() else np.empty((3, 0, 0, 0)))


def draw_intensity(settings: AugmentSettings, seed: int, sample_id: str, copy: int, modality: str) -> Intensity:
    """Draw the intensity changes of one modality in one copy."""
    rng = _generator(seed, "intensity", sample_id, copy, modality)
    chance = settings.probability
    num_points = int(rng.integers(3, 7))
    curve_from = np.linspace(0.0, 1.0, num_points)
    curve_to = curve_from.copy()
    curve_to[1:-1] += _maybe_uniform(rng, chance, settings.histogram_shift, num_points - 2)
    bias_shape = [BIAS_ORDER + 1] * 3
    bias = _maybe_uniform(rng, chance, settings.bias_field, int(np.prod(bias_shape))).reshape(bias_shape)
    bias[np.add.outer(np.add.outer(np.arange(4), np.arange(4)), np.arange(4)) > BIAS_ORDER] = 0.0
    noise_std = abs(float(_maybe_uniform(rng, chance, settings.noise, 1)[0]))
    return Intensity(
        curve_from,
        np.maximum.accumulate(np.clip(curve_to, 0.0, 1.0)),
        bias if bias.any() else np.empty((0, 0, 0)),
        noise_std,
        int(rng.integers(1 << 63)),
    )


def _generator(*key: object) -> np.random.Generator:
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def _maybe_uniform(rng: np.random.Generator, chance: float, limit: float, size: int) -> NDArray[Any]:
    """Return `size` uniform numbers within ±limit, or zeros; either way the generator moves on alike."""
    happens = rng.random() < chance
    values = rng.uniform(-limit, limit, size)
    return values if happens else np.zeros(size)


def _rotation(angles_radians: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation about x, then y, then z."""
    rotation_33 = np.eye(3)
    for axis, angle in enumerate(angles_radians):
        i, j = [other for other in range(3) if other != axis]
        about_axis_33 = np.eye(3)
        about_axis_33[i, i] = about_axis_33[j, j] = np.cos(angle)
        about_axis_33[i, j], about_axis_33[j, i] = -np.sin(angle), np.sin(angle)
        rotation_33 = about_axis_33 @ rotation_33
    return rotation_33
