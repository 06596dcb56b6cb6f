"""How long the models of each set of inputs were trained, as columns; a run that several cells share counts once."""

import polars as pl

from mmstudy.comparison.totals import MINUTES_OF_HOUR, each_run_once_in_a_series, mean_interval
from mmstudy.report.models import Columns, shortened
from mmstudy.report.names import Names


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
