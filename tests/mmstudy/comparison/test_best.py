"""Best sets, the optimism of choosing on test, flags and hours."""

import numpy as np
import pytest

from mmstudy.comparison.best import best_sets
from mmstudy.comparison.compare import ON_TEST, compare
from mmstudy.comparison.contenders import find_contenders
from mmstudy.comparison.flags import with_one_class
from mmstudy.comparison.totals import hours_by_set, total_hours
from mmstudy.sweep.cells import Cell
from tests.mmstudy.comparison.made_up import MadeUp, score_row, table

T1, DWI, BOTH = (Cell(target="x", inputs=inputs) for inputs in (("t1",), ("dwi",), ("t1", "dwi")))


def test_the_best_set_is_chosen_on_validation_and_what_test_would_have_added_is_told() -> None:
    rows = [score_row(T1, 0.30, val_score=0.4), score_row(DWI, 0.35, val_score=0.3), score_row(BOTH, 0.1)]
    best = best_sets(find_contenders(table(rows))).row(0, named=True)
    assert (best["cell"], best["chosen_on"], best["best_on_test"]) == ("x_t1", "validation", "x_dwi")
    assert best["optimism"] == pytest.approx(0.05) and best["num_sets"] == 3


def test_without_validation_scores_the_choice_is_marked_as_made_on_test() -> None:
    found = compare(table([score_row(T1, 0.3), score_row(DWI, 0.35)]), None)
    best = found.best.row(0, named=True)
    assert (best["cell"], best["chosen_on"], best["optimism"]) == ("x_dwi", "test", None)
    assert found.notes[0] == ON_TEST


def test_of_equal_sets_the_smallest_is_best_and_unknown_scores_never_are() -> None:
    rows = [
        score_row(BOTH, 0.5, val_score=0.5),
        score_row(T1, 0.4, val_score=0.5),
        score_row(DWI, 0.3, val_score=0.5),
        score_row(Cell(target="x", inputs=("flair",)), float("nan"), val_score=float("nan")),
    ]
    best = best_sets(find_contenders(table(rows))).row(0, named=True)
    assert (best["cell"], best["best_on_test"]) == ("x_dwi", "x_t1-dwi")


def test_equal_sets_have_an_optimism_that_its_interval_bounds_by_luck() -> None:
    rng = np.random.default_rng(4)
    truth = rng.normal(0, 1, 400)
    cells = [Cell(target="x", inputs=("t1",), blocks=(f"b{number}",)) for number in range(20)]
    reader = MadeUp(truth, {cell.name: truth + rng.normal(0, 1, 400) for cell in cells})
    rows = [score_row(cell, _r2(truth, reader.predictions[cell.name]), val_score=rng.random()) for cell in cells]
    best = compare(table(rows), reader).best.row(0, named=True)
    assert 0 <= best["optimism_low"] <= best["optimism_high"] < 0.5
    assert best["optimism"] > 0 and best["optimism_high"] > best["optimism"]


def _r2(truth: np.ndarray, prediction: np.ndarray) -> float:
    return float(1 - ((truth - prediction) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def test_one_class_is_known_of_runs_and_taken_from_scores_in_tables() -> None:
    scores = {
        "kept": ("binary", True, 0.7, 0.7),
        "denied": ("binary", False, 0.5, 0.9),
        "told": ("binary", None, 0.504, 0.61),
        "ranks": ("binary", None, 0.506, 0.61),
        "balanced": ("binary", None, 0.5, 0.55),
        "value": ("continuous", None, 0.5, 0.9),
    }
    rows = [
        score_row(T1, run_id=name, kind=kind, predicts_one_class=known, balanced_accuracy=balanced, auc=auc)
        for name, (kind, known, balanced, auc) in scores.items()
    ]
    found = with_one_class(table(rows)).select("run_id", "predicts_one_class").rows()
    assert dict(found) == {
        "kept": True, "denied": False, "told": True, "ranks": False, "balanced": False, "value": None
    }  # fmt: skip


def test_hours_count_a_run_once_however_many_cells_share_it() -> None:
    other = Cell(target="y", inputs=("t1",))
    shared = [score_row(cell, run_id="both", method="shared", minutes=60.0) for cell in (T1, other)]
    unnamed = [score_row(cell, run_id=None, method="published", minutes=30.0) for cell in (T1, other)]
    scores = table([*shared, *unnamed, score_row(DWI, minutes=None)])
    assert total_hours(scores) == 2.0
    by_set = hours_by_set(scores).select("method", "set", "runs", "hours", "runs_without_minutes").rows()
    assert by_set == [("shared", "T1", 1, 1.0, 0), ("published", "T1", 2, 1.0, 0), ("separate", "DWI", 1, 0.0, 1)]
