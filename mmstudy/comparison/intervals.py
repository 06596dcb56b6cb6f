"""How certain the score of a model is: its 95 % interval over participants.

Of one run it is the run's own. Of several it is that of the mean of their scores, on draws of their test participants.
"""

import polars as pl

from mmstudy.comparison.contenders import OF_CONTENDER
from mmstudy.comparison.contest import Contest
from mmtrain.metrics.bootstrap import percentile_intervals

ENDS = ("mean_low", "mean_high")
INTERVALS = pl.Schema({**dict.fromkeys(OF_CONTENDER, pl.String), **dict.fromkeys(ENDS, pl.Float64)})
"""A row for each model that has an interval."""


def own_intervals(scores: pl.DataFrame) -> pl.DataFrame:
    """Return the intervals of models of one run.

    Parameters
    ----------
    scores
        In the columns `mmstudy.comparison.scores.SCORES`.
    """
    of_one = scores.filter(pl.len().over(OF_CONTENDER) == 1, pl.col("score_low").is_not_null())
    return of_one.select(*OF_CONTENDER, mean_low="score_low", mean_high="score_high")


def mean_intervals(contest: Contest) -> pl.DataFrame:
    """Return the intervals of a target's models of several runs; none where too many draws have one class alone."""
    has_several_M = (contest.contenders["num_runs"] > 1).to_numpy()
    ends = percentile_intervals(next(iter(contest.measured.values())).draws_DM[:, has_several_M])
    models = contest.contenders.filter(has_several_M).select(OF_CONTENDER).iter_rows()
    rows = [(*model, *of_model) for model, of_model in zip(models, ends, strict=True) if of_model is not None]
    return pl.DataFrame(rows, schema=INTERVALS, orient="row")
