"""The maximal information coefficient MICe of two variables: 0 of independent ones, 1 of functional relations.

Points are put into grids of at most `n ** 0.6` cells. The axis with more parts has equal parts; where the other axis is
cut is chosen so that the mutual information of the grid is largest, and that is divided by the logarithm of the smaller
number of parts. The coefficient is the largest such value of all grids, with either variable on either axis. Equal
values stay in one part. It needs no assumption about the form of a relation, but of few points it is too large: under
independence it falls to 0 only slowly.

A variable of two classes has one grid line, so the coefficient cannot exceed the entropy of its classes in bits.

Source: Reshef, Reshef, Finucane, Sabeti and Mitzenmacher 2016, Measuring dependence powerfully and equitably, Journal
of Machine Learning Research 17(211), 1-63: the equicharacteristic matrix and its algorithm EquicharClump.

Legend of shapes: N points, C clumps of the free axis, R parts of the equal axis.
"""

import numpy as np
from numpy.typing import NDArray

from mmtrain.metrics.metric import Values

EXPONENT = 0.6
"""Of the number of points: the most cells of a grid."""
CLUMPS = 5
"""For each part of the free axis: places at which it may be cut."""


def maximal_information(one_N: Values, other_N: Values) -> float:
    """Return the coefficient; the same for both orders of the variables.

    >>> line = np.arange(200.0)
    >>> round(maximal_information(line, 5 - line), 2), maximal_information(line, np.zeros(200))
    (1.0, 0.0)
    """
    from scipy.stats import rankdata

    ranks = [(rankdata(values) - 0.5) / len(values) for values in (one_N, other_N)]
    return max(_best_of_grids(*ranks), _best_of_grids(*reversed(ranks)))


def _best_of_grids(free_N: Values, equal_N: Values) -> float:
    """Return the best value of all grids with equal parts of one variable, given the ranks of both as shares."""
    most_cells = int(len(free_N) ** EXPONENT)
    found = 0.0
    for num_rows in range(2, most_cells // 2 + 1):
        num_columns = min(num_rows, most_cells // num_rows)
        clumps_N, rows_N = _parts(free_N, CLUMPS * num_columns), _parts(equal_N, num_rows)
        counts_CR = np.zeros((CLUMPS * num_columns, num_rows))
        np.add.at(counts_CR, (clumps_N, rows_N), 1)
        information = _best_cuts(counts_CR[counts_CR.any(axis=1)], num_columns)
        found = max(found, *(value / np.log(number) for number, value in enumerate(information, 2)))
    return float(found)


def _parts(ranks_N: Values, number: int) -> NDArray[np.int64]:
    """Return in which of so many equal parts each point is; points of one rank are in the same."""
    parts: NDArray[np.int64] = np.floor(ranks_N * number).astype(np.int64)
    return parts


def _best_cuts(counts_CR: Values, num_columns: int) -> list[float]:
    """Return the largest mutual information, in nats, with 2 to `num_columns` columns of adjacent clumps.

    What is left of the entropy of the rows is a sum over columns, so the best cuts are found column by column.
    """
    totals_CR = np.concatenate([np.zeros((1, counts_CR.shape[1])), counts_CR.cumsum(axis=0)])
    between_CCR = totals_CR[None] - totals_CR[:, None]
    left_CC = np.where(between_CCR.sum(axis=2) > 0, _times_entropy(np.maximum(between_CCR, 0.0)), np.inf)
    best_C = left_CC[0]
    found = []
    for _ in range(num_columns - 1):
        best_C = np.minimum(best_C, (best_C[:, None] + left_CC).min(axis=0))
        found.append(float((left_CC[0, -1] - best_C[-1]) / totals_CR[-1].sum()))
    return found


def _times_entropy(counts: Values) -> Values:
    """Return the sum of counts along the last axis times their entropy in nats."""
    of_all = counts.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.nan_to_num(counts * np.log(counts), nan=0.0)
        whole = np.nan_to_num(of_all * np.log(of_all), nan=0.0)
    found: Values = whole - parts.sum(axis=-1)
    return found
