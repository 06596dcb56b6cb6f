"""What `mm runs` reads, chooses, compares and writes."""

import csv
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from catalog.fields import load_dictionary
from mmbase.files import write_json
from mmdata.study import Study
from mmstudy.results.choose import choose_results, sort_results
from mmstudy.results.compare import compare_runs
from mmstudy.results.published import published_csv
from mmstudy.results.read import Measured, read_results, read_run
from mmtrain.errors import TrainError
from tests.mmstudy.finished_runs import AGE, SEX, SIZES, add_run, make_study

DICTIONARY = load_dictionary()
OLD_AGE = {"val": {"mae": 5.5, "r2": 0.25, "r": 0.5}, "test": {"mae": 6.5, "r2": -0.25, "r": 0.125}}
"""As mm 0.1.0 wrote it."""
HEADER = (
    ",Mode,Target,Inputs,Balanced accuracy,Weighted precision,Weighted recall,Weighted F1,AUC,Training time (mins),"
    "Loss,r2,r,MAE,Metadata,Constitutional,Serology,Psychology,Disease,T1,FLAIR,DWI,rsfMRI connectivity,Domain"
)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path / "study")


def test_the_published_columns_reproduce_rows_by_hand(study: Study) -> None:
    settings = {**SEX, "inputs": ["dwi", "flair", "t1", "connectivity"]}
    of_classes = {"balanced_accuracy": 0.9875, "macro_precision": 0.98, "macro_recall": 0.9875, "macro_f1": 0.9825}
    test = {"auc": 0.75, "f1": 0.7, "precision": 0.6, "recall": 0.5, **of_classes, "micro_auc": 0.999123456}
    rest = {"minutes": 1372.75, "losses": {"val": 0.02, "test": 0.016711506}}
    add_run(study, "a", settings, {"test": test, **rest})
    fat = {"target": "body_fat", "kind": "regression", "unit": "%", "inputs": ["metadata", "flair", "t1"]}
    blocks = {"metadata_blocks": ["serology", "psychology", "constitutional"], "features": ["LDL"]}
    split = {"balanced_accuracy": 0.859, "macro_precision": 0.8592, "macro_recall": 0.859, "macro_f1": 0.8591}
    of_values = {"mae": 2.925807796, "r2": 0.799, "r": 0.895}
    test = of_values | {f"median_split_{name}": value for name, value in split.items()}
    rest = {"minutes": 165.8, "losses": {"val": 0.03, "test": 0.03446358}}
    add_run(study, "b", fat | blocks, {"test": {**test, "median_split_micro_auc": 0.8593}, **rest})
    assert published_csv(read_results(study).results, DICTIONARY).splitlines() == [
        HEADER,
        "0,Test,Sex (Male),rsfMRI Connectivity + DWI + FLAIR + T1,0.9875,0.98,0.9875,0.9825,0.999123456,1372.75,"
        "0.016711506,0,0,0,No,No,No,No,No,Yes,Yes,Yes,Yes,Constitutional",
        "1,Test,Body Fat,FLAIR + T1 + Non-imaging data (C + P + S),0.859,0.8592,0.859,0.8591,0.8593,165.8,"
        "0.03446358,0.799,0.895,2.925807796,Yes,Yes,Yes,Yes,No,Yes,Yes,No,No,Disease",
    ]


def test_cells_that_an_older_version_did_not_measure_are_empty(study: Study) -> None:
    add_run(study, "old", AGE, OLD_AGE)
    (row,) = csv.DictReader(StringIO(published_csv(read_results(study).results, DICTIONARY)))
    assert (row["Balanced accuracy"], row["AUC"], row["Loss"], row["Training time (mins)"]) == ("", "", "", "")
    assert (row["r2"], row["r"], row["MAE"], row["Domain"]) == ("-0.25", "0.125", "6.5", "Constitutional")
    (result,) = read_results(study).results
    assert (result.best_epoch, result.minutes, result.parameters) == (None, None, None)
    assert result.measured("test", "mae") == Measured(6.5) and result.measured("test", "pinball") == Measured(None)


def test_the_targets_own_block_is_not_told_as_an_input_unless_it_was_kept(study: Study) -> None:
    blocks = {"inputs": ["metadata"], "metadata_blocks": ["constitutional", "disease"], "features": ["LDL"]}
    add_run(study, "a", AGE | blocks, OLD_AGE)
    add_run(study, "b", AGE | blocks | {"keep_own_block": True}, OLD_AGE)
    rows = list(csv.DictReader(StringIO(published_csv(read_results(study).results, DICTIONARY))))
    assert [row["Inputs"] for row in rows] == ["Non-imaging data (D)", "Non-imaging data (C + D)"]
    assert [row["Constitutional"] for row in rows] == ["No", "Yes"]


def several(study: Study) -> None:
    one = {"kind": "regression", "n": SIZES, **OLD_AGE}
    two = {"kind": "classification", "n": SIZES | {"test": 9}, "val": {"auc": 0.5}, "test": {"auc": 0.625}}
    targets = [{"name": "age", "kind": "regression"}, {"name": "sex", "kind": "classification"}]
    whole = {"target": "age,sex", "kind": "several", "inputs": ["t1"], "losses": {"val": 1.0, "test": 1.0}}
    add_run(study, "both", {"targets": targets, "inputs": ["t1"]}, {**whole, "targets": {"age": one, "sex": two}})


def test_a_run_of_several_targets_is_a_result_for_each_and_its_common_loss_is_nobodys(study: Study) -> None:
    several(study)
    results = read_results(study).results
    assert [(result.target, result.n["test"], result.main_metric) for result in results] == [
        ("age", 12, "mae"),
        ("sex", 9, "auc"),
    ]
    rows = list(csv.DictReader(StringIO(published_csv(results, DICTIONARY))))
    assert [(row["Target"], row["Loss"]) for row in rows] == [("Age", ""), ("Sex (Male)", "")]


def test_runs_that_cannot_be_read_and_those_that_are_not_finished_are_named(study: Study) -> None:
    add_run(study, "good", AGE, OLD_AGE)
    add_run(study, "later", AGE, None)
    add_run(study, "broken", AGE, OLD_AGE).metrics.write_text('{"target": "age"')
    found = read_results(study)
    assert [result.run_id for result in found.results] == ["good"]
    assert list(found.unfinished) == ["later"]
    (problem,) = found.unreadable
    assert "metrics.json of run broken cannot be read: it is damaged" in problem
    with pytest.raises(TrainError, match="not finished, so there is nothing to compare"):
        read_run(study, "later")


@pytest.fixture
def results(study: Study) -> Any:
    for name, settings, test, minutes in (
        ("a", AGE, {"mae": 5.0, "r": 0.5}, 30.0),
        ("b", AGE | {"inputs": ["t1"]}, {"mae": 3.0, "r": 0.7}, 10.0),
        ("c", AGE | {"inputs": ["t1", "flair"]}, {"mae": 4.0, "r": None}, None),
        ("d", SEX, {"auc": 0.75}, 20.0),
    ):
        add_run(study, name, settings, {"test": test, "val": {"mae": 9 - test.get("mae", 0)}, "minutes": minutes})
    return read_results(study).results


@pytest.mark.parametrize(
    ("by", "split", "expected"),
    [("mae", "test", "bcad"), ("mae", "val", "acbd"), ("r", "test", "bacd"), ("minutes", "test", "bdac")],
)
def test_the_best_run_comes_first_and_those_without_the_metric_last(
    results: Any, by: str, split: str, expected: str
) -> None:
    with_val = [result for result in results if result.run_id != "d"] if split == "val" else results
    found = [result.run_id for result in sort_results(with_val, by, split)]
    assert found == [name for name in expected if split == "test" or name != "d"]


def test_a_metric_a_target_or_an_input_that_no_run_has_is_refused_with_what_there_is(results: Any) -> None:
    with pytest.raises(TrainError, match=r"No run has the metric 'maee'.*Did you mean mae"):
        sort_results(results, "maee", "test")
    with pytest.raises(TrainError, match="There are runs of age, sex"):
        choose_results(results, target="weight")
    with pytest.raises(TrainError, match=r"Expected inputs among flair, t1.*got 'flare'.*Did you mean flair"):
        choose_results(results, inputs=["t1", "flare"])


def test_runs_are_chosen_by_target_and_by_exactly_their_inputs(results: Any) -> None:
    assert [result.run_id for result in choose_results(results, target="age", inputs=["t1", "flair"])] == ["a", "c"]
    assert [result.run_id for result in choose_results(results, inputs=["t1"])] == ["b", "d"]


def test_runs_are_compared_by_the_settings_that_differ_and_by_whom_they_are_tested_on(study: Study) -> None:
    add_run(study, "a", AGE, {"test": {"mae": 5.0}})
    add_run(study, "b", AGE | {"inputs": ["t1"], "learning_rate": 1e-3}, {"test": {"mae": 4.0, "r": 0.5}})
    found = compare_runs([read_run(study, "a"), read_run(study, "b")])
    assert found.settings == {"inputs": (("flair", "t1"), ("t1",)), "learning_rate": (1e-4, 1e-3)}
    assert found.metric_names("age", "test") == ["mae", "r"]
    assert found.are_tested_alike and found.num_tested_in_all == 12
    add_run(study, "c", AGE, {"test": {"mae": 5.0}}, tested=range(10, 30))
    other = compare_runs([read_run(study, "a"), read_run(study, "c")])
    assert (other.num_tested, other.num_tested_in_all, other.are_tested_alike) == ((12, 20), 2, False)


def test_runs_compared_on_validation_are_said_to_differ_where_their_validation_samples_do(study: Study) -> None:
    for name, first in (("a", 0), ("b", 6)):
        run = add_run(study, name, AGE, OLD_AGE)
        ids = [f"{number:016x}" for number in range(first, first + 12)]
        val = pl.DataFrame({"sample_id": ids, "row": range(first, first + 12), "split": "val"})
        pl.concat([pl.read_parquet(run.cohort).with_columns(pl.col("row").cast(pl.Int64)), val]).write_parquet(
            run.cohort
        )
    runs = [read_run(study, name) for name in "ab"]
    assert compare_runs(runs).are_tested_alike
    found = compare_runs(runs, "val")
    assert (found.num_tested, found.num_tested_in_all, found.are_tested_alike) == ((12, 12), 6, False)


def test_what_a_withdrawal_took_from_a_run_is_told(study: Study) -> None:
    run = add_run(study, "a", AGE, OLD_AGE | {"withdrawn": {"train": 2, "val": 0, "test": 1}})
    write_json(run.withdrawn, {"date": "2026-01-02", "cohort": SIZES, "withdrawn": {"train": 2, "val": 0, "test": 1}})
    assert read_run(study, "a")[0].withdrawn == 3
