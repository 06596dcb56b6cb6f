"""`mm runs` on the command line."""

import json
from pathlib import Path

import pytest

from mmdata.study import Study
from tests.conftest import RunMm
from tests.mmstudy.finished_runs import AGE, SEX, add_run, make_study

INTERVALS = {"test": {"mae": [4.5, 5.5]}}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    study = make_study(tmp_path / "study")
    metrics = {"test": {"mae": 5.0, "r2": 0.5, "median_split_macro_f1": 0.75}, "val": {"mae": 6.0}, "minutes": 12.34}
    more = {"intervals": INTERVALS, "best_epoch": 3, "epochs": 7, "parameters": 1234567}
    add_run(study, "age_1", AGE, metrics | more)
    add_run(study, "age_2", AGE | {"side": 32}, {"test": {"mae": 4.0}, "val": {"mae": 3.0}})
    add_run(study, "sex_1", SEX, {"test": {"auc": 0.75}, "val": {"auc": 0.5}})
    add_run(study, "age_3", AGE, None)
    return study


def lines(run_mm: RunMm, study: Study, *words: object) -> list[str]:
    """Return what a command prints, its columns divided by one blank."""
    result = run_mm("--study", study.layout.root, "runs", *words)
    assert result.exit_code == 0, result.output
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_every_finished_run_is_listed_with_its_main_metric_and_interval(run_mm: RunMm, study: Study) -> None:
    assert lines(run_mm, study) == [
        "run target inputs n best epoch test minutes",
        "age_1 age flair t1 80/10/12 3 of 7 mae 5.000 (4.500 to 5.500) 12.3",
        "age_2 age flair t1 80/10/12 mae 4.000",
        "sex_1 sex t1 80/10/12 auc 0.750",
        "Not finished: age_3.",
    ]


def test_runs_are_sorted_chosen_and_cut(run_mm: RunMm, study: Study) -> None:
    found = lines(run_mm, study, "--target", "age", "--inputs", "t1+flair", "--sort", "mae", "--limit", 1)
    assert found[0] == "run target inputs n best epoch test: mae minutes"
    assert found[1:3] == ["age_2 age flair t1 80/10/12 4.000", "and 1 more; --limit shows more of them."]
    assert lines(run_mm, study, "--sort", "mae", "--split", "val")[1].startswith("age_2 age flair t1 80/10/12 3.000")
    assert lines(run_mm, study, "--inputs", "dwi")[0] == "No finished run is like that."


def test_one_run_is_shown_with_all_its_metrics(run_mm: RunMm, study: Study) -> None:
    found = lines(run_mm, study, "age_1")
    assert "mae MAE (years) 6.000 5.000 (4.500 to 5.500)" in found
    assert any(line.startswith("median_split_macro_f1 macro F1 (published as weighted)") for line in found)


def test_two_runs_are_shown_side_by_side(run_mm: RunMm, study: Study) -> None:
    found = lines(run_mm, study, "age_1", "age_2")
    assert "side 64 32" in found
    assert "MAE (years) 5.000 (4.500 to 5.500) 4.000" in found
    assert "parameters 1,234,567 –" in found
    assert found[-1] == "All are tested on the same 12 samples."
    assert not any(line.startswith("channels") for line in found)


def test_json_has_all_that_the_tables_have_and_more(run_mm: RunMm, study: Study) -> None:
    content = json.loads("\n".join(lines(run_mm, study, "--json")))
    assert [run["run_id"] for run in content["runs"]] == ["age_1", "age_2", "sex_1"]
    assert content["runs"][0]["intervals"]["test"] == {"mae": [4.5, 5.5], "r2": None, "median_split_macro_f1": None}
    assert content["runs"][0]["metrics"]["test"]["median_split_macro_f1"] == 0.75
    compared = json.loads("\n".join(lines(run_mm, study, "age_1", "age_2", "--json")))
    assert compared["settings"] == {"side": [64, 32]} and compared["tested_in_all"] == 12


def test_the_published_table_is_written_over_nothing_unasked(run_mm: RunMm, study: Study, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    found = lines(run_mm, study, "--target", "age", "--sort", "mae", "--csv", path)
    assert f"Wrote {path}: 2 rows." in found
    rows = path.read_text().splitlines()
    assert rows[0].startswith(",Mode,Target,Inputs,Balanced accuracy,") and len(rows) == 3
    assert rows[1].startswith("0,Test,Age,FLAIR + T1,")
    again = run_mm("--study", study.layout.root, "runs", "--csv", path)
    assert again.exit_code == 1 and "exists. Give another name, or --overwrite." in again.output
    assert f"Wrote {path}: 3 rows." in lines(run_mm, study, "--csv", path, "--overwrite")


def test_what_chooses_runs_does_not_go_with_their_names(run_mm: RunMm, study: Study) -> None:
    result = run_mm("--study", study.layout.root, "runs", "age_1", "--target", "age")
    assert result.exit_code == 2 and "--target" in result.output
    missing = run_mm("--study", study.layout.root, "runs", "age_1", "age_9")
    assert missing.exit_code == 1 and "There is no run 'age_9'" in missing.output


def test_a_study_without_runs_says_how_to_get_one(run_mm: RunMm, tmp_path: Path) -> None:
    empty = make_study(tmp_path / "empty")
    (told,) = lines(run_mm, empty)
    assert told.startswith("No finished run yet. Train one with: mm ") and told.endswith(" train --target age")
