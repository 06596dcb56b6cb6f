"""What choosing on the test set adds to a score: best on test, less the test score of the set that validation chose."""

import polars as pl

from mmstudy.comparison.best import VALIDATION, choose_best
from mmstudy.comparison.contenders import SERIES, in_groups
from mmstudy.comparison.contest import Contest
from mmtrain.metrics.bootstrap import percentile_intervals

OPTIMISM = pl.Schema(
    {
        **dict.fromkeys(("target", *SERIES), pl.String),
        **dict.fromkeys(("optimism_low", "optimism_high"), pl.Float64),
    }
)


def optimism_intervals(contest: Contest) -> pl.DataFrame:
    """Return a 95 % interval of the optimism by each method and network, from draws of test participants.

    In each draw the best on test is chosen anew; what validation chose stays. It is null where only one set was to
    choose from, where validation chose nothing, and where too many draws have one class alone.
    """
    draws_DM = next(iter(contest.measured.values())).draws_DM
    models, rows = contest.contenders.rows(named=True), []
    for names, series in in_groups(models, *SERIES).items():
        choice = choose_best([models[index] for index in series])
        if choice is None or choice.chosen_on != VALIDATION or len(series) == 1:
            continue
        of_series_DM = draws_DM[:, series]
        gains_D = of_series_DM.max(axis=1) - of_series_DM[:, choice.index]
        if ends := percentile_intervals(gains_D[:, None])[0]:
            rows.append((models[0]["target"], *names, *ends))
    return pl.DataFrame(rows, schema=OPTIMISM, orient="row")
