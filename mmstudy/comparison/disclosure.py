"""What tables of scores tell of how many people there are: nothing below ten, for they leave the study.

Beside the number of samples and the share of class 1, scores of decided classes with all their digits are a system of
equations whose only solution is the confusion matrix. Where a cell of one of a target's models is 1 to 9, balanced
accuracies of the target are told to two digits behind the point, which many matrices have, and of precision, recall and
F1 nothing is told. Numbers of people are told in tens: from two exact ones it would follow how many lack a label.
"""

from collections.abc import Collection, Iterable

import polars as pl

from mmbase.disclosure import SMALLEST_COUNT
from mmstudy.comparison.contenders import CONSTANT
from mmstudy.comparison.contributions import BINARY

DECIMALS = 2
_UNTOLD = ("precision", "recall", "f1")
_ROUNDED = (
    *("score", "score_low", "score_high", "mean_low", "mean_high"),
    *("val_score", "balanced_accuracy", "baseline_score"),
    *("best_test_score", "optimism", "optimism_low", "optimism_high"),
    *("other_score", "difference", "low", "high"),
)
_SIGNIFICANT = ("p", "q")


def targets_with_small_cells(scores: pl.DataFrame) -> list[str]:
    """Return the targets of which a model has 1 to 9 people in a cell of its confusion matrices."""
    is_small = pl.col("smallest_cell").is_between(1, SMALLEST_COUNT - 1)
    return scores.filter(is_small)["target"].unique(maintain_order=True).to_list()


def told_scores(scores: pl.DataFrame, small: Collection[str]) -> pl.DataFrame:
    """Return scores from which no number of samples of 1 to 9 follows, in all or of one class or one decision.

    Parameters
    ----------
    small
        As `targets_with_small_cells`.
    """
    count = pl.col("n_test").cast(pl.Float64)
    rarer = (pl.min_horizontal(pl.col("prevalence"), 1 - pl.col("prevalence")) * count).round()
    may_be_told = (count == 0) | (count >= SMALLEST_COUNT)
    share_may_be_told = may_be_told & ((rarer == 0) | (rarer >= SMALLEST_COUNT))
    is_share = pl.col("network") == CONSTANT  # its average precision is the share of class 1
    untold = (pl.when(~pl.col("target").is_in(list(small))).then(name).alias(name) for name in _UNTOLD)
    return (
        coarse(scores, small, pl.col("kind") == BINARY)
        .with_columns(
            *untold,
            n_test=pl.when(may_be_told).then(in_tens("n_test")),
            prevalence=pl.when(share_may_be_told).then("prevalence"),
            average_precision=pl.when(~is_share | share_may_be_told.fill_null(value=True)).then("average_precision"),
        )
        .drop("smallest_cell")
    )


def in_tens(name: str) -> pl.Expr:
    """Return a number of people rounded down to tens."""
    return (pl.col(name) // SMALLEST_COUNT * SMALLEST_COUNT).alias(name)


def coarse(table: pl.DataFrame, small: Collection[str], of_decided: pl.Expr) -> pl.DataFrame:
    """Return a table whose numbers of decided classes have two digits, of targets that have a small cell.

    Parameters
    ----------
    of_decided
        Which rows are of decided classes.
    """
    is_coarse = pl.col("target").is_in(list(small)) & of_decided

    def told(names: Iterable[str], rounded: str) -> Iterable[pl.Expr]:
        for name in names:
            if name in table.columns:
                yield pl.when(is_coarse).then(getattr(pl.col(name), rounded)(DECIMALS)).otherwise(name).alias(name)

    return table.with_columns(*told(_ROUNDED, "round"), *told(_SIGNIFICANT, "round_sig_figs"))
