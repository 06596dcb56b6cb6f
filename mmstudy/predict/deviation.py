"""In what a scan, a table or a store differs from what a model takes for granted."""

import math
from dataclasses import dataclass

from mmbase.disclosure import rounded


@dataclass(frozen=True, kw_only=True, slots=True)
class Deviation:
    """One mismatch; a row that has one is refused, unless `mm predict --allow NAME` takes it."""

    name: str
    """A short fixed word, the same for every mismatch alike, e.g. ``x-flipped``; what `--allow` takes."""
    where: str
    """The modality or the field."""
    meaning: str
    """What it means in plain words; a sentence."""
    expected: str
    """To follow "expected:"; never an identifier or a path."""
    got: str
    remedy: str
    """What to do; a sentence."""

    @property
    def label(self) -> str:
        """Return the name and where it is: the short form, for cells of tables."""
        return f"{self.name} ({self.where})"

    def __str__(self) -> str:
        return f"{self.label}: {self.meaning} Expected: {self.expected}, got: {self.got}. {self.remedy}"


def range_text(low: float, high: float) -> str:
    """Return a range of numbers in words; infinite ends are none.

    >>> range_text(1543.2, 1870.0), range_text(0.9274, math.inf), range_text(-math.inf, 1.2)
    ('1,540 to 1,870', 'at least 0.927', 'at most 1.2')
    """
    if math.isinf(high):
        return f"at least {number_text(low)}"
    return f"at most {number_text(high)}" if math.isinf(low) else f"{number_text(low)} to {number_text(high)}"


def number_text(number: float) -> str:
    """Return a number in three digits, with commas between thousands."""
    return f"{rounded(number):,g}"
