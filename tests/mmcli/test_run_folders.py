"""Runs outside the study, `mm train --runs DIR`: found, entered, verified, and cleaned of whoever withdraws."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl
import pytest

from catalog.splits.schemes import StudySplit
from mmbase.checksums import write_checked
from mmbase.run_folders import RUNS_MARK
from mmdata.ledger.receipts import read_run_receipts
from mmdata.study import Study
from mmstudy.runs.begin import begin_run
from mmstudy.runs.enter import enter_run
from mmstudy.runs.folders import settle_folder
from mmstudy.runs.plan import plan_run
from mmstudy.settings import load_study
from mmtrain.run import RunDirectory
from tests.conftest import RunMm
from tests.mmcli.conftest import SMALL_TRAINING
from tests.mmcli.outcome import complaint, complaint_last


@dataclass(frozen=True)
class Outside:
    """A study, and a folder outside of it that holds one of its runs, finished as far as anybody can tell."""

    study: Study
    folder: Path
    run: RunDirectory

    @property
    def root(self) -> Path:
        return self.study.layout.root

    @property
    def away(self) -> Path:
        """Where the folder is while it is out of reach."""
        return self.folder.with_name("away")

    def entered(self) -> set[str]:
        with duckdb.connect(str(self.study.layout.catalog), read_only=True) as catalog:
            return {run_id for (run_id,) in catalog.execute("SELECT run_id FROM runs").fetchall()}

    def someone(self, tmp_path: Path) -> tuple[Path, str]:
        """Return a list of one participant of the cohort who is trained on, and the id of one of their samples."""
        sample_id = pl.read_parquet(self.run.cohort).filter(split="train")["sample_id"][0]
        with duckdb.connect(str(self.study.layout.catalog), read_only=True) as catalog:
            rows = catalog.execute("SELECT eid FROM samples WHERE sample_id = ?", [sample_id]).fetchall()
        path = tmp_path / "withdraw.csv"
        path.write_text(f"{rows[0][0]}\n")
        return path, sample_id


@pytest.fixture
def outside(copy: Path, tmp_path: Path) -> Outside:
    root = Path(shutil.copytree(copy, tmp_path / "study", ignore=shutil.ignore_patterns("age_*")))
    study = load_study(root)
    folder = settle_folder(study.layout, tmp_path / "scratch" / "runs")
    assert folder is not None
    settings = {"inputs": ("t1",), "channels": (2, 2), "copies": 0, "device": "cpu"}
    plan = plan_run(study, ["age"], settings, scheme=StudySplit(), audited=False)
    run = begin_run(study, plan, folder)
    metrics = {"target": "age", "kind": "regression", "inputs": ["t1"], "n": plan.split_sizes}
    write_checked(run.metrics, json.dumps({**metrics, "val": {"mae": 2.0}, "test": {"mae": 3.0}}).encode())
    held_out = plan.cohort.filter(pl.col("split") != "train").select("sample_id", "split", truth="target")
    held_out.with_columns(prediction="truth").write_parquet(run.predictions)
    assert enter_run(study, run) == []
    return Outside(study, folder, run)


def test_a_run_is_trained_entered_and_resumed_in_a_folder_outside_the_study(
    run_mm: RunMm, copy: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(copy, tmp_path / "study", ignore=shutil.ignore_patterns("age_*")))
    folder = tmp_path / "scratch"
    result = run_mm("--study", root, "train", "--target", "age", *SMALL_TRAINING, "--runs", folder, "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    run = folder / content["run_id"]
    assert Path(content["run_directory"]) == run and content["entered"]
    assert (run / "predictions.parquet").exists() and not list((root / "runs").iterdir())
    assert run.stat().st_mode & 0o077 == 0
    runs = json.loads(run_mm("--study", root, "status", "--json").stdout)["runs"]
    assert [entry["run_id"] for entry in runs] == [run.name]
    again = run_mm("--study", root, "train", "--resume", run.name)
    assert again.exit_code == 0 and f"Run {run.name} is finished already." in again.stderr


def test_a_run_outside_is_listed_and_gets_its_page_there(run_mm: RunMm, outside: Outside) -> None:
    name = outside.run.run_id
    listed = json.loads(run_mm("--study", outside.root, "runs", "--json").stdout)["runs"]
    assert [run["run_id"] for run in listed] == [name]
    written = json.loads(run_mm("--study", outside.root, "page", name, "--json").stdout)
    assert written["page"] == str(outside.run.report) and outside.run.report.exists()


def test_a_run_outside_stays_entered_until_it_is_seen_to_be_gone(run_mm: RunMm, outside: Outside) -> None:
    plan = plan_run(outside.study, ["age"], {"inputs": ("t1",), "copies": 0}, scheme=StudySplit(), audited=False)
    other = begin_run(outside.study, plan)
    shutil.copy(outside.run.metrics, other.metrics)
    shutil.copy(outside.run.path / "checksums.jsonl", other.path)
    name = outside.run.run_id
    assert enter_run(outside.study, other) == [] and outside.entered() == {name, other.run_id}
    outside.folder.rename(outside.away)
    assert enter_run(outside.study, other) == [] and outside.entered() == {name, other.run_id}
    status = json.loads(run_mm("--study", outside.root, "status", "--json").stdout)
    assert status["unreachable_runs"] == [str(outside.run.path)]
    assert f"Run {name} lies in {outside.folder}, which cannot be reached" in complaint(
        run_mm("--study", outside.root, "train", "--resume", name)
    )
    outside.folder.mkdir()  # as where a disk is mounted, or made anew
    assert enter_run(outside.study, other) == [] and outside.entered() == {name, other.run_id}
    (outside.folder / RUNS_MARK).touch()
    assert enter_run(outside.study, other) == [] and outside.entered() == {other.run_id}


def test_a_folder_that_was_moved_is_named_once(run_mm: RunMm, outside: Outside, tmp_path: Path) -> None:
    moved = outside.folder.rename(tmp_path / "moved")
    name = outside.run.run_id
    for words in (["--runs", moved], []):
        result = run_mm("--study", outside.root, "train", "--resume", name, *words)
        assert result.exit_code == 0 and f"Run {name} is finished already." in result.stderr
    assert read_run_receipts(outside.study.layout.receipts)[name].folder == str(moved)


def test_a_run_of_another_study_is_not_taken_for_one_of_this(run_mm: RunMm, outside: Outside) -> None:
    stranger = Path(shutil.copytree(outside.run.path, outside.folder / "age_t1_20200101-000000"))
    frame = pl.read_parquet(stranger / "cohort.parquet")
    frame.with_columns(sample_id=pl.col("sample_id").str.reverse()).write_parquet(stranger / "cohort.parquet")
    (stranger / "checksums.jsonl").unlink()
    words = ["train", "--resume", stranger.name, "--runs", outside.folder]
    assert "is not of this study" in complaint(run_mm("--study", outside.root, *words))


def test_a_withdrawal_reaches_a_run_outside_the_study(run_mm: RunMm, outside: Outside, tmp_path: Path) -> None:
    path, sample_id = outside.someone(tmp_path)
    result = run_mm("--study", outside.root, "withdraw", path, "--workers", 0)
    assert result.exit_code == 0, result.output
    assert f"{outside.run.path}/cohort.parquet" in result.stdout
    assert sample_id not in pl.read_parquet(outside.run.cohort)["sample_id"]
    assert outside.run.withdrawn.exists()


def test_a_withdrawal_says_which_run_it_cannot_reach_and_reaches_it_the_next_time(
    run_mm: RunMm, outside: Outside, tmp_path: Path
) -> None:
    path, sample_id = outside.someone(tmp_path)
    outside.folder.rename(outside.away)
    for words in (["withdraw", path], ["withdraw"], ["withdraw"]):
        result = run_mm("--study", outside.root, *words, "--workers", 0)
        assert str(outside.run.path) in result.stdout
        assert "1 runs outside the study could not be reached" in complaint_last(result)
        outside.folder.mkdir(exist_ok=True)  # as where its disk is mounted
    outside.folder.rmdir()
    outside.away.rename(outside.folder)
    assert sample_id in pl.read_parquet(outside.run.cohort)["sample_id"]
    assert "may still have their data" in complaint(run_mm("--study", outside.root, "page", outside.run.run_id))
    status = json.loads(run_mm("--study", outside.root, "status", "--json").stdout)
    assert status["uncleaned_runs"] == [outside.run.run_id]
    outside.run.metrics.unlink()  # as if it were still to be trained
    refused = complaint(run_mm("--study", outside.root, "train", "--resume", outside.run.run_id))
    assert re.search(r"may still have their data\. Run mm .*withdraw first", refused)

    result = run_mm("--study", outside.root, "withdraw", "--workers", 0)
    assert result.exit_code == 0, result.output
    assert sample_id not in pl.read_parquet(outside.run.cohort)["sample_id"]
    assert json.loads(outside.run.withdrawn.read_text())["withdrawn"]["train"] >= 1
    status = json.loads(run_mm("--study", outside.root, "status", "--json").stdout)
    assert status["uncleaned_runs"] == []


def test_the_page_of_a_run_that_is_cleaned_later_is_of_those_who_are_left(
    run_mm: RunMm, outside: Outside, tmp_path: Path
) -> None:
    path, _ = outside.someone(tmp_path)
    outside.run.report.write_text("of all")
    outside.folder.rename(outside.away)
    assert run_mm("--study", outside.root, "withdraw", path, "--workers", 0).exit_code == 1
    outside.away.rename(outside.folder)
    result = run_mm("--study", outside.root, "withdraw", "--workers", 0)
    assert result.exit_code == 0, result.output
    assert "withdrawn" in outside.run.report.read_text()


def test_files_of_runs_outside_are_verified(run_mm: RunMm, outside: Outside) -> None:
    outside.run.cohort.write_bytes(b"other")
    result = run_mm("--study", outside.root, "verify", "--workers", 0, "--json")
    assert result.exit_code == 1
    (damaged,) = json.loads(result.stdout)["files"]
    assert damaged["file"] == str(outside.run.cohort)


@pytest.mark.parametrize("where", ["runs/more", "volumes.zarr/t1", "", "audits"])
def test_no_run_is_made_inside_a_study_but_in_its_own_folder(
    run_mm: RunMm, study: Path, tmp_path: Path, where: str
) -> None:
    for root in (study, Path(shutil.copytree(study, tmp_path / "other"))):
        words = ["train", "--target", "age", "--inputs", "t1", "--runs", root / where, "--dry-run"]
        assert "--runs" in complaint(run_mm("--study", study, *words))


def test_the_studys_own_folder_may_be_named_and_a_store_or_a_file_may_not(study: Path, tmp_path: Path) -> None:
    layout = load_study(study).layout
    assert settle_folder(layout, study / "runs") is None
    (tmp_path / "arrays").mkdir()
    (tmp_path / "arrays" / "zarr.json").write_text("{}")
    (tmp_path / "file").touch()
    for path, expected in ((tmp_path / "arrays" / "t1", "a Zarr store"), (tmp_path / "file", "there is a file")):
        with pytest.raises(Exception, match=expected):
            settle_folder(layout, path)
