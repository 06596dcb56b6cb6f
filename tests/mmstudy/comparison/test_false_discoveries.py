"""Simulated studies: of what is called found, no larger share is false than is promised."""

import numpy as np
import polars as pl
from scipy.stats import binom

from mmstudy.comparison.families import FALSE_DISCOVERIES, with_q_values
from mmstudy.comparison.paired import PAIRED
from mmstudy.comparison.sign_flips import p_values

NUM_STUDIES, N = 200, 400
NUM_NULL, NUM_PLANTED = 24, 8
SURELY = 0.999
"""Of a study whose promise is kept, how often the margin holds."""


def studied(seed: int, gain: float) -> pl.DataFrame:
    """Return the tests of a study: sets of inputs against one set, all of the same participants.

    Each p value is of squared errors of one model against those of another; the first `NUM_PLANTED` have less noise by
    `gain`. All share the errors that participants make hard, and the models they are compared with.
    """
    rng = np.random.default_rng(seed)
    hard_N1 = rng.standard_t(5, (N, 1))
    one_NK, other_N1 = rng.normal(0, 1, (N, NUM_NULL + NUM_PLANTED)), rng.normal(0, 1, (N, 1))
    one_NK[:, :NUM_PLANTED] *= 1 - gain
    added_NK = (hard_N1 + other_N1) ** 2 - (hard_N1 + one_NK) ** 2
    rows = {"family": "f", "method": "separate", "network": "fusion", "metric": "r2"}
    table = pl.DataFrame({"p": p_values(added_NK), "difference": added_NK.mean(axis=0)}).with_columns(
        **{name: pl.lit(value) for name, value in rows.items()}
    )
    whole = pl.concat([PAIRED.to_frame(), table], how="diagonal")
    return with_q_values(whole)


def test_without_any_effect_hardly_more_studies_find_one_than_is_promised() -> None:
    found = [studied(seed, 0.0) for seed in range(NUM_STUDIES)]
    num_wrong = sum(bool((of_study["q"] <= FALSE_DISCOVERIES).any()) for of_study in found)
    assert num_wrong <= binom.ppf(SURELY, NUM_STUDIES, FALSE_DISCOVERIES)
    p = np.concatenate([of_study["p"].to_numpy() for of_study in found])
    assert abs((p <= 0.05).mean() - 0.05) < 0.02  # tests of a study depend on each other


def test_planted_differences_are_found_and_few_others_with_them() -> None:
    found = [studied(1000 + seed, 0.5) for seed in range(NUM_STUDIES)]
    discovered = np.array([(of_study["q"] <= FALSE_DISCOVERIES).to_numpy() for of_study in found])
    planted, null = discovered[:, :NUM_PLANTED], discovered[:, NUM_PLANTED:]
    share_false = null.sum(axis=1) / np.maximum(discovered.sum(axis=1), 1)
    margin = 3 * share_false.std() / np.sqrt(NUM_STUDIES)
    assert share_false.mean() <= FALSE_DISCOVERIES + margin
    assert planted.mean() > 0.9
