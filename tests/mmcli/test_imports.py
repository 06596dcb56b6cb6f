"""A GPU node needs little installed, and help comes at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RunMm
from tests.mmcli.conftest import SMALL_TRAINING

PROGRAM = """
import sys

BLOCKED = {"duckdb", "nibabel", "SimpleITK", "dask", "distributed"}


class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, NotInstalled())

from cli import app

app(sys.argv[1:], standalone_mode=False)
print(*sorted({"torch", "zarr", "tensorstore", "polars", "matplotlib"} & sys.modules.keys()))
"""


def run_without_packages(*words: object) -> "subprocess.CompletedProcess[str]":
    """Run a command of mm where neither database, image readers nor scheduler are installed."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["ingest", "ukb", "--help"]], ids=" ".join)
def test_help_needs_no_database_image_reader_or_scheduler_and_loads_nothing_slow(words: list[str]) -> None:
    result = run_without_packages(*words)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: ") and result.stdout.splitlines()[-1] == ""


MISTAKEN = """
import sys

from typer.testing import CliRunner

from cli import app

for words in (
    ["predict", "mistaken", "--output", "a.csv"],
    ["explain", "mistaken", "--output", "folder"],
    ["export-model", "mistaken", "folder"],
    ["weights", "export", "mistaken", "a.pt"],
    ["evaluate", "mistaken"],
):
    result = CliRunner().invoke(app, ["--study", sys.argv[1], *words])
    assert result.exit_code == 1 and "'mistaken'" in result.output, result.output
print(*sorted({"torch", "matplotlib"} & sys.modules.keys()))
"""


def test_a_model_that_is_not_there_is_told_of_before_anything_slow_is_loaded(study: Path) -> None:
    command = [sys.executable, "-c", MISTAKEN, str(study)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stderr


def test_a_prepared_run_is_trained_where_there_is_no_database(run_mm: RunMm, copy: Path) -> None:
    prepared = run_mm("--study", copy, "train", "--target", "age", *SMALL_TRAINING, "--prepare", "--json")
    run_id = json.loads(prepared.stdout)["run_id"]
    result = run_without_packages("--study", copy, "train", "--resume", run_id)
    assert result.returncode == 0, result.stderr
    assert (copy / "runs" / run_id / "metrics.json").is_file()
    assert f"warning: duckdb is not installed here, so run {run_id} is not in the catalogue" in result.stderr
    assert run_mm("--study", copy, "ingest", "ukb", "--workers", 0).exit_code == 0
    runs = json.loads(run_mm("--study", copy, "status", "--json").stdout)["runs"]
    assert run_id in {run["run_id"] for run in runs}
