"""Finished runs as scores, and their predictions from their directories."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from catalog.fields import load_dictionary
from mmdata.study import Study
from mmstudy.comparison.elements import in_order
from mmstudy.comparison.from_runs import Served, scores_of_runs
from mmstudy.comparison.predictions import RunPredictions
from mmstudy.results.published import shown_blocks
from mmstudy.results.read import RunResult, read_results
from mmstudy.sweep.cells import Cell, ordered_inputs
from mmtrain.errors import TrainError
from tests.mmstudy.finished_runs import AGE, SEX, add_run, make_study

DICTIONARY = load_dictionary()
DECIDED = {"balanced_accuracy": 0.75, "macro_precision": 0.7, "macro_recall": 0.75, "macro_f1": 0.72, "micro_auc": 0.8}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path / "study")


def serve(result: RunResult) -> Served:
    """Return the cell that a run is a model of."""
    blocks = in_order(shown_blocks(result, DICTIONARY))
    inputs = ordered_inputs(frozenset(result.config.data.inputs))
    method = "baseline" if result.config.model.model == "linear" else "separate"
    return Served(result=result, cell=Cell(target=result.target, inputs=inputs, blocks=blocks), method=method)


def scores_of(study: Study) -> list[dict[str, Any]]:
    served = [serve(result) for result in read_results(study).results]
    return scores_of_runs(served, DICTIONARY).rows(named=True)


def test_a_run_is_the_scores_of_its_cell_and_what_must_be_equal_is_kept(study: Study) -> None:
    test = {**DECIDED, "recall": 0.8, "average_precision": 0.6, "prevalence": 0.5}
    more = {"minutes": 5.0, "losses": {"test": 0.4}, "decision": {"threshold": 0.4}}
    metrics = {
        "test": test,
        "val": {"balanced_accuracy": 0.7},
        "intervals": {"test": {"balanced_accuracy": [0.6, 0.9]}},
    }
    run = add_run(study, "a", {**SEX, "inputs": ["dwi", "t1"], "seed": 7}, metrics | more)
    record = json.loads(run.config.read_text())
    run.config.write_text(json.dumps(record | {"comparable": {"regime": "r", "participants": {"sex": "p"}}}))
    (row,) = scores_of(study)
    assert (row["cell"], row["method"], row["network"], row["seed"]) == ("sex_t1-dwi", "separate", "fusion", 7)
    assert (row["score"], row["score_low"], row["score_high"], row["val_score"]) == (0.75, 0.6, 0.9, 0.7)
    assert (row["regime"], row["participants"], row["threshold"]) == ("r", "p", 0.4)
    assert (row["recall"], row["average_precision"], row["r2"], row["minutes"]) == (0.75, 0.6, None, 5.0)
    assert row["predicts_one_class"] is False and row["domain"] == "constitutional"
    ones = row["n_test"] // 2
    matrix = (round(0.8 * ones), ones - round(0.8 * ones), round(0.7 * ones), ones - round(0.7 * ones))
    assert row["smallest_cell"] == min(cell for cell in matrix if cell)


def test_a_run_that_was_changed_after_it_had_begun_has_a_regime_of_its_own(study: Study) -> None:
    run = add_run(study, "a", SEX, {"test": DECIDED, "val": {}})
    record = json.loads(run.config.read_text()) | {"comparable": {"regime": "r", "participants": {"sex": "p"}}}

    def regime(*changes: dict[str, Any]) -> str:
        run.config.write_text(json.dumps(record | {"changes": list(changes)}))
        return str(scores_of(study)[0]["regime"])

    faster = {"epoch": 3, "settings": {"compile": {"before": False, "after": True}}}
    assert regime() == regime(faster) == "r"
    batch = {"epoch": 3, "settings": {"batch_size": {"before": 64, "after": 32}}}
    assert len({regime(), regime(batch), regime({"epoch": 9, "finished": True})}) == 3


def test_a_continuous_target_is_scored_by_r2_and_an_older_run_says_not_what_must_be_equal(study: Study) -> None:
    split = {f"median_split_{name}": value for name, value in DECIDED.items()}
    add_run(
        study, "a", AGE | {"model": "linear"}, {"test": {"r2": 0.5, "r": 0.7, "mae": 4.0, **split}, "val": {"r2": 0.4}}
    )
    (row,) = scores_of(study)
    assert (row["score"], row["val_score"], row["mae"], row["balanced_accuracy"]) == (0.5, 0.4, 4.0, 0.75)
    assert (row["method"], row["regime"], row["participants"]) == ("baseline", None, None)
    assert row["predicts_one_class"] is None


@pytest.mark.parametrize(
    ("recall", "balanced", "expected"), [(0.0, 0.5, True), (1.0, 0.5, True), (0.5, 0.5, False), (1.0, 0.6, False)]
)
def test_one_class_is_predicted_where_one_is_always_found_and_the_other_never(
    study: Study, recall: float, balanced: float, expected: bool
) -> None:
    add_run(study, "a", SEX, {"test": {"recall": recall, "balanced_accuracy": balanced}})
    assert scores_of(study)[0]["predicts_one_class"] is expected


def test_predictions_are_those_of_the_test_split_and_of_the_target_asked_for(study: Study) -> None:
    run = add_run(study, "a", AGE, {"test": {"r2": 0.5}})
    table = pl.DataFrame(
        {
            "sample_id": ["b", "a", "c", "a"],
            "split": ["test", "test", "val", "test"],
            "truth": [1.0, 2.0, 3.0, 4.0],
            "prediction": [1.5, 2.5, 3.5, 4.5],
            "target": ["age", "age", "age", "sex"],
        }
    )
    table.write_parquet(run.predictions)
    reader = RunPredictions({"a": run})
    found = reader.tested("a", "age")
    assert found.rows() == [("b", 1.0, 1.5), ("a", 2.0, 2.5)]
    table.drop("truth").write_parquet(run.predictions)
    with pytest.raises(TrainError, match="of run a is damaged"):
        reader.tested("a", "age")


def test_visits_of_a_person_have_one_number(study: Study) -> None:
    run = add_run(study, "a", AGE, {"test": {"r2": 0.5}})
    ids = pl.read_parquet(run.cohort)["sample_id"]
    cohort = {"row": range(len(ids)), "split": "test", "participant": np.arange(len(ids)) // 2, "augmented": False}
    pl.DataFrame({"sample_id": ids, **cohort, "target": 1.0}).write_parquet(run.cohort)
    found = RunPredictions({"a": run}).people("a")
    assert found["participant"].to_list() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
