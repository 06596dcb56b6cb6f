"""True and predicted values in bins with round edges: a density of people, and mean predictions along the truth."""

from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np
from numpy.typing import NDArray

from mmbase.disclosure import SMALLEST_COUNT, rounded
from mmtrain.aggregates.people import people_in_bins
from mmtrain.metrics.metric import Values
from mmtrain.metrics.predicted import Predicted

MIN_PEOPLE_OF_DENSITY = 100
MIN_SHARE_OF_DENSITY = 0.6
"""Of the people who must lie in cells of ten or more, or a density says nothing."""
NUM_CELLS = (20, 16, 12, 10, 8, 6, 5)
"""Along an axis; the first that meets the share is taken."""
NUM_BINS = 8
INNER_PERCENTILES, FEW_PERCENTILES = (1.0, 99.0), (5.0, 95.0)
"""What axes span before they are rounded outwards; the second where there are fewer than 100 people."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A round range: no end of it is anybody's own value."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Density:
    """Levels of how many people lie in each cell; they say no number but in classes."""

    edges: NDArray[np.float64]
    """Of both axes, shape (E + 1,)."""
    levels: NDArray[np.int64]
    """Shape (E, E), truth by prediction: index into `LEVELS`, -1 of a cell that is not shown."""


LEVELS = (10, 20, 50, 100, 200, 500, 1000)
"""Least number of people of each level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TruthBin:
    """Those whose true value lies in one bin: ten people at least."""

    low: float
    high: float
    mean_truth: float
    mean_prediction: float
    spread: float
    """Standard deviation of the predictions."""
    people: int


def find_axis(values: Values, num_participants: int) -> Axis:
    """Return round bounds of the bulk of some values.

    >>> find_axis(np.linspace(45.2, 79.9, 1000), 1000)
    Axis(low=45.0, high=80.0)
    """
    percentiles = INNER_PERCENTILES if num_participants >= MIN_PEOPLE_OF_DENSITY else FEW_PERCENTILES
    low, high = (float(bound) for bound in np.percentile(values, percentiles))
    if not high > low:
        return Axis(floor(low) - 1.0, floor(low) + 1.0)
    step = round_step((high - low) / 10)
    return Axis(rounded_to(floor(low / step) * step, step), rounded_to(ceil(high / step) * step, step))


def round_step(width: float) -> float:
    """Return the nearest 1, 2 or 5 times a power of ten that is not below a width.

    >>> round_step(3.2), round_step(0.11), round_step(2)
    (5.0, 0.2, 2.0)
    """
    power = 10.0 ** floor(log10(width))
    return next(float(f"{factor * power:.6g}") for factor in (1, 2, 5, 10) if factor * power >= width * (1 - 1e-9))


def rounded_to(value: float, step: float) -> float:
    """Return a value without the noise of floating point below a step."""
    return round(value, max(0, 2 - floor(log10(step))))


def find_density(predicted: Predicted) -> Density | None:
    """Return the density of people over truth and prediction, as fine as it may be; None where it cannot be told."""
    if predicted.num_participants < MIN_PEOPLE_OF_DENSITY:
        return None
    axis = find_axis(np.concatenate([predicted.truth, predicted.prediction]), predicted.num_participants)
    for num_cells in NUM_CELLS:
        edges = np.linspace(axis.low, axis.high, num_cells + 1)
        truth, prediction = (np.digitize(values, edges) - 1 for values in (predicted.truth, predicted.prediction))
        inside = (truth >= 0) & (truth < num_cells) & (prediction >= 0) & (prediction < num_cells)
        cells = truth[inside] * num_cells + prediction[inside]
        people = people_in_bins(cells, predicted.participants[inside], num_cells**2)
        shown = people >= SMALLEST_COUNT
        if people[shown].sum() >= MIN_SHARE_OF_DENSITY * predicted.num_participants:
            levels = np.searchsorted(LEVELS, people, side="right") - 1
            return Density(edges=edges, levels=levels.reshape(num_cells, num_cells))
    return None


def bin_truth(predicted: Predicted) -> list[TruthBin]:
    """Return mean predictions along the truth, in round bins of ten people and more; none where there are too few."""
    if predicted.num_participants < SMALLEST_COUNT:
        return []
    axis = find_axis(predicted.truth, predicted.num_participants)
    step = round_step((axis.high - axis.low) / NUM_BINS)
    edges = np.arange(axis.low, axis.high + step / 2, step)
    found: list[TruthBin] = []
    start = edges[0]
    for end in edges[1:]:
        chosen = predicted.select((predicted.truth >= start) & (predicted.truth < end))
        if chosen.num_participants >= SMALLEST_COUNT:
            found.append(
                TruthBin(
                    low=start,
                    high=end,
                    mean_truth=rounded(float(chosen.truth.mean())),
                    mean_prediction=rounded(float(chosen.prediction.mean())),
                    spread=rounded(float(chosen.prediction.std())),
                    people=chosen.num_participants,
                )
            )
            start = end
    return found
