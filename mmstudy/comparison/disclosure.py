"""What scores tell of how many people there are: nothing below ten, for tables and pictures leave the study."""

import polars as pl

from mmbase.disclosure import SMALLEST_COUNT


def without_small_counts(scores: pl.DataFrame) -> pl.DataFrame:
    """Return scores without a number of test samples of 1 to 9, and without a share of them that is as many."""
    count = pl.col("n_test").cast(pl.Float64)
    rarer = (pl.min_horizontal(pl.col("prevalence"), 1 - pl.col("prevalence")) * count).round()
    may_be_told = (count == 0) | (count >= SMALLEST_COUNT)
    return scores.with_columns(
        n_test=pl.when(may_be_told).then("n_test"),
        prevalence=pl.when(may_be_told & ((rarer == 0) | (rarer >= SMALLEST_COUNT))).then("prevalence"),
    )
