"""How many standard errors a number lies from what chance alone would give.

An audit looks at hundreds of numbers, so what it reports has to be both large and beyond chance: a bound on the size
of an effect, and `BEYOND_CHANCE` standard errors.
"""

import math

BEYOND_CHANCE = 4.0
"""Standard errors. Of a thousand harmless numbers, fewer than one in ten audits has one beyond it (6e-5 each)."""


def mean_difference_z(difference: float, variance: float, n: int, other_n: int) -> float:
    """Return z of a difference between two means.

    Parameters
    ----------
    variance
        Of all values of both groups together, as if they did not differ.
    """
    return difference / math.sqrt(variance * (1 / n + 1 / other_n)) if variance > 0 else 0.0


def share_difference_z(share: float, other_share: float, n: int, other_n: int) -> float:
    """Return z of a difference between two shares.

    >>> round(share_difference_z(0.5, 0.25, 100, 100), 2)
    3.65
    """
    pooled = (share * n + other_share * other_n) / (n + other_n)
    return mean_difference_z(share - other_share, pooled * (1 - pooled), n, other_n)


def share_z(share: float, bound: float, n: int) -> float:
    """Return z of a share against a bound that the true share might have; negative below it."""
    return (share - bound) / math.sqrt(bound * (1 - bound) / n)


def correlation_z(r: float, n: int) -> float:
    """Return z of a Pearson correlation, by Fisher's transformation."""
    return math.copysign(math.inf, r) if abs(r) >= 1 else math.atanh(r) * math.sqrt(n - 3)


def chi_squared_z(statistic: float, degrees: int) -> float:
    """Return z of a chi-squared statistic.

    Source: Wilson and Hilferty, The distribution of chi-square, PNAS 17:684, 1931.
    """
    spread = 2 / (9 * degrees)
    return (math.cbrt(statistic / degrees) - (1 - spread)) / math.sqrt(spread)


def least_chi_squared(degrees: int) -> float:
    """Return the smallest statistic that is `BEYOND_CHANCE`: the other way round of `chi_squared_z`.

    >>> round(chi_squared_z(least_chi_squared(3), 3), 6)
    4.0
    """
    spread = 2 / (9 * degrees)
    return degrees * (1 - spread + BEYOND_CHANCE * math.sqrt(spread)) ** 3
