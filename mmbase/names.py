"""The names that every package shares: splits, modalities and the other input of a model.

A modality is one entry of `MODALITIES`: whatever depends on which modalities there are follows from it.
"""

from dataclasses import dataclass
from typing import Literal

SPLITS = ("train", "val", "test")
"""What a sample is for, in the order of tables."""

METADATA = "metadata"
"""Tabular features as an input of a model."""

AGE = "age"
"""The feature and target that has a person's age at the visit, in years."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Modality:
    """One kind of scan."""

    name: str
    """As in options, settings, the catalogue and the stores."""
    title: str
    """As in tables and pictures."""
    kind: Literal["volume", "edges"]
    """A volume on the study's grid, or the edges of a connectivity matrix."""


MODALITIES = {
    modality.name: modality
    for modality in (
        Modality(name="flair", title="FLAIR", kind="volume"),
        Modality(name="t1", title="T1", kind="volume"),
        Modality(name="dwi", title="diffusion", kind="volume"),
        Modality(name="connectivity", title="connectivity", kind="edges"),
    )
}
"""Every modality by name, volumes first in the channel order of the reference's network."""

VOLUME_MODALITIES = tuple(name for name, modality in MODALITIES.items() if modality.kind == "volume")
CONNECTIVITY = "connectivity"
INPUTS = (*MODALITIES, METADATA)
"""What a model can be trained on."""
