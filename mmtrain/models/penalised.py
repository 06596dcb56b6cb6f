"""Ridge and logistic regression at many penalties, from one decomposition of the columns.

Both have an intercept that is not penalised, and minimise what scikit-learn's `Ridge(penalty)` and
`LogisticRegression(C=1 / penalty)` minimise.

Legend of shapes: N samples, P columns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.special import expit

Numbers = NDArray[np.float64]
GRADIENT = 1e-5
"""Largest derivative, by a direction scaled to curvature 1, at which a logistic regression is found: in raw numbers it
is away from the smallest loss by about twice as much, divided by the root of the number of samples."""
MAX_ITERATIONS = 500


@dataclass(frozen=True, slots=True)
class LinearFit:
    """One target's regression."""

    penalty: float
    weights: Numbers
    """Of each column, shape (P,)."""
    bias: float

    def raw(self, x_NP: Numbers) -> Numbers:
        """Return the raw number of each sample, shape (N,)."""
        raw: Numbers = x_NP @ self.weights + self.bias
        return raw


@dataclass(frozen=True, slots=True)
class Decomposed:
    """Columns less their weighted means, and the directions in which their weighted squares do not mix."""

    means_P: Numbers
    centred_NP: Numbers
    weights_N: Numbers
    curvatures_P: Numbers
    """Weighted sum of squares along each direction."""
    directions_PP: Numbers
    """One direction a column."""


def decompose(x_NP: Numbers, weights_N: Numbers) -> Decomposed:
    """Return what regressions at all penalties share.

    Parameters
    ----------
    weights_N
        How much each sample counts.
    """
    means_P = weights_N @ x_NP / weights_N.sum()
    centred_NP = x_NP - means_P
    curvatures_P, directions_PP = eigh(centred_NP.T @ (centred_NP * weights_N[:, None]), driver="evd")
    return Decomposed(means_P, centred_NP, weights_N, np.maximum(curvatures_P, 0.0), directions_PP)


def ridge_path(columns: Decomposed, answers_N: Numbers, penalties: Sequence[float]) -> Iterator[LinearFit]:
    """Yield the ridge regression at each penalty."""
    weights_N, mean = columns.weights_N, np.average(answers_N, weights=columns.weights_N)
    along_P = columns.directions_PP.T @ (columns.centred_NP.T @ (weights_N * (answers_N - mean)))
    for penalty in penalties:
        weights_P = columns.directions_PP @ (along_P / (columns.curvatures_P + penalty))
        yield LinearFit(penalty, weights_P, float(mean - columns.means_P @ weights_P))


def logistic_path(columns: Decomposed, classes_N: Numbers, penalties: Sequence[float]) -> Iterator[LinearFit]:
    """Yield the logistic regression at each penalty, in the order given; each begins where the one before ended.

    No loss curves more than a quarter of the weighted squares, so steps are taken along the directions of these, each
    scaled to a curvature of 1 at most: then few are needed. The method is L-BFGS.
    Source of the bound: Böhning 1992, Annals of the Institute of Statistical Mathematics 44, 197-200.
    """
    share = np.average(classes_N, weights=columns.weights_N)
    found_P, bias = np.zeros(len(columns.means_P)), float(np.log(share / (1 - share)))
    for penalty in penalties:
        scale = 1 / np.sqrt(
            np.append(columns.curvatures_P, columns.weights_N.sum()) / 4
            + np.append(np.full(len(found_P), penalty), 0.0)
        )

        def loss(scaled: Numbers, penalty: float = penalty, scale: Numbers = scale) -> tuple[float, Numbers]:
            along_P, intercept = scaled[:-1] * scale[:-1], scaled[-1] * scale[-1]
            raw_N = columns.centred_NP @ (columns.directions_PP @ along_P) + intercept
            value = columns.weights_N @ (np.logaddexp(0.0, raw_N) - classes_N * raw_N)
            slopes_N = columns.weights_N * (expit(raw_N) - classes_N)
            slope_P = columns.directions_PP.T @ (columns.centred_NP.T @ slopes_N) + penalty * along_P
            return value + penalty / 2 * along_P @ along_P, np.append(slope_P, slopes_N.sum()) * scale

        options = {"maxiter": MAX_ITERATIONS, "gtol": GRADIENT, "ftol": 0.0, "maxcor": 20}
        start = np.append(found_P, bias) / scale
        scaled = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x * scale
        found_P, bias = scaled[:-1], float(scaled[-1])
        weights_P = columns.directions_PP @ found_P
        yield LinearFit(penalty, weights_P, float(bias - columns.means_P @ weights_P))
