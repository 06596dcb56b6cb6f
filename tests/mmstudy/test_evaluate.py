"""`mm evaluate`: finished runs measured again, as they are and from every subset of their inputs."""

import csv
import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmdata.study import Study
from mmstudy.evaluate.again import measure_again
from mmstudy.evaluate.subsets import SubsetScores, score_subsets
from mmstudy.results.read import read_run
from mmstudy.settings import load_study
from mmtrain.models.trained import load_model
from mmtrain.results import write_predictions
from mmtrain.run import RunDirectory
from mmtrain.withdrawn import WithdrawnSamples, forget_withdrawn
from tests.conftest import MakeOnce, RunMm
from tests.mmtrain.conftest import TinyStudy, make_tiny_study
from tests.mmtrain.models.test_trained import EVERYTHING, read_inputs

SPLITS = ["train"] * 24 + ["val"] * 12 + ["test"] * 12
TEST = range(36, 48)
RUNS: dict[str, dict[str, Any]] = {
    "dropout": {**EVERYTHING, "modality_dropout": 0.4},
    "t1": {"inputs": ("t1",)},
    "worse": {"inputs": ("t1",), "learning_rate": 1e-7, "seed": 3},
    "linear": {"inputs": ("connectivity",), "model": "linear", "channels": ()},
    "classes": {"inputs": ("t1", "flair"), "target": "sex", "kind": "classification", "modality_dropout": 0.3},
    "diagnostic": {"inputs": ("t1", "flair"), "diagnostic": True, "modality_dropout": 0.3},
}
SUBSETS = [
    *(("t1",), ("connectivity",), ("metadata",)),
    *(("t1", "connectivity"), ("t1", "metadata"), ("connectivity", "metadata")),
    ("t1", "connectivity", "metadata"),
]


@pytest.fixture(scope="session")
def made(make_once: MakeOnce) -> Path:
    """A study with the runs of RUNS, and one that is not finished. Tests must not change it."""

    def fill(folder: Path) -> None:
        tiny = make_tiny_study(folder / "study", SPLITS)
        runs = {name: tiny.train(**settings, epochs=1).run_id for name, settings in RUNS.items()}
        runs["unfinished"] = tiny.begin(inputs=("t1", "flair")).run_id
        (folder / "runs.json").write_text(json.dumps(runs))

    return make_once("evaluated_runs", fill)


@pytest.fixture
def study(made: Path) -> Study:
    return load_study(made / "study")


@pytest.fixture
def ids(made: Path) -> dict[str, str]:
    """Names of the runs of RUNS."""
    names: dict[str, str] = json.loads((made / "runs.json").read_text())
    return names


def silent(_: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """Show no progress."""
    return nullcontext(lambda done, total: None)


def mae_of(study: Study, run_id: str, predicted: np.ndarray) -> float:
    cohort = pl.read_parquet(study.layout.runs / run_id / "cohort.parquet").filter(split="test")
    return float(np.abs(predicted - cohort["target"].to_numpy()).mean())


@pytest.fixture(scope="module")
def scored(made: Path) -> SubsetScores:
    """The run with modality dropout, tested from every subset of its inputs."""
    ids = json.loads((made / "runs.json").read_text())
    (found,) = score_subsets(load_study(made / "study"), ids["dropout"], "test", "cpu", silent)
    return found


@pytest.mark.parametrize("name", ["dropout", "linear", "classes"])
def test_a_run_comes_to_the_same_again(study: Study, ids: dict[str, str], name: str) -> None:
    (again,) = measure_again(study, ids[name], "cpu", silent)
    assert again.num_predictions == 24 and again.largest_difference < 1e-4
    (recorded,) = read_run(study, ids[name])
    for split, metrics in again.metrics.items():
        expected = {metric: measured.value for metric, measured in recorded.metrics[split].items()}
        assert metrics == pytest.approx(expected, rel=1e-4) and len(metrics) > 5


def test_a_prediction_that_is_not_the_models_is_told_of(study: Study, ids: dict[str, str], tmp_path: Path) -> None:
    copied = load_study(Path(shutil.copytree(study.layout.root, tmp_path / "study")))
    run = RunDirectory(copied.layout.runs / ids["t1"])
    is_first = pl.int_range(pl.len()) == 0
    write_predictions(run, pl.read_parquet(run.predictions).with_columns(pl.col("prediction") + 2.5 * is_first))
    (again,) = measure_again(copied, ids["t1"], "cpu", silent)
    assert again.largest_difference == pytest.approx(2.5, abs=1e-4)


def test_who_has_withdrawn_is_not_measured_and_changes_nothing_for_the_others(
    study: Study, ids: dict[str, str], tmp_path: Path
) -> None:
    copied = load_study(Path(shutil.copytree(study.layout.root, tmp_path / "study")))
    run = RunDirectory(copied.layout.runs / ids["dropout"])
    forget_withdrawn(run, WithdrawnSamples(rows={0, 5, 30, 40}, sample_ids=()), "2026-01-02")
    (again,) = measure_again(copied, ids["dropout"], "cpu", silent)
    assert again.num_predictions == 22 and again.largest_difference < 1e-4


def test_every_subset_is_scored_those_of_few_inputs_first(scored: SubsetScores) -> None:
    assert [score.inputs for score in scored.scores] == SUBSETS
    assert (scored.num_samples, scored.num_participants, scored.main_metric) == (12, 12, "mae")
    assert len({score.metrics["mae"].value for score in scored.scores}) == len(SUBSETS)


def test_the_score_of_a_subset_is_that_of_predictions_from_its_arrays(
    study: Study, ids: dict[str, str], scored: SubsetScores
) -> None:
    model = load_model(study.layout.runs / ids["dropout"])
    ages = pl.read_parquet(study.layout.runs / ids["dropout"] / "cohort.parquet")["target"].to_numpy()
    tiny = TinyStudy(study.layout, ages, np.tile([0.0, 0.0, 1.0, 0.0], 12), SPLITS, 8)
    for score in scored.scores:
        predicted = model.predict(**read_inputs(tiny, score.inputs, TEST))["age"]
        assert score.metrics["mae"].value == pytest.approx(mae_of(study, ids["dropout"], predicted), rel=1e-6)


def test_the_score_of_all_inputs_is_the_runs_own_with_its_interval(
    study: Study, ids: dict[str, str], scored: SubsetScores
) -> None:
    (recorded,) = read_run(study, ids["dropout"])
    for name, measured in scored.scores[-1].metrics.items():
        own = recorded.measured("test", name)
        assert measured.value == pytest.approx(own.value, rel=1e-4)
        assert measured.interval == (own.interval and pytest.approx(own.interval, rel=1e-4))


def test_a_subset_stands_beside_the_best_run_that_was_trained_on_it_alone(
    study: Study, ids: dict[str, str], scored: SubsetScores
) -> None:
    val = {name: read_run(study, ids[name])[0].measured("val", "mae").value for name in ("t1", "worse")}
    best = min(val, key=val.__getitem__)
    (expected,) = read_run(study, ids[best])
    separate = [score.separate for score in scored.scores]
    assert [found and found.run_id for found in separate] == [ids[best], *[None] * 6]  # linear is another network
    ours = scored.scores[0].metrics["mae"].value
    theirs, difference = separate[0].metrics["mae"], separate[0].differences["mae"]  # type: ignore[union-attr]
    assert theirs.value == pytest.approx(expected.measured("test", "mae").value)
    assert difference.value == pytest.approx(ours - theirs.value)  # type: ignore[operator]
    assert difference.interval is not None and difference.interval[0] <= difference.value <= difference.interval[1]  # type: ignore[operator]


def test_a_run_that_was_not_tested_on_all_of_them_is_no_comparison(
    study: Study, ids: dict[str, str], tmp_path: Path
) -> None:
    copied = load_study(Path(shutil.copytree(study.layout.root, tmp_path / "study")))
    for name in ("t1", "worse"):
        run = RunDirectory(copied.layout.runs / ids[name])
        write_predictions(run, pl.read_parquet(run.predictions).slice(0, 23))
    (found,) = score_subsets(copied, ids["dropout"], "test", "cpu", silent)
    assert not any(score.separate for score in found.scores)
    (on_val,) = score_subsets(copied, ids["dropout"], "val", "cpu", silent)
    assert on_val.scores[0].separate is not None


def test_the_command_prints_a_table_writes_a_file_and_changes_nothing(
    run_mm: RunMm, study: Study, ids: dict[str, str], scored: SubsetScores, tmp_path: Path
) -> None:
    words = ("--study", study.layout.root, "evaluate", ids["dropout"], "--inputs-subsets", "--device", "cpu")
    before = {path: path.read_bytes() for path in study.layout.runs.rglob("*") if path.is_file()}
    shown = run_mm(*words)
    assert shown.exit_code == 0 and "7 subsets of the inputs" in shown.output, shown.output
    content = json.loads(run_mm(*words, "--json").stdout)["targets"][0]
    assert [tuple(of["inputs"]) for of in content["subsets"]] == SUBSETS
    assert content["subsets"][0]["separate"]["differences"]["metrics"]["mae"] == pytest.approx(
        scored.scores[0].separate.differences["mae"].value  # type: ignore[union-attr]
    )
    path = tmp_path / "subsets.csv"
    assert run_mm(*words, "--csv", path, "--split", "val").exit_code == 0
    rows = [row for row in csv.DictReader(path.read_text().splitlines()) if row["metric"] == "mae"]
    assert [row["inputs"] for row in rows] == ["+".join(subset) for subset in SUBSETS]
    assert [bool(row["difference"]) for row in rows] == [True, *[False] * 6] and rows[0]["split"] == "val"
    again = run_mm("--study", study.layout.root, "evaluate", ids["t1"], "--device", "cpu")
    assert again.exit_code == 0 and "24 predictions of age differ from the run's own by at most" in again.output
    assert before == {path: path.read_bytes() for path in study.layout.runs.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("t1", ["--inputs-subsets"], "was trained on all its inputs at once"),
        ("unfinished", [], "is not finished"),
        ("diagnostic", ["--inputs-subsets"], "is a wiring check"),
        ("t1", ["--split", "val"], "goes with --inputs-subsets"),
        ("dropout", ["--inputs-subsets", "--device", "tpu"], "Expected a device"),
        ("dropout", ["--inputs-subsets", "--csv", "subsets.txt"], ".csv"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_reason(
    run_mm: RunMm, study: Study, ids: dict[str, str], name: str, words: list[str], message: str
) -> None:
    result = run_mm("--study", study.layout.root, "evaluate", ids[name], *words)
    assert result.exit_code in (1, 2) and message in result.output
