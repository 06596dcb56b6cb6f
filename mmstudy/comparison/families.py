"""Which pairs of models are compared, in families, and how many of a family's findings are false.

A family is a question that is asked many times: of one method and network, by one metric. The false discovery rate, the
expected share of false ones among the differences that are called found, is held within each.

Source: Benjamini and Hochberg 1995, JRSS B 57, 289-300. It holds for independent tests and for those that depend
positively: Benjamini and Yekutieli 2001, Annals of Statistics 29, 1165-1188.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl
from scipy.stats import false_discovery_control

from mmstudy.comparison.best import choose_best
from mmstudy.comparison.contenders import SERIES
from mmstudy.comparison.elements import Elements, elements_of, find_units, in_order
from mmstudy.comparison.paired import PAIRED, Pair
from mmstudy.sweep.settings import BASELINE_METHOD
from mmtrain.metrics.metric import Values

LESS_ONE, BEST, BASELINE, METHOD = "less one input", "best against others", "best baseline", "separate"
FALSE_DISCOVERIES = 0.05
"""Expected share of false ones among the differences that are called found."""
_SEPARATE, _CONSTANT = "separate", "constant"


def find_pairs(contenders: pl.DataFrame) -> list[Pair]:
    """Return every pair of a target's contenders that is compared.

    Parameters
    ----------
    contenders
        All of one target; pairs have their indices.
    """
    numbered = contenders.with_row_index("index")
    pairs = list(_against_others(numbered))
    for (_, network), series in numbered.group_by(SERIES, maintain_order=True):
        if network != _CONSTANT:  # whatever it is given, it predicts the same
            pairs += _less_one(series)
            pairs += _best_against_others(series)
    return pairs


def with_q_values(paired: pl.DataFrame) -> pl.DataFrame:
    """Return pairs with `q`, their p value adjusted within the family, and what it says of the first model.

    `verdict` is better or worse where q is at most `FALSE_DISCOVERIES`, else not told apart; null without a p value.
    """
    within = ("family", *SERIES, "metric")
    q = pl.col("p").map_batches(_adjusted, return_dtype=pl.Float64).over(within)
    gain = pl.when(pl.col("metric") == "mae").then(-pl.col("difference")).otherwise(pl.col("difference"))
    found = pl.when(gain > 0).then(pl.lit("better")).otherwise(pl.lit("worse"))
    verdict = (
        pl.when(pl.col("q").is_null())
        .then(None)
        .when(pl.col("q") <= FALSE_DISCOVERIES)
        .then(found)
        .otherwise(pl.lit("not told apart"))
    )
    if paired.is_empty():
        return PAIRED.to_frame().with_columns(q=pl.lit(None, pl.Float64), verdict=pl.lit(None, pl.String))
    return paired.with_columns(q=q).with_columns(verdict=verdict)


def _adjusted(p: pl.Series) -> pl.Series:
    """Return p values adjusted by Benjamini and Hochberg; null where there is none, which counts for no test."""
    known = p.is_not_null().to_numpy()
    adjusted: Values = np.full(len(p), np.nan)
    if known.any():
        adjusted[known] = false_discovery_control(p.drop_nulls().to_numpy())
    return pl.Series(p.name, adjusted).fill_nan(None)


def _less_one(series: pl.DataFrame) -> Iterator[Pair]:
    """Yield each set with the sets that lack one unit of it."""
    sets = _sets(series)
    units = find_units(list(sets))
    for elements, index in sets.items():
        for unit in units:
            other = sets.get(elements.difference(unit)) if elements.issuperset(unit) else None
            if other is not None:
                yield Pair(family=LESS_ONE, one=index, other=other, less=in_order(unit))


def _sets(series: pl.DataFrame) -> dict[Elements, int]:
    rows = series.select("inputs", "blocks", "index").iter_rows()
    return {elements_of(inputs, blocks): index for inputs, blocks, index in rows}


def _best_against_others(series: pl.DataFrame) -> Iterator[Pair]:
    """Yield the set that is best on validation with every other; nothing where no validation score is known."""
    best = choose_best(series)
    if best is None or best.chosen_on != "validation":
        return
    one = int(series["index"][best.index])
    yield from (Pair(family=BEST, one=one, other=other) for other in series["index"] if other != one)


def _against_others(numbered: pl.DataFrame) -> Iterator[Pair]:
    """Yield each network with the best baseline of its cell, and each other method with the separate network."""
    for _, of_cell in numbered.group_by("cell", maintain_order=True):
        baselines = of_cell.filter(pl.col("method") == BASELINE_METHOD)
        networks = of_cell.filter(pl.col("method") != BASELINE_METHOD)
        best = choose_best(baselines)
        if best is not None and best.chosen_on == "validation":
            other = int(baselines["index"][best.index])
            yield from (Pair(family=BASELINE, one=one, other=other) for one in networks["index"])
        separate = dict(networks.filter(pl.col("method") == _SEPARATE).select("network", "index").iter_rows())
        for method, network, one in networks.select("method", "network", "index").iter_rows():
            if method != _SEPARATE and network in separate:
                yield Pair(family=METHOD, one=one, other=separate[network])
