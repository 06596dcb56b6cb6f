"""A run of several targets, and one that takes its imaging network from it, through every command that uses a model."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from mmbase.files import write_json
from mmtrain.data.cohort import read_cohort
from mmtrain.run import RunDirectory
from tests.conftest import RunMm
from tests.mmcli.conftest import SMALL_TRAINING
from tests.mmcli.outcome import complaint

HEAD = (
    *("--target", "weight", "--inputs", "t1,metadata", "--metadata-block", "serology"),
    *("--data-size", 10, "--epochs", 1),
)
CPU = ("--device", "cpu")


@dataclass(frozen=True)
class Made:
    """A study with both runs."""

    root: Path
    shared: RunDirectory
    head: RunDirectory
    run_mm: RunMm

    def mm(self, *words: object) -> dict[str, Any]:
        """Run a command, and return what --json says."""
        result = self.run_mm("--study", self.root, *words, "--json")
        assert result.exit_code == 0, result.output
        content: dict[str, Any] = json.loads(result.stdout)
        return content

    def refused(self, *words: object) -> str:
        return complaint(self.run_mm("--study", self.root, *words))

    def learnt_by(self, *runs: RunDirectory) -> set[str]:
        cohorts = [read_cohort(run.cohort) for run in runs]
        return {cohort.sample_ids[member] for cohort in cohorts for member in cohort.members("train")}


@pytest.fixture(scope="module")
def made(copy: Path, run_mm: RunMm, tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = Path(shutil.copytree(copy, tmp_path_factory.mktemp("methods") / "study"))
    runs: list[RunDirectory] = []
    for words in (("--target", "age,sex", *SMALL_TRAINING), (*HEAD, *CPU)):
        trunk = ("--trunk", runs[0].run_id) if runs else ()
        result = run_mm("--study", root, "train", *words, *trunk, "--json")
        assert result.exit_code == 0, result.output
        runs.append(RunDirectory(root / "runs" / json.loads(result.stdout)["run_id"]))
    return Made(root, *runs, run_mm)


def test_a_run_with_a_trunk_takes_its_width_and_augments_nothing(made: Made) -> None:
    settings = json.loads(made.head.config.read_text())["train"]
    assert (settings["trunk"], settings["channels"]) == (made.shared.run_id, [2, 2])
    assert (settings["augment"], settings["copies"]) == ("none", 0)


@pytest.mark.parametrize("which", ["shared", "head"])
def test_both_are_measured_again_to_the_same_numbers(made: Made, which: str) -> None:
    told = made.mm("evaluate", getattr(made, which).run_id, *CPU)
    assert "age" in json.dumps(told) or "weight" in json.dumps(told)


@pytest.mark.parametrize(("which", "target"), [("shared", "age"), ("shared", "sex"), ("head", "weight")])
def test_both_are_explained_for_each_target(made: Made, which: str, target: str, tmp_path: Path) -> None:
    words = ("--target", target, "--output", tmp_path / "out", "--split", "train", "--steps", 2, *CPU)
    made.mm("explain", getattr(made, which).run_id, *words)
    assert any((tmp_path / "out").iterdir())


def test_samples_that_either_has_learnt_from_are_marked(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    made.mm("predict", made.head.run_id, "--split", "all", "--output", path, *CPU)
    table = pl.read_parquet(path)
    marked = table.filter(pl.col("warnings").str.contains("learnt from"))
    predicted = set(table.filter(pl.col("status") == "predicted")["sample_id"])
    assert set(marked["sample_id"]) == made.learnt_by(made.head, made.shared) & predicted
    assert made.learnt_by(made.shared) - made.learnt_by(made.head)


def test_a_bundle_of_either_predicts_without_the_study_and_names_no_run(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmstudy.models.export.find_small_counts", lambda *_: ())  # the tests' study is a small one
    for run in (made.shared, made.head):
        where = tmp_path / run.run_id.partition("_")[0]
        made.mm("export-model", run.run_id, where, "--no-onnx")
        made.mm("predict", "--check", where)
        for path in (path for path in where.rglob("*") if path.is_file()):
            assert not any(name.encode() in path.read_bytes() for name in (made.shared.run_id, made.head.run_id))
    told = json.loads((tmp_path / "weight" / "model.json").read_text())["trained_on"]["trunk"]
    assert told["targets"] == ["age", "sex"]
    assert "n" not in told  # beside the head's own it would tell how few lack a label or an input of the head


def test_a_model_of_whose_trunk_participants_withdrew_is_not_passed_on(made: Made, tmp_path: Path) -> None:
    write_json(made.shared.withdrawn, {})
    try:
        told = made.refused("export-model", made.head.run_id, tmp_path / "bundle", "--no-onnx")
    finally:
        made.shared.withdrawn.unlink()
    assert f"Participants of run {made.shared.run_id} have withdrawn" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--augment", "on-device"), "nothing can be augmented"),
        (("--copies", 1), "nothing can be augmented"),
        (("--fold", "2/5"), "has learnt from or was chosen by, so the result would say nothing of them"),
        (("--side", 64), "Expected side 64, got 32"),
        (("--model", "linear"), "The network linear has no setting trunk"),
    ],
)
def test_what_contradicts_a_trunk_is_refused(made: Made, words: tuple[object, ...], message: str) -> None:
    assert message in made.refused("train", *HEAD, *CPU, "--trunk", made.shared.run_id, *words)


def test_a_trunk_that_knows_a_relative_of_somebody_held_out_is_refused(made: Made, tmp_path: Path) -> None:
    root = Path(shutil.copytree(made.root, tmp_path / "study"))
    learnt, tested = (read_cohort(run.cohort) for run in (made.shared, made.head))
    pair = [
        next(learnt.sample_ids[i] for i in learnt.members("train") if learnt.sample_ids[i] not in tested.sample_ids),
        tested.sample_ids[tested.members("test")[0]],
    ]
    with duckdb.connect(str(root / "catalog.duckdb")) as catalog:
        catalog.execute(
            "INSERT INTO kinship SELECT one.participant_key, other.participant_key, 0.25 FROM sample one, sample other "
            "WHERE one.sample_id = ? AND other.sample_id = ?",
            pair,
        )
    result = made.run_mm("--study", root, "train", *HEAD, *CPU, "--trunk", made.shared.run_id)
    assert "would be tested on 1 participant that run" in complaint(result)
