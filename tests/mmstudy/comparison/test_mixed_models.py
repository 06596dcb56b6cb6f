"""Mixed models against the closed form of balanced designs, and of the published table against an independent fit."""

import math
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import t as student

from catalog.fields import load_dictionary
from mmstudy.comparison.contenders import find_contenders
from mmstudy.comparison.mixed_models import domain_effects
from mmstudy.comparison.published_table import read_published
from mmstudy.sweep.cells import Cell
from tests.mmstudy.comparison.made_up import score_row, table

SETS = [("flair", "t1"), ("dwi",), ("flair", "t1", "dwi"), ()]
PUBLISHED_TABLE = "MM_PUBLISHED_TABLE"
PUBLISHED = {
    "constitutional": {
        "intercept": (0.7568872963749975, 0.09521228718313433, 21),
        "flair+t1": (0.04073057740624985, 0.013795421192097177, 21),
        "dwi": (0.021265797406249943, 0.013795421192097177, 21),
        "connectivity": (0.011658459031249891, 0.013795421192097177, 21),
    },
    "psychology": {
        "intercept": (0.5595840246145845, 0.009927787145773612, 367),
        "disease": (0.0036742119635416754, 0.0015875229383297306, 367),
        "serology": (-0.001822897380208337, 0.0015875229383297306, 367),
        "flair+t1": (-0.013901144557291602, 0.0015875229383297306, 367),
        "dwi": (-0.011810790078124935, 0.0015875229383297306, 367),
        "connectivity": (-0.009013917848958298, 0.0015875229383297306, 367),
    },
    "disease": {
        "intercept": (0.611776422275163, 0.06778936681965317, 150),
        "serology": (0.007970772999999865, 0.00328054283245235, 150),
        "psychology": (-0.00020676800000014596, 0.00328054283245235, 150),
        "flair+t1": (-0.004136643550000141, 0.00328054283245235, 150),
        "dwi": (-0.009911952525000035, 0.00328054283245235, 150),
        "connectivity": (-0.007559456700000178, 0.00328054283245235, 150),
    },
    "serology": {
        "intercept": (0.23235937500003634, 0.08861688745462043, 119),
        "disease": (0.014265625000000013, 0.0033056772879467493, 119),
        "psychology": (-0.006328125000000019, 0.0033056772879467493, 119),
        "flair+t1": (0.007609375000000023, 0.0033056772879467493, 119),
        "dwi": (-0.00045312499999996403, 0.0033056772879467493, 119),
        "connectivity": (-0.025390625000000028, 0.0033056772879467493, 119),
    },
}
"""Estimate, standard error and degrees of freedom of models m2, m5, m8 and m10, fitted independently by REML."""


def balanced(num_targets: int = 6, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Return contenders whose targets all have the same four sets, and the scores (target, set)."""
    rng = np.random.default_rng(seed)
    effects = np.array([0.05, 0.02, 0.07, 0.0])
    scores_TS = 0.3 + rng.normal(0, 0.1, (num_targets, 1)) + effects + rng.normal(0, 0.02, (num_targets, 4))
    rows = [
        score_row(Cell(target=f"x{number}", inputs=(*inputs, "metadata"), blocks=("constitutional",)), score)
        for number, of_target in enumerate(scores_TS)
        for inputs, score in zip(SETS, of_target.tolist(), strict=True)
    ]
    return find_contenders(table(rows)), scores_TS


def test_a_balanced_design_has_the_effects_errors_and_variances_of_its_closed_form() -> None:
    contenders, scores_TS = balanced()
    num_targets, num_sets = scores_TS.shape
    found, notes = domain_effects(contenders)
    design_SE = np.array([[1.0, 0], [0, 1], [1, 1], [0, 0]])
    centred_SE = design_SE - design_SE.mean(axis=0)
    within_TS = scores_TS - scores_TS.mean(axis=1, keepdims=True)
    effects_E = np.linalg.lstsq(centred_SE, within_TS.mean(axis=0), rcond=None)[0]
    df = scores_TS.size - num_targets - 2
    residual = ((within_TS - centred_SE @ effects_E) ** 2).sum() / df
    between = num_sets * scores_TS.mean(axis=1).var(ddof=1)
    covariance_EE = residual * np.linalg.inv(num_targets * centred_SE.T @ centred_SE)
    mean_E = design_SE.mean(axis=0)
    intercept_error = math.sqrt(between / scores_TS.size + mean_E @ covariance_EE @ mean_E)
    assert notes == [] and found["term"].to_list() == ["intercept", "flair+t1", "dwi"]
    np.testing.assert_allclose(found["estimate"], [scores_TS.mean() - mean_E @ effects_E, *effects_E], atol=1e-9)
    errors = [intercept_error, *np.sqrt(np.diag(covariance_EE))]
    np.testing.assert_allclose(found["se"], errors, rtol=1e-3)
    np.testing.assert_allclose(found["sd_residual"], math.sqrt(residual), rtol=1e-3)
    np.testing.assert_allclose(found["sd_target"], math.sqrt((between - residual) / num_sets), rtol=1e-3)
    assert set(found["df"]) == {df}
    t = found["estimate"].to_numpy() / found["se"].to_numpy()
    np.testing.assert_allclose(found["p"], 2 * student.sf(abs(t), df), rtol=1e-9)
    np.testing.assert_allclose(found["high"] - found["low"], 2 * student.ppf(0.975, df) * found["se"], rtol=1e-9)


def test_targets_that_differ_by_less_than_chance_leave_no_spread_and_are_still_fitted() -> None:
    contenders, _ = balanced()
    of_set = {name: 0.1 * len(inputs) for name, inputs in contenders.select("cell", "inputs").iter_rows()}
    wave = [0.01 * (1, 1, -1, -1)[number % 4] for number in range(contenders.height)]
    flat = contenders.with_columns(r2=pl.col("cell").replace_strict(of_set, return_dtype=pl.Float64) + pl.Series(wave))
    found, _ = domain_effects(flat)
    assert found.height == 3 and found["sd_target"][0] < 1e-3 and found["se"].is_finite().all()


def test_one_target_and_too_few_cells_have_no_model_and_a_note_says_why() -> None:
    contenders, _ = balanced()
    one, notes = domain_effects(contenders.filter(pl.col("target") == "x1"))
    assert one.is_empty() and notes == [
        "No mixed model of serology (separate fusion): 1 target with scores, and it needs 2."
    ]
    three = contenders.filter(pl.col("cell").str.contains("x1_(flair-t1|dwi)-m|x2_dwi-m"))
    few, notes = domain_effects(three)
    assert few.is_empty() and "3 cells are too few to estimate it" in notes[0]


def test_the_published_models_are_reproduced() -> None:
    path = os.environ.get(PUBLISHED_TABLE)
    if not path:
        pytest.skip(f"{PUBLISHED_TABLE} does not name a copy of the published table, which is not part of mm")
    contenders = find_contenders(read_published(Path(path), load_dictionary()))
    found, notes = domain_effects(contenders)
    assert notes == [] and found.height == sum(map(len, PUBLISHED.values()))
    for row in found.iter_rows(named=True):
        estimate, error, df = PUBLISHED[row["domain"]][row["term"]]
        assert row["estimate"] == pytest.approx(estimate, abs=1e-4) and row["se"] == pytest.approx(error, abs=1e-3)
        assert row["df"] == df
