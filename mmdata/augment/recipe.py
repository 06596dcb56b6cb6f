"""What one copy is made from: drawn here, applied by `apply`.

The draw is a pure function of (seed, sample, copy), and of the modality for what differs between modalities. Every kind
draws from a generator of its own, so one kind's settings change nothing of another's numbers. Lengths are in mm, so a
recipe means the same at every resolution level.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmdata.augment.parameters import GEOMETRY_KINDS, AugmentSettings
from mmdata.augment.streams import generators

DRAWING_VERSION = 1
"""Goes up whenever the same settings and seed would give another recipe, or a recipe another copy."""
CONTROL_POINTS = 9
"""Control points of the displacement along each axis of the cube; the outermost lie outside it."""
BIAS_ORDER = 3
"""Order of the bias field's polynomial."""
SPIKE_CYCLES = 12
"""Most cycles of a spike's stripes along each axis of the cube."""
GHOST_INTERVALS = (2, 6)
MOTION_TIMES = ((0.2, 0.4), (0.6, 0.8))
"""When the head comes to lie still, and when it moves again. In between, around the centre of k-space, nobody moves:
the centre decides where the brain is seen."""
_NO_DISPLACEMENT = np.empty((3, 0, 0, 0))
_BIAS_ORDERS = np.indices([BIAS_ORDER + 1] * 3).sum(axis=0)
_BIAS_SHAPES = (_BIAS_ORDERS > 0) & (_BIAS_ORDERS <= BIAS_ORDER)
"""Which coefficients of the bias field are drawn: a constant would only make the whole brighter."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where each voxel of the copy comes from: ``source = linear @ p + shift + displacement(p)``."""

    linear_33: Floats = field(default_factory=lambda: np.eye(3))
    """Acts on positions relative to the grid's centre."""
    shift_mm: Floats = field(default_factory=lambda: np.zeros(3))
    """Shape (3,)."""
    displacement_mm: Floats = field(default_factory=lambda: _NO_DISPLACEMENT)
    """Cubic B-spline coefficients, shape (3, n, n, n); empty where there is none."""
    inflation: float = 0.0
    """Share by which positions near the centre move towards it, so that the brain swells; below 0 it shrinks."""

    @property
    def is_identity(self) -> bool:
        """Whether no voxel moves."""
        moved = self.shift_mm.any() or self.displacement_mm.size or self.inflation
        return not moved and np.array_equal(self.linear_33, np.eye(3))


@dataclass(frozen=True, slots=True)
class Motion:
    """A head in another pose before and after the centre of k-space is acquired."""

    poses: tuple[Geometry, Geometry]
    """Before and after; rotation and shift alone."""
    times: tuple[float, float]
    """When the first pose ends and the second begins; k-space takes from 0 to 1, its centre is at 0.5."""
    axis: int
    """Along which k-space is acquired line by line."""


@dataclass(frozen=True, slots=True)
class Intensity:
    """How the intensities of one modality change; all shares are of the stored range 0 to 1."""

    curve: Floats = field(default_factory=lambda: np.empty(0))
    """Heights of the intensity curve at evenly spaced control points from 0 to 1, never falling; empty: unchanged."""
    gamma: float = 1.0
    bias_coefficients: Floats = field(default_factory=lambda: np.empty((0, 0, 0)))
    """Legendre coefficients, shape (n, n, n), of the logarithm of the bias field; empty where there is none."""
    noise_std: float = 0.0
    noise_starts: tuple[float, float] = (0.0, 0.0)
    """Where, from 0 to 1, the noise of both channels is taken from the pool."""
    gibbs: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Share of k-space lines cut off along each axis."""
    spike: float = 0.0
    """Amplitude of the stripes."""
    spike_cycles: tuple[int, int, int] = (0, 0, 0)
    """Of the stripes along each axis of the cube."""
    spike_phase: float = 0.0
    """In radians."""
    ghosting: float = 0.0
    """Share by which the lines are too weak."""
    ghosting_interval: int = 2
    """Every how many-th line is."""
    ghosting_axis: int = 0
    motion: Motion | None = None
    blur_mm: float = 0.0
    """Standard deviation."""
    slice_mm: float = 0.0
    """Thickness of the slices; 0: as they are."""
    slice_axis: int = 0


def draw_geometries(settings: AugmentSettings, seed: int, sample_ids: Sequence[str], copy: int) -> list[Geometry]:
    """Draw the geometry that all modalities of a sample share in one copy, for each of some samples."""
    num = len(sample_ids)
    limits = {
        "rotation": (settings.rotation_degrees, (3,)),
        "shear": (settings.shear_degrees, (3,)),
        "scale": (settings.scale, (3,)),
        "translation": (settings.translation_mm, (3,)),
        "crop": (settings.crop, ()),
        "inflation": (settings.inflation, ()),
    }
    drawn = {kind: np.zeros((num, *shape)) for kind, (_, shape) in limits.items()}
    displacements = [_NO_DISPLACEMENT] * num
    for index, kind, rng in _happening(settings, GEOMETRY_KINDS, [f"{seed}/{name}/{copy}" for name in sample_ids]):
        if kind == "elastic":
            displacements[index] = rng.uniform(-settings.elastic_mm, settings.elastic_mm, (3, *[CONTROL_POINTS] * 3))
        else:
            limit, shape = limits[kind]
            drawn[kind][index] = rng.uniform(-limit, limit, shape)
    shear_B33 = np.tile(np.eye(3), (num, 1, 1))
    shear_B33[:, *np.triu_indices(3, 1)] = np.tan(np.deg2rad(drawn["shear"]))
    sizes_B3 = (1.0 + drawn["scale"]) * (1.0 - np.abs(drawn["crop"]))[:, None]
    linear_B33 = rotation_33(drawn["rotation"]) @ shear_B33 * sizes_B3[:, None]
    return [
        Geometry(*parts)
        for parts in zip(linear_B33, drawn["translation"], displacements, drawn["inflation"].tolist(), strict=True)
    ]


def draw_geometry(settings: AugmentSettings, seed: int, sample_id: str, copy: int) -> Geometry:
    """Draw the geometry of one sample; see `draw_geometries`."""
    return draw_geometries(settings, seed, [sample_id], copy)[0]


def draw_intensities(
    settings: AugmentSettings, seed: int, sample_ids: Sequence[str], copy: int, modalities: Sequence[str]
) -> list[list[Intensity]]:
    """Draw the intensity changes of one copy, for each of some samples and each of its modalities."""
    keys = [f"{seed}/{name}/{copy}/{modality}" for name in sample_ids for modality in modalities]
    drawn: list[dict[str, object]] = [{} for _ in keys]
    for index, kind, rng in _happening(settings, tuple(_INTENSITY_DRAWS), keys):
        drawn[index] |= _INTENSITY_DRAWS[kind](rng, settings)
    recipes = [Intensity(**values) for values in drawn]  # type: ignore[arg-type]
    return [recipes[start : start + len(modalities)] for start in range(0, len(recipes), len(modalities))]


def draw_intensity(settings: AugmentSettings, seed: int, sample_id: str, copy: int, modality: str) -> Intensity:
    """Draw the intensity changes of one modality of one sample; see `draw_intensities`."""
    return draw_intensities(settings, seed, [sample_id], copy, [modality])[0][0]


def rotation_33(degrees: Floats) -> Floats:
    """Return the rotation about x, then y, then z.

    Parameters
    ----------
    degrees
        Shape (..., 3).

    Returns
    -------
    rotation
        Shape (..., 3, 3).
    """
    angles = np.deg2rad(degrees)
    cosines, sines = np.cos(angles), np.sin(angles)
    rotation = np.eye(3)
    for axis in range(3):
        i, j = [other for other in range(3) if other != axis]
        about_axis = np.tile(np.eye(3), (*angles.shape[:-1], 1, 1))
        about_axis[..., i, i] = about_axis[..., j, j] = cosines[..., axis]
        about_axis[..., i, j], about_axis[..., j, i] = -sines[..., axis], sines[..., axis]
        rotation = about_axis @ rotation
    return rotation


def _happening(
    settings: AugmentSettings, kinds: Sequence[str], keys: Sequence[str]
) -> Iterator[tuple[int, str, np.random.Generator]]:
    """Yield the index of a key, a kind that happens to it, and the generator of both."""
    chances = {kind: chance for kind in kinds if (chance := settings.chance_of(kind))}
    both = [(index, kind) for kind in chances for index in range(len(keys))]
    named = [f"{kind}/{key}" for kind in chances for key in keys]
    for number, rng in generators(named, [chance for chance in chances.values() for _ in keys]):
        yield *both[number], rng


def _draw_curve(rng: np.random.Generator, settings: AugmentSettings) -> dict[str, object]:
    curve = np.linspace(0.0, 1.0, int(rng.integers(3, 7)))
    curve[1:-1] += rng.uniform(-settings.histogram_shift, settings.histogram_shift, len(curve) - 2)
    return {"curve": np.maximum.accumulate(np.clip(curve, 0.0, 1.0))}


def _draw_bias(rng: np.random.Generator, settings: AugmentSettings) -> dict[str, object]:
    coefficients = rng.uniform(-settings.bias_field, settings.bias_field, _BIAS_SHAPES.shape)
    return {"bias_coefficients": np.where(_BIAS_SHAPES, coefficients, 0.0)}


def _draw_noise(rng: np.random.Generator, settings: AugmentSettings) -> dict[str, object]:
    std = rng.uniform(0.0, settings.noise)
    return {"noise_std": std, "noise_starts": tuple(rng.random(2).tolist())}


def _draw_spike(rng: np.random.Generator, settings: AugmentSettings) -> dict[str, object]:
    cycles = rng.integers(-SPIKE_CYCLES, SPIKE_CYCLES + 1, 3)
    cycles[rng.integers(3)] = rng.integers(SPIKE_CYCLES // 3, SPIKE_CYCLES + 1)  # no spike at the centre of k-space
    amplitude, phase = rng.uniform(0.0, settings.spikes), rng.uniform(0.0, 2 * np.pi)
    return {"spike": amplitude, "spike_cycles": tuple(cycles.tolist()), "spike_phase": phase}


def _draw_ghosting(rng: np.random.Generator, settings: AugmentSettings) -> dict[str, object]:
    fewest, most = GHOST_INTERVALS
    return {
        "ghosting": rng.uniform(0.0, settings.ghosting),
        "ghosting_interval": int(rng.integers(fewest, most + 1)),
        "ghosting_axis": int(rng.integers(3)),
    }


def _draw_motion(rng: np.random.Generator, settings: AugmentSettings) -> dict[str, object]:
    degrees = rng.uniform(-settings.motion_degrees, settings.motion_degrees, (2, 3))
    shifts_mm = rng.uniform(-settings.motion_mm, settings.motion_mm, (2, 3))
    first, second = map(Geometry, rotation_33(degrees), shifts_mm)
    still, moves = (float(rng.uniform(*times)) for times in MOTION_TIMES)
    return {"motion": Motion((first, second), (still, moves), int(rng.integers(3)))}


_INTENSITY_DRAWS: dict[str, Callable[[np.random.Generator, AugmentSettings], dict[str, object]]] = {
    "histogram_shift": _draw_curve,
    "gamma": lambda rng, settings: {"gamma": float(np.exp(rng.uniform(-settings.gamma, settings.gamma)))},
    "bias_field": _draw_bias,
    "noise": _draw_noise,
    "gibbs": lambda rng, settings: {"gibbs": tuple(rng.uniform(0.0, settings.gibbs, 3).tolist())},
    "spikes": _draw_spike,
    "ghosting": _draw_ghosting,
    "motion": _draw_motion,
    "blur": lambda rng, settings: {"blur_mm": rng.uniform(0.0, settings.blur_mm)},
    "anisotropy": lambda rng, settings: {
        "slice_mm": rng.uniform(settings.anisotropy_mm / 2, settings.anisotropy_mm),
        "slice_axis": int(rng.integers(3)),
    },
}
