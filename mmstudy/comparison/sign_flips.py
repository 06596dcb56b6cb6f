"""How surprising a difference of two models is, if for each participant it could as well have been the other way round.

Each participant adds d_p to the difference of the two scores, with all visits. Where neither model is better, d_p and
−d_p are equally likely, so the difference is compared with the sums ± d_1 ± d_2 … over all choices of signs. To swap
the two models' predictions of a participant is to flip that sign.

Few participants that differ: all choices are counted. Many: the tail is approximated by a saddlepoint. It needs no
draws, so p values are the same in every run and as small as they have to be in a family of thousands; drawn signs
would need millions for each pair. Its relative error is of the order of one over the number of participants, also far
out, where the normal approximation fails for errors with heavy tails.

Source: Robinson 1982, Saddlepoint approximations for permutation tests and confidence intervals, JRSS B 44, 91-101;
the form r* is Barndorff-Nielsen 1986, Biometrika 73, 307-322. That flipping signs also holds of a mean of 0 without
symmetry, in large samples: Romano 1990, JASA 85, 686-692.

Legend of shapes: P participants, K pairs of models.
"""

from itertools import product

import numpy as np
from scipy.special import ndtr

from mmtrain.metrics.metric import Values

COUNTED = 12
"""Of so many participants that differ, or fewer, all choices of signs are counted."""
_ROUNDING = 1e-9
"""Share of the sum of |d| by which two sums may differ and count as equal."""
_NUM_STEPS = 60
_CLOSE = 1e-7
"""Of the difference in standard errors; what is left changes the tail by the square of it."""
_NEAR_ZERO = 1e-2
"""Below that saddlepoint and normal tail are one, and the former divides by almost nothing."""
_BLOCK_BYTES = 4 << 20
"""As much as the processor has at hand."""


def p_values(differences_PK: Values) -> Values:
    """Return the two-sided p value of each pair, shape (K,); NaN where a difference is not known.

    Parameters
    ----------
    differences_PK
        What each participant adds to the difference of two scores.

    Examples
    --------
    >>> p_values(np.array([[1.0, 1.0], [1.0, -1.0], [1.0, 0.0]])).tolist()
    [0.25, 1.0]
    """
    found = np.full(differences_PK.shape[1], np.nan)
    num_differing = np.count_nonzero(differences_PK, axis=0)
    known = np.isfinite(differences_PK).all(axis=0)
    for k in np.flatnonzero(known & (num_differing <= COUNTED)):
        found[k] = _counted(differences_PK[:, k])
    many = np.flatnonzero(known & (num_differing > COUNTED))
    step = max(1, _BLOCK_BYTES // (8 * len(differences_PK)))
    for start in range(0, len(many), step):
        block = many[start : start + step]
        found[block] = _saddlepoint(differences_PK[:, block])
    return found


def _counted(difference_P: Values) -> float:
    """Return the share of all choices of signs whose sum is at least as far from 0."""
    differing = difference_P[difference_P != 0]
    signs = np.array(list(product((-1.0, 1.0), repeat=len(differing)))).reshape(2 ** len(differing), len(differing))
    sums = np.abs(signs @ differing)
    return float((sums >= abs(differing.sum()) - _ROUNDING * np.abs(differing).sum()).mean())


def _saddlepoint(differences_PK: Values) -> Values:
    """Return twice the approximate probability of a sum of at least the absolute one that was found."""
    total_K = np.abs(differences_PK.sum(axis=0))
    size_PK = np.abs(differences_PK)
    largest_K = size_PK.sum(axis=0)
    least_K = 2.0 ** (1 - np.count_nonzero(size_PK, axis=0))
    is_extreme = total_K >= (1 - _ROUNDING) * largest_K
    scale_K = np.sqrt((size_PK**2).sum(axis=0))
    size_PK, z_K = size_PK / scale_K, np.where(is_extreme, 0.0, total_K / scale_K)
    t_K = _solve(size_PK, z_K)
    return np.where(is_extreme, least_K, np.maximum(_tail(size_PK, z_K, t_K), least_K))


def _solve(size_PK: Values, z_K: Values) -> Values:
    """Return t with K'(t) = z, for K(t) = Σ log cosh(t d): by Newton's steps, or halves of what brackets the root."""
    low_K, high_K, t_K = np.zeros_like(z_K), np.full_like(z_K, np.inf), z_K.copy()
    open_K = np.arange(len(z_K))
    for _ in range(_NUM_STEPS):
        size_PO, t_O = size_PK[:, open_K], t_K[open_K]
        decay_PO = np.exp(-2 * size_PO * t_O)
        beyond_O = (size_PO * (1 - decay_PO) / (1 + decay_PO)).sum(axis=0) - z_K[open_K]
        low_K[open_K] = np.where(beyond_O < 0, t_O, low_K[open_K])
        high_K[open_K] = np.where(beyond_O > 0, t_O, high_K[open_K])
        with np.errstate(divide="ignore", invalid="ignore"):
            newton_O = t_O - beyond_O / _curvature(size_PO, decay_PO)
        low_O, high_O = low_K[open_K], high_K[open_K]
        middle_O = np.where(np.isinf(high_O), 2 * t_O + 1, (low_O + high_O) / 2)
        is_open = np.abs(beyond_O) > _CLOSE
        t_K[open_K] = np.where(is_open, np.where((newton_O > low_O) & (newton_O < high_O), newton_O, middle_O), t_O)
        open_K = open_K[is_open]
        if not len(open_K):
            break
    return t_K


def _tail(size_PK: Values, z_K: Values, t_K: Values) -> Values:
    """Return the two-sided tail at the saddlepoint, by r* = r + log(u / r) / r."""
    exponent_PK = size_PK * t_K
    decay_PK = np.exp(-2 * exponent_PK)
    cumulant_K = (exponent_PK + np.log1p(decay_PK) - np.log(2)).sum(axis=0)
    r_K = np.sqrt(np.maximum(2 * (t_K * z_K - cumulant_K), 0))
    u_K = t_K * np.sqrt(_curvature(size_PK, decay_PK))
    is_near = r_K < _NEAR_ZERO
    r_K, u_K = np.where(is_near, 1.0, r_K), np.where(is_near, 1.0, u_K)
    return np.minimum(2 * ndtr(-np.where(is_near, z_K, r_K + np.log(u_K / r_K) / r_K)), 1.0)


def _curvature(size_PK: Values, decay_PK: Values) -> Values:
    """Return K''(t) = Σ d² / cosh²(t d), where decay is exp(−2 t d)."""
    curvature_K: Values = (size_PK**2 * 4 * decay_PK / (1 + decay_PK) ** 2).sum(axis=0)
    return curvature_K
