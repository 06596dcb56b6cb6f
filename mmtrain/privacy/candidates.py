"""The people of whom an attacker asks whether a model was trained on them.

Terms
-----
members   people of the training split.
others    people of validation and test. No weights were fitted to them; validation chose the epoch.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmtrain.data.cohort import Cohort
from mmtrain.metrics.metric import Classes, Values

_SMALLEST = 1e-12
"""Probability that is told from 0, so that no log-odds are infinite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """N people, one sample of each."""

    sample_ids: list[str]
    is_member: Classes
    truth: Values
    """In the target's own unit, or classes 0 and 1."""
    prediction: Values
    """In the same unit, or the probability of class 1."""

    @property
    def num_members(self) -> int:
        """Return how many were trained on."""
        return int(self.is_member.sum())

    @property
    def num_others(self) -> int:
        """Return how many were not."""
        return len(self.is_member) - self.num_members


def find_candidates(trained: pl.DataFrame, held_out: pl.DataFrame, cohort: Cohort) -> Candidates:
    """Return members and others of one target.

    Of several visits of a person the first in the cohort stands for all of them, so that each person counts once. Who
    has visits on both sides is left out, being neither; so are samples whose prediction is no number.

    Parameters
    ----------
    trained, held_out
        ``sample_id``, ``truth`` and ``prediction`` of the target, of training samples and of the others.
    """
    places = pl.DataFrame({"sample_id": cohort.sample_ids, "person": cohort.participants}).with_row_index("place")
    sides = [
        table.select("sample_id", pl.col("truth", "prediction").cast(pl.Float64), is_member=pl.lit(is_member))
        for table, is_member in ((trained, True), (held_out, False))
    ]
    predicted = pl.concat(sides).filter(pl.col("prediction").is_finite())
    joined = predicted.join(places, on="sample_id", how="inner")
    is_on_one_side = pl.col("is_member").n_unique().over("person") == 1
    chosen = joined.filter(is_on_one_side).sort("place").unique("person", keep="first", maintain_order=True)
    return Candidates(
        sample_ids=chosen["sample_id"].to_list(),
        is_member=chosen["is_member"].to_numpy(),
        truth=chosen["truth"].to_numpy(),
        prediction=chosen["prediction"].to_numpy(),
    )


def signals(truth: Values, prediction: Values, *, is_binary: bool) -> NDArray[np.float64]:
    """Return what an attacker looks at of each sample, shape (N,), NaN where there is no prediction.

    Of a binary target it is the log-odds of the true class, which Carlini et al. (2022, section IV) found to be nearly
    normal; of a continuous one the signed error, which is normal where errors are.
    """
    if not is_binary:
        return prediction - truth
    probability = np.clip(np.where(truth == 1, prediction, 1 - prediction), _SMALLEST, 1 - _SMALLEST)
    return np.asarray(np.log(probability) - np.log1p(-probability))


def losses(truth: Values, prediction: Values, *, is_binary: bool) -> NDArray[np.float64]:
    """Return the loss of each sample, shape (N,): the squared error, or the cross-entropy of a binary target."""
    signal = signals(truth, prediction, is_binary=is_binary)
    return np.logaddexp(0, -signal) if is_binary else signal**2
