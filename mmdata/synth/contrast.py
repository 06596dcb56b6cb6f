"""From tissue shares to the intensities of a T1, a FLAIR, an FA and an MD image, and of any other volume a plain one.

Every image gets tissue levels and a gamma of its own, a bias field and Rician noise (MONAI's), and an arbitrary scale
of 0.7 to 1.4, so that its mean and its histogram say little. Outside the brain it is exactly 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from monai.transforms.intensity.array import RandBiasField, RandRicianNoise

from mmdata.synth.anatomy import Map, Tissue, front_to_back
from mmdata.synth.participant import Brain

_SCALE_RANGE = (0.7, 1.4)
_BIAS_COEFFICIENTS = (-0.03, 0.03)
_BIAS_GRID = (24, 24, 24)
_SMALLEST_IN_BRAIN = 1e-3
_SEX_REGION_MM = np.array([28.0, -14.0, -16.0], dtype=np.float32)
_SEX_REGION_SIGMA_MM = 12.0
_SEX_GAIN = 0.04
_LEVEL_SD = 0.03
_GAMMA_SD = 0.05

ContrastFunction = Callable[[Tissue, Brain, np.random.Generator], Map]


@dataclass(frozen=True, kw_only=True, slots=True)
class Acquisition:
    """What the scanner adds to the anatomy."""

    unit: float
    """Intensity of a share of 1 before the arbitrary scale."""
    noise_sd: float
    """Of the Rician noise, as a share of `unit`."""


T1 = Acquisition(unit=800.0, noise_sd=0.03)
FLAIR = Acquisition(unit=500.0, noise_sd=0.03)
FA = Acquisition(unit=1.0, noise_sd=0.02)
MD = Acquisition(unit=1e-3, noise_sd=0.03)
"""MD is in mm²/s."""


def t1_contrast(tissue: Tissue, brain: Brain, rng: np.random.Generator) -> Map:
    """Return white matter bright, grey matter mid, CSF dark; grey matter near the hippocampi differs by sex."""
    gm, csf = _draw_level(rng, 0.66), _draw_level(rng, 0.22)
    sex = np.float32(1.0) + _sex_region(tissue.mni_mm) * np.float32(_SEX_GAIN * brain.sex_effect)
    values: Map = tissue.wm + gm * tissue.gm * sex + csf * tissue.csf
    return values


def flair_contrast(tissue: Tissue, brain: Brain, rng: np.random.Generator) -> Map:
    """Return grey matter brighter than white, CSF dark, and caps around the ventricles, the frontal ones by age."""
    gm, csf = _draw_level(rng, 0.85), _draw_level(rng, 0.12)
    caps = front_to_back(tissue.mni_mm, brain.flair_caps, brain.posterior_3[1]) * tissue.near_ventricles
    values: Map = gm * tissue.gm + tissue.wm * (np.float32(0.62) + caps) + csf * tissue.csf
    return values


def fa_contrast(tissue: Tissue, brain: Brain, rng: np.random.Generator) -> Map:
    """Return fractional anisotropy: high in white matter, falling with age in its frontal part."""
    gm, csf = _draw_level(rng, 0.15), _draw_level(rng, 0.05)
    loss = front_to_back(tissue.mni_mm, brain.fa_loss, brain.posterior_3[2])
    values: Map = np.float32(0.48) * tissue.wm * (1 - loss) + gm * tissue.gm + csf * tissue.csf
    return values


def md_contrast(tissue: Tissue, brain: Brain, rng: np.random.Generator) -> Map:
    """Return mean diffusivity in 1e-3 mm²/s: high in CSF, rising with age in the frontal white matter."""
    gm, csf = _draw_level(rng, 0.85), _draw_level(rng, 2.8)
    loss = front_to_back(tissue.mni_mm, brain.fa_loss, brain.posterior_3[2])
    values: Map = np.float32(0.70) * tissue.wm * (1 + np.float32(0.5) * loss) + gm * tissue.gm + csf * tissue.csf
    return values


def plain_contrast(tissue: Tissue, brain: Brain, rng: np.random.Generator) -> Map:
    """Return white matter bright, grey matter and CSF darker; nothing is planted but the anatomy itself."""
    gm, csf = _draw_level(rng, 0.75), _draw_level(rng, 0.30)
    values: Map = tissue.wm + gm * tissue.gm + csf * tissue.csf
    return values


def acquire(contrast_P: Map, tissue: Tissue, acquisition: Acquisition, rng: np.random.Generator) -> Map:
    """Return the image a scanner makes of a contrast: gamma, bias, noise, an arbitrary scale, brain-extracted.

    Parameters
    ----------
    contrast_P
        At the brain's voxels, shape (P,).
    """
    scale = acquisition.unit * rng.uniform(*_SCALE_RANGE)
    gamma = np.float32(np.exp(rng.normal(0.0, _GAMMA_SD)))
    biased = np.maximum(contrast_P, 0.0) ** gamma * _bias_field(tissue.is_brain.shape, rng)[tissue.is_brain]
    noise = RandRicianNoise(prob=1.0, std=acquisition.noise_sd, sample_std=False)
    noise.set_random_state(seed=int(rng.integers(2**32)))
    noisy = np.asarray(noise(biased[None]))[0]
    image: Map = np.zeros(tissue.is_brain.shape, dtype=np.float32)
    image[tissue.is_brain] = np.maximum(noisy, _SMALLEST_IN_BRAIN) * scale
    return image


@dataclass(frozen=True, kw_only=True, slots=True)
class Structural:
    """How one kind of image that is not a map looks."""

    contrast_of: ContrastFunction
    acquisition: Acquisition


STRUCTURAL = {
    "t1": Structural(contrast_of=t1_contrast, acquisition=T1),
    "flair": Structural(contrast_of=flair_contrast, acquisition=FLAIR),
}
"""By modality, which is also the name of its random numbers; any other has `PLAIN`."""
PLAIN = Structural(contrast_of=plain_contrast, acquisition=Acquisition(unit=600.0, noise_sd=0.03))


def _draw_level(rng: np.random.Generator, mean: float) -> float:
    """Draw a tissue's intensity in one scan."""
    return float(mean * np.exp(rng.normal(0.0, _LEVEL_SD)))


def _bias_field(shape: tuple[int, ...], rng: np.random.Generator) -> Map:
    """Evaluate MONAI's field on a coarse grid, because on a 1 mm grid it takes seconds, and interpolate it."""
    bias = RandBiasField(prob=1.0, coeff_range=_BIAS_COEFFICIENTS)
    bias.set_random_state(seed=int(rng.integers(2**32)))
    coarse = torch.as_tensor(np.asarray(bias(np.ones((1, *_BIAS_GRID), dtype=np.float32))))
    fine = torch.nn.functional.interpolate(coarse[None], size=shape, mode="trilinear", align_corners=True)
    field: Map = fine[0, 0].numpy()
    return field


def _sex_region(mni_mm: Map) -> Map:
    """Return two smooth blobs, left and right, that peak at 1."""
    squared = (
        (abs(mni_mm[..., 0]) - _SEX_REGION_MM[0]) ** 2
        + (mni_mm[..., 1] - _SEX_REGION_MM[1]) ** 2
        + (mni_mm[..., 2] - _SEX_REGION_MM[2]) ** 2
    )
    blobs: Map = np.exp(squared * np.float32(-0.5 / _SEX_REGION_SIGMA_MM**2))
    return blobs
