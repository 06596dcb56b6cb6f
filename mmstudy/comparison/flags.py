"""What speaks against a model: it predicts one class alone, its score may be chance, or a baseline is as good."""

from dataclasses import dataclass

import polars as pl

from mmstudy.comparison.best import choose_best
from mmstudy.comparison.contenders import OF_CONTENDER, in_groups
from mmstudy.comparison.contributions import BINARY, MAIN
from mmstudy.comparison.families import BASELINE, NOT_TOLD_APART
from mmstudy.sweep.settings import BASELINE_METHOD
from mmtrain.metrics.registry import no_skill

NEAR_CHANCE = 0.505
"""Balanced accuracy below which classes are decided as by chance."""
KNOWS_THE_RARER = 0.6
"""Micro AUC above which the probabilities tell which class is the rarer one."""
GUESSING = {kind: no_skill(metric) for kind, metric in MAIN.items()}
"""The score of saying the same for everybody, of each kind of target."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """Something that speaks against a model."""

    name: str
    """Column of the results that is true where it does."""
    mark: str
    """In a cell of the grid."""
    title: str


FLAGS = (
    Flag(name="predicts_one_class", mark="×", title="predicts one class"),
    Flag(name="not_above_chance", mark="○", title="not above chance"),
    Flag(name="not_better", mark="−", title="not better than a baseline"),
    Flag(name="not_told_apart", mark="≈", title="not told apart from a baseline"),
)
"""The gravest first: a cell of the grid has the mark of one."""
FLAG_NAMES = tuple(flag.name for flag in FLAGS)


def with_one_class(scores: pl.DataFrame) -> pl.DataFrame:
    """Return scores that say of every binary target's model whether it predicts one class.

    Where that is not known, as in a published table, it is taken from a balanced accuracy below `NEAR_CHANCE` beside a
    micro AUC above `KNOWS_THE_RARER`: a model that says the same of everybody comes to 0.5, and to a micro AUC as far
    above that as the classes differ in size.
    """
    by_scores = (pl.col("balanced_accuracy") < NEAR_CHANCE) & (pl.col("auc") > KNOWS_THE_RARER)
    known = pl.coalesce("predicts_one_class", by_scores)
    return scores.with_columns(predicts_one_class=pl.when(pl.col("kind") == BINARY).then(known))


def baselines_as_good(contenders: pl.DataFrame) -> pl.DataFrame:
    """Return for each contender that is no baseline the best baseline of its cell, and whether it is as good.

    The baseline is chosen as the best set is: on validation. `not_better` is true where the model's test score is no
    larger; how sure a difference is says the family of paired tests.
    """
    models, rows = contenders.rows(named=True), []
    for of_cell in in_groups(models, "target", "cell").values():
        baselines = [models[index] for index in of_cell if models[index]["method"] == BASELINE_METHOD]
        choice = choose_best(baselines)
        if choice is None:
            continue
        name, best = baselines[choice.index]["network"], baselines[choice.index]["score"]
        networks = (models[index] for index in of_cell if models[index]["method"] != BASELINE_METHOD)
        rows += [
            (*(row[key] for key in OF_CONTENDER), name, best, _is_not_above(row["score"], best)) for row in networks
        ]
    schema = {
        **dict.fromkeys((*OF_CONTENDER, "best_baseline"), pl.String),
        "baseline_score": pl.Float64,
        "not_better": pl.Boolean,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def with_chance(results: pl.DataFrame) -> pl.DataFrame:
    """Return results that say of every model with an interval whether it does not lie above the score of guessing."""
    guessing = pl.col("kind").replace_strict(GUESSING, return_dtype=pl.Float64)
    return results.with_columns(not_above_chance=pl.col("mean_low") <= guessing)


def baselines_not_told_apart(paired: pl.DataFrame) -> pl.DataFrame:
    """Return for each contender that was tested against the best baseline of its cell whether no difference is found.

    Parameters
    ----------
    paired
        With the verdicts of `mmstudy.comparison.families.with_q_values`.
    """
    is_main = pl.col("metric") == pl.col("kind").replace_strict(MAIN, return_dtype=pl.String)
    tested = paired.filter(pl.col("family") == BASELINE, is_main)
    return tested.select(*OF_CONTENDER, not_told_apart=pl.col("verdict") == NOT_TOLD_APART)


def _is_not_above(score: float | None, baseline: float | None) -> bool | None:
    return None if score is None or baseline is None else score <= baseline
