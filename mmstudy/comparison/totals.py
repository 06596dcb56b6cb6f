"""How long all models were trained: in all, by method, and by set of inputs."""

import polars as pl

from mmstudy.comparison.contenders import SERIES
from mmstudy.results.published import inputs_in_words

_MINUTES = 60


def total_hours(scores: pl.DataFrame) -> float:
    """Return the hours that the runs of a table were trained; a run that several cells share counts once."""
    return float(each_run_once(scores)["minutes"].sum()) / _MINUTES


def hours_by_set(scores: pl.DataFrame) -> pl.DataFrame:
    """Return runs, hours and the mean minutes of a run of each set of inputs, by method and network."""
    words = pl.struct("inputs", "blocks").map_elements(
        lambda row: inputs_in_words(row["inputs"], row["blocks"]), return_dtype=pl.String
    )
    return (
        each_run_once(scores)
        .with_columns(set=words)
        .group_by(*SERIES, "set", "inputs", "blocks", maintain_order=True)
        .agg(
            pl.len().alias("runs"),
            (pl.col("minutes").sum() / _MINUTES).alias("hours"),
            pl.col("minutes").mean().alias("mean_minutes"),
            pl.col("minutes").null_count().alias("runs_without_minutes"),
        )
    )


def each_run_once(scores: pl.DataFrame) -> pl.DataFrame:
    """Return one row of each run; every row where a table does not say which runs it is of."""
    unnamed = pl.col("run_id").is_null()
    return scores.filter(unnamed | pl.col("run_id").is_first_distinct())
