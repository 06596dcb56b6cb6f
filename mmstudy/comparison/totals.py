"""How long all models were trained: in all, by method, and by set of inputs."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.special import stdtrit

from mmstudy.comparison.contenders import SERIES
from mmstudy.comparison.scores import SCORES
from mmstudy.results.published import inputs_in_words
from mmtrain.metrics.bootstrap import COVERAGE

MINUTES_OF_HOUR = 60
TRUNK = "trunk"
"""Stands as method for the training of imaging networks that models share and that are no models themselves."""
TIMED = pl.Schema({name: SCORES[name] for name in (*SERIES, "inputs", "blocks", "run_id", "minutes")})
"""What is known of a run that takes time."""


def total_hours(scores: pl.DataFrame) -> float:
    """Return the hours that the runs of a table were trained; a run that several cells share counts once."""
    return float(each_run_once(scores)["minutes"].sum()) / MINUTES_OF_HOUR


def hours_by_set(scores: pl.DataFrame) -> pl.DataFrame:
    """Return runs, hours and the mean minutes of a run of each set of inputs, by method and network."""
    words = pl.struct("inputs", "blocks").map_elements(
        lambda row: inputs_in_words(row["inputs"], row["blocks"]), return_dtype=pl.String
    )
    return (
        each_run_once_in_a_series(scores)
        .with_columns(set=words)
        .group_by(*SERIES, "set", "inputs", "blocks", maintain_order=True)
        .agg(
            pl.len().alias("runs"),
            (pl.col("minutes").sum() / MINUTES_OF_HOUR).alias("hours"),
            pl.col("minutes").mean().alias("mean_minutes"),
            pl.col("minutes").null_count().alias("runs_without_minutes"),
        )
    )


def each_run_once(scores: pl.DataFrame) -> pl.DataFrame:
    """Return one row of each run; every row where a table does not say which runs it is of."""
    return _once(scores, "run_id")


def each_run_once_in_a_series(scores: pl.DataFrame) -> pl.DataFrame:
    """Return one row of each run of each method and network: two methods may share a run, and each needs it."""
    return _once(scores, *SERIES, "run_id")


def _once(scores: pl.DataFrame, *columns: str) -> pl.DataFrame:
    return scores.filter(pl.col("run_id").is_null() | pl.struct(columns).is_first_distinct())


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return both ends of the 95 % interval of a mean duration, by the t distribution; None of fewer than two values.

    It ends at 0, for no mean of durations is below: that takes nothing of its coverage.

    >>> [round(end, 3) for end in mean_interval([1.0, 3.0])]
    [0.0, 14.706]
    """
    if len(values) < 2:
        return None
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    half = float(error * stdtrit(len(values) - 1, (1 + COVERAGE) / 2))
    mean = float(np.mean(values))
    return max(mean - half, 0.0), mean + half
