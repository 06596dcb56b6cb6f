"""Simulated studies: of what is called found, no larger share is false than is promised."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from scipy.stats import binom

from mmstudy.comparison.compare import compare
from mmstudy.comparison.families import FALSE_DISCOVERIES, LESS_ONE, with_q_values
from mmstudy.comparison.paired import PAIRED
from mmstudy.comparison.sign_flips import p_values
from mmstudy.sweep.cells import Cell
from tests.mmstudy.comparison.made_up import MadeUp, Values, score_row, table

NUM_STUDIES, NUM_WHOLE_STUDIES, N = 200, 200, 400
NUM_NULL, NUM_PLANTED, NUM_PEOPLE = 24, 8, 300
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


def compared(seed: int, gains: dict[str, float]) -> pl.DataFrame:
    """Return the tests of a whole study that `compare` makes: what a binary target gains from each input of a set.

    A model's error is of its own, and smaller for each input that gains something; every fifth person comes twice.
    """
    rng = np.random.default_rng(seed)
    people = np.r_[np.arange(NUM_PEOPLE), np.arange(0, NUM_PEOPLE, 5)]
    trait, hard = (rng.normal(0, sd, NUM_PEOPLE)[people] for sd in (1, 0.5))
    truth = (trait + rng.normal(0, 0.5, len(people)) > 0.5).astype(float)
    predictions, rows = dict[str, Values](), []
    for size in range(1, len(gains) + 1):
        for inputs in combinations(gains, size):
            noise = 2 - sum(gains[name] for name in inputs)
            cell = Cell(target="y", inputs=inputs)
            predictions[cell.name] = expit(trait + hard - 0.5 + rng.normal(0, noise, len(people)))
            rows.append(score_row(cell, 0.5, kind="binary", r2=None, val_score=0.5))
    found = compare(table(rows), MadeUp(truth, predictions, people.tolist())).paired
    return found.filter(pl.col("family") == LESS_ONE)


@pytest.mark.slow
def test_whole_studies_keep_the_promise_where_no_input_adds_anything() -> None:
    nothing = dict.fromkeys(("t1", "dwi", "connectivity"), 0.0)
    wrong = [
        dict(compared(seed, nothing).group_by("metric").agg((pl.col("q") <= FALSE_DISCOVERIES).any()).iter_rows())
        for seed in range(NUM_WHOLE_STUDIES)
    ]
    for metric in ("balanced_accuracy", "auc"):
        num_wrong = sum(of_study[metric] for of_study in wrong)
        assert num_wrong <= binom.ppf(SURELY, NUM_WHOLE_STUDIES, FALSE_DISCOVERIES)


@pytest.mark.slow
def test_whole_studies_find_the_inputs_that_add_something_and_hardly_others() -> None:
    shares, found = [], []
    for seed in range(NUM_WHOLE_STUDIES):
        pairs = compared(seed, {"t1": 0.9, "dwi": 0.0, "connectivity": 0.9}).filter(pl.col("metric") == "auc")
        discovered = (pairs["q"] <= FALSE_DISCOVERIES).to_numpy()
        is_null = pairs["less"].list.first().to_numpy() == "dwi"
        shares.append((discovered & is_null).sum() / max(discovered.sum(), 1))
        found.append(discovered[~is_null].mean())
    assert np.mean(shares) <= FALSE_DISCOVERIES + 3 * np.std(shares) / np.sqrt(NUM_WHOLE_STUDIES)
    assert np.mean(found) > 0.7
