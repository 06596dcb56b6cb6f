"""Augmented copies of the same brains by this project and by TorchIO: all transforms, and a realistic mixture.

Both have one process and one thread, hold their volumes in memory, and give float32 volumes in memory. What each does
and does not do is in `WHAT_EACH_DOES`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torchio as tio

from benchmarks.fixtures import make_fixtures
from mmdata.augment.apply import augment_batch
from mmdata.augment.parameters import AugmentSettings
from mmdata.augment.recipe import Geometry, Intensity, draw_geometry, draw_intensity, rotation_33
from mmdata.store.array import open_array
from mmdata.volume.preprocess import as_fractions

SIDES = (64, 128)
PARTICIPANTS, NUM_VOLUMES = 40, 4
REPEATS = 5
SHARED = ("affine", "elastic", "bias_field", "gamma", "noise", "motion", "ghosting", "spikes", "blur", "anisotropy")
"""What both contenders can do; affine is rotation, shear, scale and translation here, without shear in TorchIO."""
WHAT_EACH_DOES = {
    "mm": "draws and applies rotation, shear, scale, translation, elastic (9 x 9 x 9 control points), bias field, "
    "gamma, Rician noise, motion (two poses), ghosting, spikes, blur, anisotropy; background exactly 0",
    "torchio": "RandomAffine, RandomElasticDeformation (7 x 7 x 7 control points), RandomBiasField, RandomGamma, "
    "RandomNoise (Gaussian), RandomMotion (two poses), RandomGhosting, RandomSpike, RandomBlur, RandomAnisotropy, "
    "with our amounts where they mean the same; the background is not kept at 0",
    "mm_mixture": "all 17 kinds of mm, each with the chance that a new study gives it",
    "torchio_mixture": "TorchIO's ten transforms with the same chances; where mm has several kinds for one of them, "
    "the chance that any of these happens",
}
_SMALLEST_PARITY = 0.995


@dataclass(frozen=True, slots=True)
class Brains:
    """Volumes of one side."""

    volumes: list[torch.Tensor]
    """Float32, 0 to 1, shape (side, side, side)."""
    subjects: list[tio.Subject]
    """The same for TorchIO."""
    extent_mm: float


Contender = Callable[[Brains, int, int], torch.Tensor]
"""Returns the copy of one volume by its index, given the number of the repeat."""


def bench_augment(folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Measure copies of synthetic T1 brains at both sides; return what was measured, and the ratios."""
    fixtures = make_fixtures(folder, PARTICIPANTS)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times: dict[int, dict[str, list[float]]] = {}
    parity: dict[int, dict[str, float]] = {}
    likeness: dict[int, dict[str, float]] = {}
    for side in SIDES:
        brains = _read_brains(fixtures.layout.volume_array("t1", side), fixtures.rows[:NUM_VOLUMES])
        contenders = _contenders()
        parity[side] = require_parity(brains)
        likeness[side] = {name: _likeness(brains, contenders[name]) for name in ("mm", "torchio")}
        times[side] = _measure(brains, contenders)
    torch.set_num_threads(num_threads)
    medians = {side: {name: median(ms) for name, ms in of_side.items()} for side, of_side in times.items()}
    measured = {
        "volumes": NUM_VOLUMES,
        "repeats": REPEATS,
        "transforms": SHARED,
        "median_ms_per_copy": {str(side): {n: round(ms, 2) for n, ms in of.items()} for side, of in medians.items()},
        "all_ms_per_copy": {
            str(side): {name: [round(value, 2) for value in ms] for name, ms in of_side.items()}
            for side, of_side in times.items()
        },
        "correlation_for_the_same_parameters": {str(side): of_side for side, of_side in parity.items()},
        "correlation_of_all_transforms_with_the_volume": {str(side): of_side for side, of_side in likeness.items()},
        "what_each_does": WHAT_EACH_DOES,
    }
    return measured, augment_ratios(medians)


def augment_ratios(median_ms: Mapping[int, Mapping[str, float]]) -> dict[str, float]:
    """Return how many times as fast as TorchIO a copy is made, with all transforms and in the realistic mixture."""
    ratios: dict[str, float] = {}
    for suffix, ours, theirs in (("", "mm", "torchio"), ("_mixture", "mm_mixture", "torchio_mixture")):
        of_side = {side: round(ms[theirs] / ms[ours], 2) for side, ms in median_ms.items()}
        ratios |= {f"augment{suffix}_vs_torchio_{side}": ratio for side, ratio in of_side.items()}
        ratios[f"augment{suffix}_vs_torchio"] = min(of_side.values())
    return ratios


def require_parity(brains: Brains) -> dict[str, float]:
    """Return the correlation of both contenders' results for the same parameters; fail where they differ.

    Only what is determined by parameters alone can be compared: the others draw waves, lines or noise of their own.
    """
    degrees, shift_mm = np.array([0.0, 0.0, 4.0]), np.array([3.0, -2.0, 1.0])
    source_from_target_33 = rotation_33(degrees).T
    moved = Geometry(linear_33=source_from_target_33, shift_mm=-source_from_target_33 @ shift_mm)
    affine = tio.Affine((1, 1, 1), tuple(degrees), tuple(shift_mm), center="image")
    pairs = {
        "affine": (moved, Intensity(), affine),
        "gamma": (Geometry(), Intensity(gamma=1.2), tio.Gamma(1.2)),
        "blur": (Geometry(), Intensity(blur_mm=2.0), tio.Blur((2.0, 2.0, 2.0))),
    }
    found = {}
    for name, (geometry, intensity, transform) in pairs.items():
        ours = augment_batch(brains.volumes[0][None, None], [geometry], [[intensity]], brains.extent_mm)[0, 0]
        found[name] = round(_correlation(ours, _voxels(transform(brains.subjects[0]))), 5)
    if min(found.values()) < _SMALLEST_PARITY:
        raise RuntimeError(f"the same parameters give other volumes: {found}")
    return found


def _read_brains(path: Path, rows: Sequence[int]) -> Brains:
    array = open_array(path)
    affine_44 = np.asarray(array.attributes["affine_ras"])
    volumes = list(torch.from_numpy(as_fractions(array.read_rows([(row,) for row in rows]))))
    subjects = [tio.Subject(t1=tio.ScalarImage(tensor=volume[None].clone(), affine=affine_44)) for volume in volumes]
    return Brains(volumes, subjects, float(affine_44[0, 0]) * array.shape[-1])


def _contenders() -> dict[str, Contender]:
    mixture = AugmentSettings()
    ours = dict.fromkeys(("histogram_shift", "crop", "inflation", "gibbs"), 0.0)  # TorchIO has none of them
    every = replace(mixture, probability=1.0, probabilities=ours)
    return {
        "mm": lambda brains, index, repeat: _mm(every, brains, index, repeat),
        "torchio": lambda brains, index, repeat: _torchio(None, brains, index, repeat),
        "mm_mixture": lambda brains, index, repeat: _mm(mixture, brains, index, repeat),
        "torchio_mixture": lambda brains, index, repeat: _torchio(mixture, brains, index, repeat),
    }


def _measure(brains: Brains, contenders: Mapping[str, Contender]) -> dict[str, list[float]]:
    """Time every contender, turn and turn about, after one round to warm up; return milliseconds a copy.

    Seconds of the processor count: what else a machine does at the time changes them little.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(-1, REPEATS):
        for name, contender in contenders.items():
            started = time.process_time()
            for index in range(NUM_VOLUMES):
                contender(brains, index, repeat)
            if repeat >= 0:
                times[name].append((time.process_time() - started) * 1000 / NUM_VOLUMES)
    return times


def _likeness(brains: Brains, contender: Contender) -> float:
    """Return the median correlation of copies with their volumes: all transforms at once, and still the same brain."""
    copies = [contender(brains, index, 0) for index in range(NUM_VOLUMES)]
    return round(median(_correlation(*pair) for pair in zip(brains.volumes, copies, strict=True)), 4)


def _correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the correlation where both are brain."""
    inside = (first > 0) & (second > 0)
    return float(np.corrcoef(first[inside], second[inside])[0, 1])


def _mm(settings: AugmentSettings, brains: Brains, index: int, repeat: int) -> torch.Tensor:
    sample_id = f"sample{index}"
    geometry = draw_geometry(settings, 1, sample_id, repeat)
    recipe = draw_intensity(settings, 1, sample_id, repeat, "t1")
    volumes_BCXYZ = brains.volumes[index][None, None]
    return augment_batch(volumes_BCXYZ, [geometry], [[recipe]], brains.extent_mm)[0, 0]


def _torchio(chances: AugmentSettings | None, brains: Brains, index: int, repeat: int) -> torch.Tensor:
    torch.manual_seed(1000 * index + repeat)
    spacing_mm = brains.extent_mm / brains.volumes[index].shape[0]
    return _voxels(_compose(chances, spacing_mm)(brains.subjects[index]))


def _voxels(subject: Any) -> torch.Tensor:
    voxels: torch.Tensor = subject["t1"].data[0]
    return voxels


def _compose(chances: AugmentSettings | None, spacing_mm: float) -> tio.Compose:
    """Return TorchIO's transforms with our amounts, always or with the chances of settings."""
    amounts = AugmentSettings()
    thickest = max(1.0, amounts.anisotropy_mm / spacing_mm)
    slices = (max(1.0, thickest / 2), thickest)

    def chance(*kinds: str) -> float:
        return 1.0 if chances is None else 1.0 - float(np.prod([1 - chances.chance_of(kind) for kind in kinds]))

    return tio.Compose(
        [
            tio.RandomAffine(
                scales=amounts.scale,
                degrees=amounts.rotation_degrees,
                translation=amounts.translation_mm,
                p=chance("rotation", "shear", "scale", "translation", "crop"),
            ),
            tio.RandomElasticDeformation(max_displacement=amounts.elastic_mm, p=chance("elastic", "inflation")),
            tio.RandomBiasField(coefficients=amounts.bias_field, p=chance("bias_field")),
            tio.RandomGamma(log_gamma=amounts.gamma, p=chance("gamma")),
            tio.RandomMotion(degrees=amounts.motion_degrees, translation=amounts.motion_mm, p=chance("motion")),
            tio.RandomGhosting(num_ghosts=(2, 6), intensity=(0.0, amounts.ghosting), p=chance("ghosting")),
            tio.RandomSpike(intensity=(0.0, amounts.spikes), p=chance("spikes")),
            tio.RandomBlur(std=(0.0, amounts.blur_mm), p=chance("blur")),
            tio.RandomAnisotropy(downsampling=slices, p=chance("anisotropy")),
            tio.RandomNoise(std=(0.0, amounts.noise), p=chance("noise")),
        ]
    )
