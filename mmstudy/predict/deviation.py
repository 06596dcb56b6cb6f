"""In what a scan, a table or a store differs from what a model takes for granted."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Deviation:
    """One mismatch; a row that has one is refused, unless `mm predict --allow NAME` takes it."""

    name: str
    """A short fixed word, the same for every mismatch alike, e.g. ``x-flipped``; what `--allow` takes."""
    where: str
    """The modality or the field."""
    expected: str
    """For the middle of a sentence; never an identifier or a path."""
    got: str
    remedy: str
    """What to do; a sentence."""

    def __str__(self) -> str:
        return f"{self.name} ({self.where}): expected {self.expected}, got {self.got}. {self.remedy}"
