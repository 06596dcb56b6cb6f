import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from catalog.database import open_catalog
from catalog.errors import CatalogError
from catalog.runs import enter_run, index_runs, run_entries
from catalog.summary import summarise
from mmbase.checksums import write_checked
from mmbase.run_folders import RUNS_MARK

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
BOTH = {
    "target": "age,sex",
    "kind": "several",
    "inputs": ["t1", "connectivity"],
    "n": {"train": 35, "val": 9, "test": 10},
    "val": {},
    "test": {},
    "targets": {
        name: {key: value for key, value in of_target.items() if key not in ("target", "inputs")}
        for name, of_target in (("age", AGE), ("sex", SEX))
    },
}


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Any]:
    with open_catalog(tmp_path / "catalog.duckdb", writable=True) as connection:
        yield connection


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    runs = tmp_path / "runs"
    for name, metrics in (("age_1", AGE), ("sex_1", SEX)):
        add(runs, name, metrics)
    (runs / "unfinished").mkdir()
    return runs


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An empty catalogue that nobody has open."""
    path = tmp_path / "file" / "catalog.duckdb"
    path.parent.mkdir()
    with open_catalog(path, writable=True):
        pass
    return path


def add(runs: Path, name: str, metrics: dict[str, Any]) -> Path:
    (runs / name).mkdir(parents=True, exist_ok=True)
    (runs / name / "metrics.json").write_text(json.dumps(metrics))
    return runs / name


def expected(name: str, metrics: dict[str, Any]) -> dict[str, Any]:
    return (
        {"run_id": name, "target": metrics["target"], "kind": metrics["kind"], "inputs": "+".join(metrics["inputs"])}
        | {f"n_{split}": n for split, n in metrics["n"].items()}
        | {f"{split}_{metric}": value for split in ("val", "test") for metric, value in metrics[split].items()}
    )


def listed(path: Path) -> list[dict[str, Any]]:
    with open_catalog(path) as connection:
        return summarise(connection).runs


def test_the_index_says_what_metrics_json_says(catalog: Any, runs: Path) -> None:
    assert index_runs(catalog, runs) == []
    assert summarise(catalog).runs == [expected("age_1", AGE), expected("sex_1", SEX)]


def test_a_metric_that_nobody_here_knows_is_kept_like_any_other(catalog: Any, runs: Path) -> None:
    add(runs, "age_1", AGE | {"val": {"pinball": 0.5, "mae": None}, "train": {"mae": 1}})
    assert index_runs(catalog, runs) == []
    kept = catalog.execute("SELECT split, name, value FROM metrics WHERE run_id = 'age_1' ORDER BY ALL").fetchall()
    assert ("val", "pinball", 0.5) in kept and ("train", "mae", 1.0) in kept and ("val", "mae", None) in kept
    [age, _] = summarise(catalog).runs
    assert (age["val_pinball"], age["train_mae"]) == (0.5, 1.0) and "val_mae" not in age


def test_intervals_stand_beside_their_metrics_and_are_empty_where_there_is_none(catalog: Any, runs: Path) -> None:
    intervals = {"val": {"mae": [5.0, 6.25], "r2": None}, "test": {"r": [-0.5, 0.75]}}
    add(runs, "age_1", AGE | {"intervals": intervals})
    assert index_runs(catalog, runs) == []
    ends = "SELECT split, name, value, low, high FROM metrics WHERE run_id = 'age_1' AND name <> 'r2' ORDER BY ALL"
    assert catalog.execute(ends).fetchall() == [
        ("test", "mae", 6.5, None, None),
        ("test", "r", 0.125, -0.5, 0.75),
        ("val", "mae", 5.5, 5.0, 6.25),
        ("val", "r", 0.5, None, None),
    ]
    add(runs, "age_1", AGE | {"intervals": {**intervals, "test": {"r": [-0.5, 0.875]}}})
    index_runs(catalog, runs)
    assert catalog.execute("SELECT max(high) FROM metrics WHERE split = 'test'").fetchone() == (0.875,)


def test_a_run_of_several_targets_is_an_entry_for_each(catalog: Any, runs: Path) -> None:
    add(runs, "both_1", BOTH)
    assert index_runs(catalog, runs) == []
    inputs = {"inputs": "t1+connectivity"}
    of_both = [run for run in summarise(catalog).runs if run["run_id"] == "both_1"]
    assert of_both == [expected("both_1", AGE) | inputs, expected("both_1", SEX) | inputs]
    pivoted = catalog.execute(
        "SELECT target, val_mae, test_auc FROM runs WHERE run_id = 'both_1' ORDER BY 1"
    ).fetchall()
    assert pivoted == [("age", 5.5, None), ("sex", None, 0.375)]


@pytest.mark.parametrize(
    "broken",
    [
        {"val": {"mae": "a word"}},
        {"val": {"mae": [1, 2]}},
        {"val": None},
        {"n": {"train": 3}},
        {"target": None},
        {"targets": {"age": {"kind": "regression"}}},
        {"intervals": {"val": {"mae": [1.0]}}},
    ],
    ids=["a word", "a list", "no split", "no number", "no target", "half a target", "half an interval"],
)
def test_what_training_does_not_write_is_no_entry(broken: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        run_entries("age_1", AGE | broken)


def test_indexing_again_follows_the_directories(catalog: Any, runs: Path) -> None:
    index_runs(catalog, runs)
    shutil.rmtree(runs / "sex_1")
    add(runs, "age_1", AGE | {"n": {"train": 99, "val": 4, "test": 5}})
    assert index_runs(catalog, runs) == []
    assert [(run["run_id"], run["n_train"]) for run in summarise(catalog).runs] == [("age_1", 99)]
    assert catalog.execute("SELECT count(*) FROM metrics").fetchone() == (6,)


def test_indexing_writes_only_what_differs(catalog: Any, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(runs, "age_1", AGE | {"val": {"mae": float("nan")}})
    index_runs(catalog, runs)
    written: list[list[str]] = []
    replace = sys.modules["catalog.runs"]._replace_entries  # type: ignore[attr-defined]

    def watched(connection: Any, run_ids: Any, entries: Any) -> None:
        written.append(list(run_ids))
        replace(connection, run_ids, entries)

    monkeypatch.setattr("catalog.runs._replace_entries", watched)
    index_runs(catalog, runs)
    assert written == []
    add(runs, "sex_1", SEX | {"n": {"train": 1, "val": 2, "test": 3}})
    add(runs, "both_1", BOTH)
    index_runs(catalog, runs)
    assert written == [["both_1", "sex_1"]]


def test_a_study_without_runs_has_none(catalog: Any, tmp_path: Path) -> None:
    assert index_runs(catalog, tmp_path / "runs") == []
    assert summarise(catalog).runs == []


def test_a_broken_run_is_named_and_the_others_are_entered(catalog: Any, runs: Path) -> None:
    (runs / "age_1" / "metrics.json").write_text('{"target": "age"')
    assert index_runs(catalog, runs) == ["age_1"]
    assert [run["run_id"] for run in summarise(catalog).runs] == ["sex_1"]


def test_a_run_whose_metrics_have_changed_is_named(catalog: Any, runs: Path) -> None:
    write_checked(runs / "age_1" / "metrics.json", json.dumps(AGE).encode())
    (runs / "age_1" / "metrics.json").write_text(json.dumps(AGE | {"test": {"mae": 1.5, "r2": 0.25, "r": 0.5}}))
    assert index_runs(catalog, runs) == ["age_1"]


def test_a_marked_run_says_how_many_of_its_cohort_have_withdrawn(catalog: Any, runs: Path) -> None:
    mark = {"date": "2026-01-02", "cohort": AGE["n"], "withdrawn": {"train": 2, "val": 0, "test": 1}}
    (runs / "age_1" / "withdrawn.json").write_text(json.dumps(mark))
    assert index_runs(catalog, runs) == []
    rows = catalog.execute("SELECT run_id, withdrawn, n_train FROM runs ORDER BY run_id").fetchall()
    assert rows == [("age_1", 3, 12), ("sex_1", None, 30)]


def test_a_run_whose_mark_is_broken_is_named(catalog: Any, runs: Path) -> None:
    (runs / "age_1" / "withdrawn.json").write_text("{")
    assert index_runs(catalog, runs) == ["age_1"]


def test_entering_a_run_reads_none_that_is_entered_already(file: Path, runs: Path) -> None:
    (runs / "sex_1").rename(runs.parent / "elsewhere")
    assert enter_run(file, runs / "age_1") == []
    (runs.parent / "elsewhere").rename(runs / "sex_1")
    for name in ("age_1", "sex_1"):
        (runs / name / "metrics.json").write_text("{")
    assert enter_run(file, add(runs, "both_1", BOTH)) == ["sex_1"]
    entered = [(run["run_id"], run["target"]) for run in listed(file)]
    assert entered == [("age_1", "age"), ("both_1", "age"), ("both_1", "sex")]


def test_a_run_that_a_kill_kept_out_is_entered_with_the_next(file: Path, runs: Path) -> None:
    assert enter_run(file, runs / "sex_1") == []
    assert listed(file) == [expected("age_1", AGE), expected("sex_1", SEX)]


def test_a_run_whose_directory_is_gone_is_dropped_with_the_next(file: Path, runs: Path) -> None:
    enter_run(file, runs / "sex_1")
    shutil.rmtree(runs / "age_1")
    enter_run(file, runs / "sex_1")
    assert listed(file) == [expected("sex_1", SEX)]


def test_entering_a_run_again_replaces_all_of_it(file: Path, runs: Path) -> None:
    run = add(runs, "both_1", BOTH)
    for name in ("age_1", "sex_1"):
        shutil.rmtree(runs / name)
    for metrics in (BOTH, BOTH, AGE | {"val": {"new": 1.0}}):
        add(runs, "both_1", metrics)
        enter_run(file, run)
    assert listed(file) == [expected("both_1", AGE | {"val": {"new": 1.0}})]
    with open_catalog(file) as connection:
        assert connection.execute("SELECT count(*) FROM metric").fetchone() == (4,)


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_a_run_that_cannot_be_read_is_not_entered_and_the_rest_stays(
    file: Path, runs: Path, content: str | None
) -> None:
    (runs / "age_1").rename(runs.parent / "elsewhere")
    enter_run(file, runs / "sex_1")
    (runs.parent / "elsewhere").rename(runs / "age_1")
    metrics = runs / "age_1" / "metrics.json"
    metrics.unlink() if content is None else metrics.write_text(content)
    with pytest.raises(CatalogError, match=r"metrics\.json of run age_1 cannot be read .* Train it again"):
        enter_run(file, runs / "age_1")
    assert listed(file) == [expected("sex_1", SEX)]


def test_a_run_is_entered_where_there_is_no_catalogue_yet(tmp_path: Path, runs: Path) -> None:
    shutil.rmtree(runs / "sex_1")
    enter_run(tmp_path / "new.duckdb", runs / "age_1")
    assert listed(tmp_path / "new.duckdb") == [expected("age_1", AGE)]


def test_the_file_does_not_grow_with_how_often_runs_are_entered(file: Path, runs: Path) -> None:
    sizes = []
    for _ in range(12):
        enter_run(file, runs / "age_1")
        sizes.append(file.stat().st_size)
    assert max(sizes[6:]) <= max(sizes[:6])


def test_the_views_of_runs_can_be_queried_by_duckdb_alone(file: Path, runs: Path) -> None:
    enter_run(file, runs / "age_1")
    with duckdb.connect(str(file), read_only=True) as connection:
        assert connection.execute("SELECT val_mae FROM runs WHERE run_id = 'age_1'").fetchall() == [(5.5,)]
        columns = [column[0] for column in connection.execute("FROM metrics").description]
        assert columns == ["run_id", "target", "split", "name", "value", "low", "high"]


def test_a_wiring_check_is_never_entered(file: Path, runs: Path) -> None:
    check = add(runs, "diagnostic_age_1", AGE | {"diagnostic": True})
    assert run_entries(check.name, AGE | {"diagnostic": True}) == []
    for run in (check, runs / "age_1"):
        assert enter_run(file, run) == []
        assert {entry["run_id"] for entry in listed(file)} == {"age_1", "sex_1"}
    with open_catalog(file, writable=True) as connection:
        assert index_runs(connection, runs) == []
        assert {entry["run_id"] for entry in summarise(connection).runs} == {"age_1", "sex_1"}


def test_runs_elsewhere_are_entered_and_stay_while_their_folder_is_out_of_reach(
    catalog: Any, runs: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    add(scratch, "age_2", AGE)
    elsewhere = [scratch / "age_2", tmp_path / "nowhere" / "age_3"]

    def entered() -> set[str]:
        index_runs(catalog, runs, elsewhere)
        return {entry["run_id"] for entry in summarise(catalog).runs}

    assert entered() == {"age_1", "sex_1", "age_2"}
    scratch.rename(tmp_path / "away")
    assert entered() == {"age_1", "sex_1", "age_2"}
    scratch.mkdir()
    assert entered() == {"age_1", "sex_1", "age_2"}
    (scratch / RUNS_MARK).touch()
    assert entered() == {"age_1", "sex_1"}
