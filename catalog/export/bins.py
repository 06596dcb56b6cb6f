"""Round bins for published counts: few, with edges inside the bulk of the values, and without ends outside."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from math import floor, log10

MAX_BINS = 10
_EPOCH = date(1970, 1, 1)


def round_edges(low: float, high: float, *, is_whole: bool) -> tuple[float, ...]:
    """Return round numbers above `low`, up to `high`: the most that part at most `MAX_BINS` bins.

    Parameters
    ----------
    is_whole
        The values are whole numbers, so a bin must hold one at least.

    >>> round_edges(47.2, 76.9, is_whole=False), round_edges(0, 4, is_whole=True)
    ((50.0, 55.0, 60.0, 65.0, 70.0, 75.0), (1.0, 2.0, 3.0, 4.0))
    """
    if low == high:
        return ()
    exponent = 0 if is_whole else floor(log10((high - low) / MAX_BINS))
    while True:
        for step in (10**exponent, 2 * 10**exponent, 5 * 10**exponent):
            first, last = floor(low / step) + 1, floor(high / step)
            if last - first + 1 < MAX_BINS:
                return tuple(round(place * step, max(0, -exponent)) * 1.0 for place in range(first, last + 1))
        exponent += 1


def year_edges(low: float, high: float) -> tuple[float, ...]:
    """Return first days of years, as days since 1970-01-01, after `low` and up to `high`.

    >>> [str(as_date(edge)) for edge in year_edges(17167, 18262)]
    ['2018-01-01', '2019-01-01', '2020-01-01']
    """
    years = round_edges(as_date(low).year, as_date(high).year, is_whole=True)
    return tuple(float((date(int(year), 1, 1) - _EPOCH).days) for year in years)


def as_date(days: float) -> date:
    """Return the date that a number of days since 1970-01-01 stands for."""
    return _EPOCH + timedelta(days=floor(days))


def bin_labels(edges: Sequence[str]) -> tuple[str, ...]:
    """Return what bins are called whose edges read so; the outer bins are open.

    >>> bin_labels(["45", "50", "55"])
    ('< 45', '45 to < 50', '50 to < 55', '>= 55')
    """
    if not edges:
        return ("all values",)
    return (f"< {edges[0]}", *(f"{low} to < {high}" for low, high in pairwise(edges)), f">= {edges[-1]}")
