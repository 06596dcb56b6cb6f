"""Which pairs of models are compared, in families, and how many of a family's findings are false.

A family is a question that is asked many times: of one method and network, by one metric. The false discovery rate, the
expected share of false ones among the differences that are called found, is held within each.

Source: Benjamini and Hochberg 1995, JRSS B 57, 289-300. It holds for independent tests and for those that depend
positively: Benjamini and Yekutieli 2001, Annals of Statistics 29, 1165-1188.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from mmstudy.comparison.best import VALIDATION, choose_best
from mmstudy.comparison.contenders import CONSTANT, SERIES, Row, in_groups
from mmstudy.comparison.elements import elements_of, find_units
from mmstudy.comparison.paired import PAIRED, Pair
from mmstudy.sweep.settings import BASELINE_METHOD
from mmtrain.metrics.metric import Values

LESS_ONE, BEST, BASELINE, METHOD = "less one input", "best against others", "best baseline", "separate"
FALSE_DISCOVERIES = 0.05
"""Expected share of false ones among the differences that are called found."""
FOUND = BETTER, WORSE = "better", "worse"
"""Verdicts of a difference that is called found."""
NOT_TOLD_APART = "not told apart"
"""Verdict of one that is not."""
_SEPARATE = "separate"


def find_pairs(contenders: Sequence[Row]) -> list[Pair]:
    """Return every pair of a target's contenders that is compared, by their indices.

    A target with one set of inputs has none in the families `LESS_ONE` and `BEST`.
    """
    pairs = [pair for of_cell in in_groups(contenders, "cell").values() for pair in _in_a_cell(contenders, of_cell)]
    for (_, network), series in in_groups(contenders, *SERIES).items():
        if network != CONSTANT:
            pairs += [*_less_one(contenders, series), *_best_against_others(contenders, series)]
    return pairs


def with_q_values(paired: pl.DataFrame) -> pl.DataFrame:
    """Return pairs with `q`, their p value adjusted within the family, and what it says of the first model.

    `verdict` is better or worse where q is at most `FALSE_DISCOVERIES`, else not told apart; null without a p value.
    """
    within = ("family", *SERIES, "metric")
    q = pl.col("p").map_batches(_adjusted, return_dtype=pl.Float64).over(within)
    gain = pl.when(pl.col("metric") == "mae").then(-pl.col("difference")).otherwise(pl.col("difference"))
    found = pl.when(gain > 0).then(pl.lit(BETTER)).otherwise(pl.lit(WORSE))
    verdict = (
        pl.when(pl.col("q").is_null())
        .then(None)
        .when(pl.col("q") <= FALSE_DISCOVERIES)
        .then(found)
        .otherwise(pl.lit(NOT_TOLD_APART))
    )
    if paired.is_empty():
        return PAIRED.to_frame().with_columns(q=pl.lit(None, pl.Float64), verdict=pl.lit(None, pl.String))
    return paired.with_columns(q=q).with_columns(verdict=verdict)


def _adjusted(p: pl.Series) -> pl.Series:
    """Return p values adjusted by Benjamini and Hochberg; null where there is none, which counts for no test."""
    known = p.is_not_null().to_numpy()
    adjusted: Values = np.full(len(p), np.nan)
    if known.any():
        from scipy.stats import false_discovery_control

        adjusted[known] = false_discovery_control(p.drop_nulls().to_numpy())
    return pl.Series(p.name, adjusted).fill_nan(None)


def _less_one(contenders: Sequence[Row], series: Sequence[int]) -> Iterator[Pair]:
    """Yield each set with the sets that lack one unit of it."""
    sets = {elements_of(contenders[index]["inputs"], contenders[index]["blocks"]): index for index in series}
    for unit in find_units(list(sets)):
        for elements, index in sets.items():
            other = sets.get(elements.difference(unit)) if elements.issuperset(unit) else None
            if other is not None:
                yield Pair(family=LESS_ONE, one=index, other=other, less=unit)


def _best_against_others(contenders: Sequence[Row], series: Sequence[int]) -> Iterator[Pair]:
    """Yield the set that is best on validation with every other."""
    best = _best_on_validation(contenders, series)
    if best is not None:
        yield from (Pair(family=BEST, one=best, other=other) for other in series if other != best)


def _in_a_cell(contenders: Sequence[Row], of_cell: Sequence[int]) -> Iterator[Pair]:
    """Yield each network with the best baseline of its cell, and each other method with the separate network."""
    methods = {index: contenders[index]["method"] for index in of_cell}
    networks = [index for index in of_cell if methods[index] != BASELINE_METHOD]
    best = _best_on_validation(contenders, [index for index in of_cell if methods[index] == BASELINE_METHOD])
    if best is not None:
        yield from (Pair(family=BASELINE, one=index, other=best) for index in networks)
    separate = {contenders[index]["network"]: index for index in networks if methods[index] == _SEPARATE}
    for index in networks:
        other = separate.get(contenders[index]["network"])
        if other is not None and contenders[other]["run_id"] != contenders[index]["run_id"]:  # a run may serve both
            yield Pair(family=METHOD, one=index, other=other)


def _best_on_validation(contenders: Sequence[Row], among: Sequence[int]) -> int | None:
    """Return which of some contenders is best; None where no validation score says so: chosen on test, it would win."""
    best = choose_best([contenders[index] for index in among])
    return among[best.index] if best is not None and best.chosen_on == VALIDATION else None
