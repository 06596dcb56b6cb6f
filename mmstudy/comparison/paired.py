"""Two models of one target on the same participants: how much they differ, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mmstudy.comparison.contest import Contest
from mmstudy.comparison.sign_flips import p_values
from mmtrain.metrics.bootstrap import percentile_interval

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
    rows = contest.contenders.select("target", "domain", "kind", *_SIDE).rows(named=True)
    found = [row for metric in contest.measured for row in _compare_by(contest, metric, pairs, rows)]
    return pl.DataFrame(found, schema=PAIRED, orient="row")


def _compare_by(
    contest: Contest, metric: str, pairs: Sequence[Pair], rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    measured = contest.measured[metric]
    one, other = (np.array([getattr(pair, side) for pair in pairs], dtype=int) for side in ("one", "other"))
    p_K = p_values(measured.added_PM[:, one] - measured.added_PM[:, other])
    draws_KD = (measured.draws_DM[:, one] - measured.draws_DM[:, other]).T
    found = []
    for pair, p, draws_D in zip(pairs, p_K, draws_KD, strict=True):
        low, high = percentile_interval(draws_D) or (None, None)
        score, other_score = (_known(measured.scores_M[index]) for index in (pair.one, pair.other))
        found.append(
            {
                **rows[pair.one],
                **{f"other_{name}": rows[pair.other][name] for name in _SIDE},
                "family": pair.family,
                "metric": metric,
                "less": pair.less and list(pair.less),
                "num_participants": contest.num_participants,
                "score": score,
                "other_score": other_score,
                "difference": None if score is None or other_score is None else score - other_score,
                "low": low,
                "high": high,
                "p": _known(p),
            }
        )
    return found


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
