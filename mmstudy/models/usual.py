"""What is usual of one number among the training participants, and from where on a new one is called unlike them.

Terms
-----
sign     a number that is measured of one scan, e.g. its brain's volume on the grid; the table of signs is
         `mmstudy.models.signs`.
spread   root mean squared distance from the median, of those below it and of those above it apart: few signs are
         symmetric. Fewer than 20 people share one spread.
limit    the median and so many spreads to either side that a good scan passes all limits together but for
         `FALSE_ALARM_RATE`, were its signs normally distributed; times `MARGIN`, because their tails are longer.

The factor is Student's t for one more observation of the same kind, at a rate that is divided by the number of limits
(Bonferroni's bound), so that it widens where there were few people to learn from. Its degrees of freedom are those of
one spread: half of the people, where each side has its own; else the people less two. Both are choices that a
simulation has checked. No limit is nearer to the median than the sign's `least`, below which a difference does no harm.

Source: prediction interval of one more normal observation, e.g. Hahn and Meeker, Statistical Intervals, Wiley 1991.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from scipy.special import stdtrit

from mmbase.disclosure import SMALLEST_COUNT, rounded
from mmbase.json_text import EXACT, Count, Finite

FALSE_ALARM_RATE = 0.005
"""Of good scans, all limits of one scan together, that are called unlike the training participants by chance."""
MARGIN = 1.25
"""For the long tails of real cohorts; of synthetic signs all but one in 500 good scans passed without it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usual:
    """One number among the training participants; told of ten people at least, and of nobody singly."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    people: Count
    median: Finite
    below: Finite
    """Spread of those below the median."""
    above: Finite
    """Spread of those above it."""

    def limits(self, num_limits: int, *, least: float = 0.0, margin: float = MARGIN) -> tuple[float, float]:
        """Return between which values a new scan is not called unlike the training participants.

        Parameters
        ----------
        num_limits
            How many such limits share the false alarms: those that one scan is held against, both ends of each range
            counted.
        least
            Distance from the median that is harmless, in the number's own unit.
        margin
            How many times as far away the limits lie as those of normal numbers; 1 where the number is nearly normal.
        """
        degrees = self.people - 2 if _shares_one_spread(self.people) else self.people // 2
        quantile = float(stdtrit(degrees, 1 - FALSE_ALARM_RATE / num_limits))
        factor = margin * quantile * (1 + 1 / self.people) ** 0.5
        return self.median - max(least, factor * self.below), self.median + max(least, factor * self.above)


def usual_of(values: NDArray[np.float64]) -> Usual | None:
    """Return what is usual of a number; None where fewer than ten people have it.

    >>> usual_of(np.arange(9.0)) is None, usual_of(np.array([1.0] * 12 + [3.0] * 8)).above
    (True, 1.26)
    """
    known = values[np.isfinite(values)]
    if len(known) < SMALLEST_COUNT:
        return None
    median = float(np.median(known))
    parts = [known, known] if _shares_one_spread(len(known)) else [known[known <= median], known[known >= median]]
    below, above = (float(np.sqrt(np.mean((part - median) ** 2))) for part in parts)
    return Usual(people=len(known), median=_told(median), below=rounded(below), above=rounded(above))


def usual_of_all(values: Mapping[str, NDArray[np.float64]]) -> dict[str, Usual]:
    """Return what is usual of several numbers, of those that ten people or more have."""
    return {name: usual for name, column in values.items() if (usual := usual_of(column)) is not None}


def _shares_one_spread(people: int) -> bool:
    """Return whether people are too few to tell of each half apart."""
    return people < 2 * SMALLEST_COUNT


def _told(median: float) -> float:
    """Return a median as it is told: with five digits, since limits lie a few spreads around it."""
    return float(f"{median:.5g}")
