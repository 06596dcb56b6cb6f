"""Prediction intervals: around a prediction, so wide that a stated share of new people lies within (split-conformal).

Terms
-----
calibration   samples that the network was not trained on: the validation split of a run.
score         of a calibration sample: how far off its prediction is, in the target's unit, or in units of its spread.
spread        of a prediction by several models: their standard deviation, not less than a floor.
level         the share of new samples whose truth lies in their intervals, on average over draws of calibration
              samples, where new samples are like those.

The half-width is the ceil((n + 1) level)-th smallest of n scores; there is none where that is more than n. Half-widths
are rounded up, so that none is the error of a single person to the last digit; a wider interval covers no less.

Source: Lei, G'Sell, Rinaldo, Tibshirani, Wasserman (2018), Distribution-free predictive inference for regression,
JASA 113, theorem 2.2; scores in units of a spread: Papadopoulos, Vovk, Gammerman (2011), JAIR 40.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from mmbase.checksums import write_checked
from mmbase.disclosure import SMALLEST_COUNT, rounded_up
from mmbase.files import to_json
from mmbase.json_text import EXACT, Count, Finite
from mmtrain.bundles.part import read_part

INTERVALS_VERSION = 1
LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Those that a bundle has half-widths of."""
FLOOR_PERCENTILE = 10.0
"""Of the calibration samples' spreads: what counts as the least spread, for models may agree by chance."""
_RANK_DIGITS = 9
"""Of (n + 1) level, whose last digits are those of binary fractions."""
Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Predictions of one target for samples that no network was trained on; N samples that have a label."""

    truth_N: Values
    prediction_N: Values
    people_N: NDArray[np.int64]
    """A number for each person, the same for all their visits."""
    spread_N: Values | None = None
    """Of the predictions by several models; None of one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetIntervals:
    """How wide the intervals of one target are; says nothing of any single person."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    num_samples: Annotated[Count, Field(ge=SMALLEST_COUNT)]
    """Calibration samples."""
    half_widths: Mapping[float, Finite]
    """Level to half-width in the target's unit, or in units of the spread; those that the samples suffice for."""
    spread_floor: Finite | None = None
    """The least spread; None: one half-width for everybody."""

    def bounds(self, level: float, prediction_N: Values, spread_N: Values | None = None) -> tuple[Values, Values]:
        """Return the lower and the upper ends, NaN where there is no half-width of this level."""
        scale: Values | float = 1.0
        if self.spread_floor is not None:
            assert spread_N is not None, "calibrated on the spread of several models"
            scale = np.maximum(spread_N, self.spread_floor)
        half_widths = self.half_widths.get(level, math.nan) * scale
        return prediction_N - half_widths, prediction_N + half_widths


@dataclass(frozen=True, slots=True)
class Intervals:
    """The intervals of a model, by target; nothing of those that it has none for, e.g. binary ones."""

    of: Mapping[str, TargetIntervals] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Record:
    """What intervals.json holds."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT

    schema_version: int
    targets: dict[str, TargetIntervals]


def conformal_rank(num: int, level: float) -> int:
    """Return which of the sorted scores is the half-width, counted from 1.

    >>> conformal_rank(19, 0.95), conformal_rank(99, 0.9), conformal_rank(99, 0.55)
    (19, 90, 55)
    """
    return math.ceil(round((num + 1) * level, _RANK_DIGITS))


def conformal_half_width(scores_N: Values, level: float) -> float:
    """Return the half-width that covers a share of new samples; infinite where there are too few scores.

    >>> conformal_half_width(np.array([3.0, 1.0, 2.0, 4.0]), 0.5), conformal_half_width(np.array([1.0]), 0.9)
    (3.0, inf)
    """
    rank = conformal_rank(len(scores_N), level)
    if rank > len(scores_N):
        return math.inf
    return float(np.partition(scores_N, rank - 1)[rank - 1])


def calibrate(calibration: Calibration, levels: Sequence[float] = LEVELS) -> TargetIntervals | None:
    """Return the intervals of a target; None where fewer than ten people calibrate them."""
    if len(np.unique(calibration.people_N)) < SMALLEST_COUNT:
        return None
    scores_N = np.abs(calibration.truth_N - calibration.prediction_N)
    floor = None if calibration.spread_N is None else _spread_floor(calibration.spread_N)
    if floor is not None:
        assert calibration.spread_N is not None
        scores_N = scores_N / np.maximum(calibration.spread_N, floor)
    widths = {level: conformal_half_width(scores_N, level) for level in levels}
    return TargetIntervals(
        num_samples=len(scores_N),
        half_widths={level: rounded_up(width) for level, width in widths.items() if math.isfinite(width)},
        spread_floor=floor,
    )


def write_intervals(path: Path, intervals: Intervals) -> None:
    """Write an intervals.json, and its checksum."""
    write_checked(path, to_json(_to_json(intervals)))


def read_intervals(path: Path) -> Intervals:
    """Read an intervals.json; nothing where there is none, for a model may have been passed on without.

    Raises
    ------
    TrainError
        It is damaged or changed, or a newer version of this program wrote it.
    """
    return Intervals(read_part(path, _Record, INTERVALS_VERSION).targets) if path.exists() else Intervals()


def _to_json(intervals: Intervals) -> dict[str, Any]:
    targets = {
        name: {
            "num_samples": one.num_samples,
            "half_widths": {str(level): width for level, width in one.half_widths.items()},
            "spread_floor": one.spread_floor,
        }
        for name, one in intervals.of.items()
    }
    return {"schema_version": INTERVALS_VERSION, "targets": targets}


def _spread_floor(spread_N: Values) -> float:
    """Return the least spread; 1 where models never differ, and the scores are errors then."""
    floor = float(np.percentile(spread_N, FLOOR_PERCENTILE))
    return rounded_up(floor) if floor > 0 else rounded_up(float(spread_N.max())) or 1.0
