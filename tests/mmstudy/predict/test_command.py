"""`mm predict` on the command line."""

import json
import shutil
from pathlib import Path

import polars as pl

from tests.conftest import RunMm
from tests.mmstudy.predict.conftest import Trained


def test_json_counts_what_the_file_holds(trained: Trained, tmp_path: Path, run_mm: RunMm) -> None:
    output = tmp_path / "all.csv"
    words = ("predict", trained.run.run_id, "--output", output, "--device", "cpu", "--json")
    result = run_mm("--study", trained.study.layout.root, *words)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    table = pl.read_csv(output).filter(target="age")
    counts = dict(table["status"].value_counts().iter_rows())
    assert {name: content[name] for name in counts} == counts
    assert content["output"] == str(output)
    assert content["level"] == 0.9
    assert sum(content["refused_by_name"].values()) >= content["refused"] > 0


def test_nobody_predicted_is_exit_code_1_and_the_file_says_why(trained: Trained, tmp_path: Path, run_mm: RunMm) -> None:
    source = tmp_path / "source"
    source.mkdir()
    flair = sorted(trained.release.rglob("*_20253_2_0.zip"))[0]
    shutil.copy(flair, source)
    output = tmp_path / "none.csv"
    words = ("predict", trained.run.run_id, f"ukb:{source}", "--output", output, "--workers", 0, "--device", "cpu")
    result = run_mm("--study", trained.study.layout.root, *words)
    assert result.exit_code == 1
    assert "error: No sample could be predicted" in result.stderr
    assert set(pl.read_csv(output)["status"]) == {"refused"}
    assert all("no t1" in reason for reason in pl.read_csv(output)["reason"])
