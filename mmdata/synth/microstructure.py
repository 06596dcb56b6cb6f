"""Diffusion maps beside FA and MD, with ranges of their own: the tensor's mode and NODDI's three shares.

mode    of the anisotropy (MO): -1 for a pancake, 1 for a cigar.
ICVF    neurites' share of the tissue; it falls with age in the frontal white matter, as FA does.
OD      how much neurites' directions are spread.
ISOVF   free water's share of the voxel.

All are exact numbers to their readers, so no scan has a scale, gamma or bias of its own.
"""

from dataclasses import dataclass

import numpy as np

from mmdata.synth.anatomy import Map, Tissue, front_to_back
from mmdata.synth.participant import Brain

_SMALLEST_SIZE = 1e-3
"""What is nearer to 0, which stands for background, is moved away from it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Microstructure:
    """One map's values in each tissue."""

    wm: float
    gm: float
    csf: float
    bounds: tuple[float, float]
    noise_sd: float
    loss_share: float = 0.0
    """How much of FA's loss with age the white matter's value has."""


MAPS = {
    "MO": Microstructure(wm=0.55, gm=0.0, csf=-0.15, bounds=(-1.0, 1.0), noise_sd=0.25),
    "ICVF": Microstructure(wm=0.65, gm=0.45, csf=0.05, bounds=(0.0, 1.0), noise_sd=0.03, loss_share=1.0),
    "OD": Microstructure(wm=0.20, gm=0.45, csf=0.30, bounds=(0.0, 1.0), noise_sd=0.03),
    "ISOVF": Microstructure(wm=0.05, gm=0.12, csf=0.90, bounds=(0.0, 1.0), noise_sd=0.02),
}


def draw_maps(rng: np.random.Generator, tissue: Tissue, brain: Brain) -> dict[str, Map]:
    """Draw every map of one scan, each of the scan's shape and 0 outside the brain."""
    return {name: _draw_map(rng, tissue, brain, kind) for name, kind in MAPS.items()}


def _draw_map(rng: np.random.Generator, tissue: Tissue, brain: Brain, kind: Microstructure) -> Map:
    loss = kind.loss_share * front_to_back(tissue.mni_mm, brain.fa_loss, brain.posterior_3[2])
    values = kind.wm * tissue.wm * (1 - loss) + kind.gm * tissue.gm + kind.csf * tissue.csf
    values = np.clip(values + rng.normal(0.0, kind.noise_sd, values.shape), *kind.bounds)
    image: Map = np.zeros(tissue.is_brain.shape, dtype=np.float32)
    image[tissue.is_brain] = np.where(np.abs(values) < _SMALLEST_SIZE, _SMALLEST_SIZE, values)
    return image
