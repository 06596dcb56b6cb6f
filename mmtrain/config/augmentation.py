"""How training samples are changed from epoch to epoch."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict

from mmbase.settings import DERIVED, STRICT
from mmdata.augment.parameters import AugmentSettings
from mmtrain.errors import TrainError

AugmentMode = Literal["precomputed", "on-device", "hybrid", "none"]
CopyOrder = Literal["by-sample", "by-epoch"]
READING_COPIES: tuple[AugmentMode, ...] = ("precomputed", "hybrid")
"""Modes that read copies which exist."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentationConfig:
    """How training samples are changed from epoch to epoch."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    augment: AugmentMode = "precomputed"
    """Read copies that exist (precomputed), change volumes on the device in every epoch (on-device), both (hybrid) or
    neither (none); mm bench says which is fastest here."""
    augmentation: Annotated[AugmentSettings, DERIVED] = field(default_factory=AugmentSettings)
    """How far samples are changed on the device; those of the study."""
    extent_mm: Annotated[float, DERIVED] = 192.0
    """Edge length of the cube that the volumes cover."""
    copies: int | None = None
    """Augmented copies to use beside the volume itself; left out: all there are."""
    copy_order: CopyOrder = "by-sample"
    """Which copy an epoch reads: every sample goes through the volume itself and all its copies from a start of its own
    (by-sample), or all read the same augmented copy, in each epoch the next, as the reference (by-epoch)."""

    def __post_init__(self) -> None:
        if self.copies is not None and self.copies < 0:
            raise TrainError(f"copies must not be negative, got {self.copies}.")

    @property
    def reads_copies(self) -> bool:
        """Return whether training samples are read from precomputed copies."""
        return self.augment in READING_COPIES

    @property
    def changes_batches(self) -> bool:
        """Return whether volumes are changed on the device."""
        return self.augment in ("on-device", "hybrid")
