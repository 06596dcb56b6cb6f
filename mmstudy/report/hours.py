"""How long training took, as columns: by set of inputs, the trunks that models share, and what it sums to.

Terms
-----
trunk    an imaging network that models of the method frozen share; no model itself, so it is of no series.
"""

import polars as pl

from mmstudy.comparison.compare import Comparison
from mmstudy.comparison.drawing.sets import title_of
from mmstudy.comparison.totals import (
    MINUTES_OF_HOUR,
    TRUNK,
    each_run_once_in_a_series,
    mean_interval,
    total_hours,
)
from mmstudy.report.models import Columns, shortened
from mmstudy.report.names import Names

_NO_TIME = 1e-6
"""In hours: what is less are the last digits of sums."""


def hour_columns(results: pl.DataFrame, names: Names) -> Columns:
    """Return the training times of each set by each series, in minutes; nothing of runs that do not say theirs.

    Parameters
    ----------
    results
        Of `mmstudy.comparison.compare.Comparison`.
    """
    timed = each_run_once_in_a_series(results).filter(pl.col("minutes").is_finite())
    by_set: dict[tuple[int, int], list[float]] = {}
    for row in timed.select("method", "network", "inputs", "blocks", "minutes").iter_rows():
        key = (names.place_of_series(*row[:2]), names.place_of_set(*row[2:4]))
        by_set.setdefault(key, []).append(row[4])
    intervals = [mean_interval(minutes) or (None, None) for minutes in by_set.values()]
    return {
        "series": [series for series, _ in by_set],
        "set": [of for _, of in by_set],
        "num_models": [len(minutes) for minutes in by_set.values()],
        "mean": [shortened(sum(minutes) / len(minutes)) for minutes in by_set.values()],
        "low": [shortened(low) for low, _ in intervals],
        "high": [shortened(high) for _, high in intervals],
        "hours": [shortened(sum(minutes) / MINUTES_OF_HOUR) for minutes in by_set.values()],
    }


def trunk_columns(comparison: Comparison) -> Columns:
    """Return the training times of trunks, by the volumes that they see."""
    rows = comparison.hours.filter(pl.col("method") == TRUNK).rows(named=True)
    return {
        "inputs": [" + ".join(map(title_of, row["inputs"])) for row in rows],
        "num_trunks": [row["runs"] for row in rows],
        "mean": [shortened(row["mean_minutes"]) for row in rows],
        "hours": [shortened(row["hours"]) for row in rows],
    }


def hour_totals(comparison: Comparison, names: Names) -> Columns:
    """Return what the hours in all are made of, which is the last row; the others sum to it."""
    in_series = [total_hours(frame) for frame in _by_series(comparison.results, names)]
    once, trunks = total_hours(comparison.results), comparison.trunk_hours
    parts = [
        *zip(names.series.values(), in_series, strict=True),
        ("runs that several series share, counted once", once - sum(in_series)),
        ("runs of models that are left out of the comparison", comparison.hours_in_all - trunks - once),
        ("trunks, which models share", trunks),
    ]
    shown = [*((title, hours) for title, hours in parts if abs(hours) > _NO_TIME), ("in all", comparison.hours_in_all)]
    return {"what": [title for title, _ in shown], "hours": [shortened(hours) for _, hours in shown]}


def _by_series(results: pl.DataFrame, names: Names) -> list[pl.DataFrame]:
    return [
        results.filter(pl.col("method") == method, pl.col("network") == network) for method, network in names.series
    ]
