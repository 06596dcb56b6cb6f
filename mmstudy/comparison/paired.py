"""Two models of one target on the same participants: how much they differ, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmstudy.comparison.contest import Contest, Measured
from mmstudy.comparison.sign_flips import p_values
from mmtrain.metrics.bootstrap import percentile_intervals
from mmtrain.metrics.metric import Values

_SIDE = ("cell", "method", "network", "inputs", "blocks")
"""What is told of each of the two models."""
_OF_SIDE: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(("cell", "method", "network"), pl.String),
    **dict.fromkeys(("inputs", "blocks"), pl.List(pl.String)),
}
_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(("family", "target", "domain", "kind", "metric"), pl.String),
    **_OF_SIDE,
    **{f"other_{name}": dtype for name, dtype in _OF_SIDE.items()},
    "less": pl.List(pl.String),  # what the other model is not given; of the family of that name
    "num_participants": pl.Int64,
    "score": pl.Float64,
    "other_score": pl.Float64,
    "difference": pl.Float64,  # score minus other score
    "low": pl.Float64,  # of its 95 % interval
    "high": pl.Float64,
    "p": pl.Float64,
}
PAIRED = pl.Schema(_COLUMNS)
"""A row for each pair and metric."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two contenders of a contest, by their index."""

    family: str
    one: int
    other: int
    less: tuple[str, ...] | None = None


def compare_pairs(contest: Contest, pairs: Sequence[Pair]) -> pl.DataFrame:
    """Return the difference of each pair by each metric of the target, with its interval and p value."""
    one, other = ([getattr(pair, side) for pair in pairs] for side in ("one", "other"))
    models = contest.contenders
    who = [
        pl.DataFrame({"family": [pair.family for pair in pairs]}, schema={"family": pl.String}),
        models[one].select("target", "domain", "kind", *_SIDE),
        models[other].select(pl.col(_SIDE).name.prefix("other_")),
        pl.DataFrame({"less": [pair.less for pair in pairs]}, schema={"less": pl.List(pl.String)}),
    ]
    same = pl.concat(who, how="horizontal").with_columns(num_participants=pl.lit(contest.num_participants, pl.Int64))
    found = [PAIRED.to_frame()]
    for metric, measured in contest.measured.items():
        numbers = pl.DataFrame(_differences(measured, np.array(one, int), np.array(other, int)))
        of_metric = same.hstack(numbers).with_columns(pl.col(numbers.columns).fill_nan(None), metric=pl.lit(metric))
        found.append(of_metric.select(PAIRED.names()))
    return pl.concat(found)


def _differences(measured: Measured, one: NDArray[np.int64], other: NDArray[np.int64]) -> dict[str, Values]:
    """Return the numbers of each pair by one metric; NaN where one is not known."""
    intervals = percentile_intervals(measured.draws_DM[:, one] - measured.draws_DM[:, other])
    ends_K2 = np.array([ends or (np.nan, np.nan) for ends in intervals]).reshape(-1, 2)
    score_K, other_K = measured.scores_M[one], measured.scores_M[other]
    return {
        "score": score_K,
        "other_score": other_K,
        "difference": score_K - other_K,
        "low": ends_K2[:, 0],
        "high": ends_K2[:, 1],
        "p": p_values(measured.added_PM[:, one] - measured.added_PM[:, other]),
    }
