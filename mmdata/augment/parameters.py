"""How far augmented copies may differ from the volume they are made of: the section ``[augment]`` of `study.toml`.

A kind is one change that a copy may have. Geometry is the same for all modalities of a sample; contrast and
artefacts are drawn for each modality.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar

from pydantic import ConfigDict

GEOMETRY_KINDS = ("rotation", "shear", "scale", "translation", "elastic", "crop", "inflation")
CONTRAST_KINDS = ("histogram_shift", "gamma", "bias_field")
ARTEFACT_KINDS = ("noise", "gibbs", "spikes", "ghosting", "motion", "blur", "anisotropy")
KINDS = (*GEOMETRY_KINDS, *CONTRAST_KINDS, *ARTEFACT_KINDS)
RARE_PROBABILITY = 0.1
"""Of what a scan with a visible fault has: most of those are not in a release."""
LARGEST_AMOUNTS = {
    "rotation_degrees": 180.0,
    "shear_degrees": 45.0,
    "scale": 0.5,
    "crop": 0.5,
    "inflation": 0.5,
    "histogram_shift": 1.0,
    "gamma": 3.0,
    "noise": 1.0,
    "gibbs": 0.9,
    "spikes": 1.0,
    "ghosting": 1.0,
    "motion_degrees": 180.0,
}
"""Above these the result is no volume any more; amounts that are not named may be any number from 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentSettings:
    """How far augmented copies may differ from the volume they are made of."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    sides: tuple[int, ...] = (64,)
    """Resolution levels to make copies of."""
    probability: float = 0.5
    """Chance of each kind of change, on its own, in each copy, but for those that [augment.probabilities] names."""
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
    crop: float = 0.01
    """Largest share of the cube's edge that is cut away before what is left is scaled back to the whole cube."""
    inflation: float = 0.05
    """Largest swelling or shrinking about the centre of the cube, fading outwards."""
    histogram_shift: float = 0.05
    """Largest vertical move of the 3 to 6 control points of the intensity curve, as a share of the range."""
    gamma: float = 0.2
    """Largest natural logarithm, up or down, of the exponent of the intensities."""
    bias_field: float = 0.1
    """Largest coefficient of the third-order polynomial in the bias field's exponent."""
    noise: float = 0.02
    """Largest standard deviation of Rician noise inside the brain, as a share of the range."""
    gibbs: float = 0.5
    """Largest share of k-space lines that are cut off along each axis, which makes edges ring."""
    spikes: float = 0.05
    """Largest amplitude of the stripes that a spike in k-space makes, as a share of the range."""
    ghosting: float = 0.5
    """Largest share by which every second to sixth k-space line is too weak."""
    motion_mm: float = 3.0
    """Largest shift along each axis during the acquisition of k-space."""
    motion_degrees: float = 3.0
    """Largest rotation about each axis during the acquisition of k-space."""
    blur_mm: float = 1.5
    """Largest standard deviation of Gaussian blur."""
    anisotropy_mm: float = 6.0
    """Thickest slices, along one axis, through which the volume is seen; the thinnest are half as thick."""
    probabilities: dict[str, float] = field(default_factory=lambda: dict.fromkeys(ARTEFACT_KINDS, RARE_PROBABILITY))
    """Chances of kinds that differ from `probability`; kinds are rotation, shear, scale, translation, elastic, crop,
    inflation, histogram_shift, gamma, bias_field, noise, gibbs, spikes, ghosting, motion, blur and anisotropy."""

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.probabilities if kind not in KINDS]
        if unknown:
            raise ValueError(f"probabilities may name {', '.join(KINDS)}, got {unknown[0]}")
        chances = {"probability": self.probability}
        chances |= {f"probabilities.{kind}": chance for kind, chance in self.probabilities.items()}
        for name, chance in chances.items():
            if not 0 <= chance <= 1:
                raise ValueError(f"{name} must be 0 to 1, got {chance}")
        for name, amount in self.amounts().items():
            largest = LARGEST_AMOUNTS.get(name, math.inf)
            if not 0 <= amount <= largest or not math.isfinite(amount):
                to = f" to {largest:g}" if math.isfinite(largest) else ""
                raise ValueError(f"{name} must be a number from 0{to}, got {amount}")

    def chance_of(self, kind: str) -> float:
        """Return the probability of one kind of change in a copy."""
        return self.probabilities.get(kind, self.probability)

    def amounts(self) -> Mapping[str, float]:
        """Return how far each kind may go, by the name of its setting."""
        others = ("sides", "probability", "probabilities")
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in others}
