import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog.database import open_catalog
from catalog.runs import index_runs
from catalog.summary import summarise

AGE = {
    "target": "age",
    "kind": "regression",
    "inputs": ["t1", "flair"],
    "n": {"train": 12, "val": 4, "test": 5},
    "val": {"mae": 5.5, "r2": 0.25, "r": 0.5},
    "test": {"mae": 6.5, "r2": -0.25, "r": 0.125},
}
SEX = {
    "target": "sex",
    "kind": "classification",
    "inputs": ["connectivity"],
    "n": {"train": 30, "val": 7, "test": 8},
    "val": {"balanced_accuracy": 0.5, "auc": 0.625, "f1": 0.75, "precision": 0.875, "recall": 1.0},
    "test": {"balanced_accuracy": 0.25, "auc": 0.375, "f1": 0.0, "precision": 0.0, "recall": 0.0},
}


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Any]:
    with open_catalog(tmp_path / "catalog.duckdb", writable=True) as connection:
        yield connection


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    runs = tmp_path / "runs"
    for name, metrics in (("age_1", AGE), ("sex_1", SEX)):
        (runs / name).mkdir(parents=True)
        (runs / name / "metrics.json").write_text(json.dumps(metrics))
    (runs / "unfinished").mkdir()
    return runs


def test_the_index_says_what_metrics_json_says(catalog: Any, runs: Path) -> None:
    assert index_runs(catalog, runs) == []
    expected = [
        {"run_id": name, "target": m["target"], "kind": m["kind"], "inputs": "+".join(m["inputs"])}
        | {f"n_{split}": n for split, n in m["n"].items()}
        | {f"{split}_{metric}": value for split in ("val", "test") for metric, value in m[split].items()}
        for name, m in (("age_1", AGE), ("sex_1", SEX))
    ]
    assert summarise(catalog).runs == expected


def test_indexing_again_follows_the_directories(catalog: Any, runs: Path) -> None:
    index_runs(catalog, runs)
    shutil.rmtree(runs / "sex_1")
    (runs / "age_1" / "metrics.json").write_text(json.dumps(AGE | {"n": {"train": 99, "val": 4, "test": 5}}))
    assert index_runs(catalog, runs) == []
    assert [(run["run_id"], run["n_train"]) for run in summarise(catalog).runs] == [("age_1", 99)]


def test_a_study_without_runs_has_none(catalog: Any, tmp_path: Path) -> None:
    assert index_runs(catalog, tmp_path / "runs") == []
    assert summarise(catalog).runs == []


def test_a_broken_run_is_named_and_the_others_are_entered(catalog: Any, runs: Path) -> None:
    (runs / "age_1" / "metrics.json").write_text('{"target": "age"')
    assert index_runs(catalog, runs) == ["age_1"]
    assert [run["run_id"] for run in summarise(catalog).runs] == ["sex_1"]


def test_a_marked_run_says_how_many_of_its_cohort_have_withdrawn(catalog: Any, runs: Path) -> None:
    mark = {"date": "2026-01-02", "cohort": AGE["n"], "withdrawn": {"train": 2, "val": 0, "test": 1}}
    (runs / "age_1" / "withdrawn.json").write_text(json.dumps(mark))
    assert index_runs(catalog, runs) == []
    rows = catalog.execute("SELECT run_id, withdrawn, n_train FROM runs ORDER BY run_id").fetchall()
    assert rows == [("age_1", 3, 12), ("sex_1", None, 30)]


def test_a_run_whose_mark_is_broken_is_named(catalog: Any, runs: Path) -> None:
    (runs / "age_1" / "withdrawn.json").write_text("{")
    assert index_runs(catalog, runs) == ["age_1"]
