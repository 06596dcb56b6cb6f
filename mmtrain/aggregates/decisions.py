"""Decisions for a class at a threshold: confusion counts, those below ten hidden, and what they leave to be said.

A row of the matrix is the people of one true class. Their number is known, so where one of its two cells is small,
neither may be told: the small one reads ``<10``, the other by how much it is at least. Metrics that follow from the
counts are told as the range that they lie in, whatever the hidden cells hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from mmbase.disclosure import SMALLEST_COUNT
from mmtrain.aggregates.people import shown_count
from mmtrain.aggregates.score_bins import ScoreBins
from mmtrain.metrics import decisions as scores
from mmtrain.metrics.predicted import Predicted

Counts = tuple[tuple[int, int], tuple[int, int]]
"""Row: true class. Column: decided class."""
HIDDEN = "hidden"
OF_COUNTS = {
    "balanced_accuracy": scores.BALANCED_ACCURACY,
    "precision": scores.PRECISION,
    "recall": scores.RECALL,
    "f1": scores.F1,
    "macro_precision": scores.MACRO_PRECISION,
    "macro_recall": scores.MACRO_RECALL,
    "macro_f1": scores.MACRO_F1,
}
"""Metrics that the counts give away, by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decisions:
    """A confusion matrix as it may be shown."""

    threshold: float
    cells: tuple[tuple[str, str], tuple[str, str]]
    shares: tuple[tuple[str, str], tuple[str, str]]
    """Of the samples of a true class, in per cent; empty where the count is not told."""
    possible: tuple[Counts, ...]
    """Every matrix that fits what is shown; none where it says too little."""

    @property
    def is_hidden(self) -> bool:
        """Return whether nothing is told."""
        return all(cell == HIDDEN for row in self.cells for cell in row)

    @property
    def is_exact(self) -> bool:
        """Return whether every cell is told."""
        return len(self.possible) == 1


def decide(predicted: Predicted, threshold: float, bins: ScoreBins | None, *, exact: bool = False) -> Decisions:
    """Return the decisions of a split at a threshold.

    Parameters
    ----------
    bins
        What else is told of the split; None: a class has fewer than ten people.
    exact
        Tell every cell.
    """
    counts = count_decisions(predicted, threshold)
    rows, shares, possible = [], [], []
    for label, row in enumerate(counts):
        told = exact or (bins is not None and threshold in bins.decisions[label])
        rows.append(_shown(row, told=told, totals_told=bins is not None))
        shares.append(tuple(f"{100 * n / sum(row):.0f} %" if sum(row) else "" for n in row) if told else ("", ""))
        of_class = predicted.select(predicted.truth == label)
        is_one_each = of_class.num_participants == len(of_class.truth)
        possible.append(list(_possible(row, told=told, is_one_each=is_one_each and bins is not None)))
    return Decisions(
        threshold=threshold,
        cells=(rows[0], rows[1]),
        shares=((shares[0][0], shares[0][1]), (shares[1][0], shares[1][1])),
        possible=tuple(product(possible[0], possible[1])),
    )


def count_decisions(predicted: Predicted, threshold: float) -> Counts:
    """Return the samples of each true class by decided class."""
    decided = predicted.prediction >= threshold
    rows = [
        (int(np.sum((predicted.truth == label) & ~decided)), int(np.sum((predicted.truth == label) & decided)))
        for label in (0.0, 1.0)
    ]
    return rows[0], rows[1]


def decided_metrics(decisions: Decisions) -> dict[str, tuple[float, float]]:
    """Return the lowest and highest value of each metric that follows from the counts; none where nothing is known."""
    if not decisions.possible:
        return {}
    counts_D22 = np.array(decisions.possible, np.float64)
    values = {name: score.of_confusions(counts_D22) for name, score in OF_COUNTS.items()}
    return {name: (float(found.min()), float(found.max())) for name, found in values.items()}


def _shown(row: tuple[int, int], *, told: bool, totals_told: bool) -> tuple[str, str]:
    if told:
        return f"{row[0]:,}", f"{row[1]:,}"
    small = [0 < count < SMALLEST_COUNT for count in row]
    if not totals_told or not any(small):
        return HIDDEN, HIDDEN
    least = max(0, sum(row) - SMALLEST_COUNT)
    return shown_count(row[0]) if small[0] else f">{least:,}", shown_count(row[1]) if small[1] else f">{least:,}"


def _possible(row: tuple[int, int], *, told: bool, is_one_each: bool) -> Iterator[tuple[int, int]]:
    """Yield every row that fits what is shown of one."""
    if told:
        yield row
    elif is_one_each and any(0 < count < SMALLEST_COUNT for count in row):
        for small in range(1, SMALLEST_COUNT):
            yield (small, sum(row) - small) if 0 < row[0] < SMALLEST_COUNT else (sum(row) - small, small)
