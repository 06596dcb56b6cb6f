"""A GPU node needs little installed, and commands load little before they do something."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from mmstudy.settings import load_study
from tests.conftest import RunMm
from tests.mmcli.conftest import SMALL_TRAINING
from tests.mmstudy.finished_runs import AGE, add_run
from tests.mmstudy.sweep.made_sweep import begin

PROGRAM = """
import sys

BLOCKED = {"duckdb", "nibabel", "SimpleITK", "dask", "distributed", "nilearn", "statsmodels", "zarr"}


class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, NotInstalled())

from cli import app

app(sys.argv[1:], standalone_mode=False)
"""


def run_without_packages(*words: object) -> "subprocess.CompletedProcess[str]":
    """Run a command of mm where neither database, image readers nor scheduler are installed."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


AFTER_EACH = """
import json
import sys

from typer.testing import CliRunner

from cli import app

HEAVY, commands = map(json.loads, sys.argv[1:])
for words in commands:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    print(*sorted(sys.modules.keys() & HEAVY))
"""
HEAVY = (
    *("SimpleITK", "dask", "distributed", "duckdb", "matplotlib", "monai", "networkx", "nibabel", "nilearn", "numpy"),
    *("pandas", "polars", "scipy", "scipy.stats", "sklearn", "statsmodels", "tensorstore", "torch", "zarr"),
)
"""What takes a tenth of a second and more to import."""


def test_commands_load_no_more_than_they_need(study: Path, table: Path, tmp_path: Path) -> None:
    root = shutil.copytree(study, tmp_path / "study")
    begin(load_study(root))
    add_run(load_study(root), "of-age", AGE, {"test": {"mae": 5.0}})
    of_study = {"duckdb", "numpy", "polars", "tensorstore"}
    of_pictures = of_study | {"matplotlib", "scipy"}
    of_mixed_models = of_pictures | {"pandas", "scipy.stats", "statsmodels"}
    out, empty = str(tmp_path / "out"), tmp_path / "empty"
    empty.mkdir()
    steps: list[tuple[list[str], set[str]]] = [  # what was loaded stays, so that each may have what those above it had
        (["--help"], set()),
        (["ingest", "ukb", "--help"], set()),
        (["train", "--help"], set()),
        (["predict", "--help"], set()),
        (["compare", "--help"], set()),
        (["sweep", "status"], {"numpy", "polars", "tensorstore"}),
        (["runs"], of_study),
        (["status"], of_study),
        (["release-check", str(empty)], of_study),
        (["compare", "--table", str(table), "--target", "age", "--output", out], of_pictures),
        (["compare", "--table", str(table), "--target", "age,sex", "--output", out, "--overwrite"], of_mixed_models),
        (["report", "--results", str(table), "--output", f"{out}.html"], of_mixed_models | {"networkx"}),
    ]
    commands = [["--study", str(root), *words] for words, _ in steps]
    command = [sys.executable, "-c", AFTER_EACH, json.dumps(HEAVY), json.dumps(commands)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    for (words, allowed), loaded in zip(steps, result.stdout.splitlines(), strict=True):
        assert set(loaded.split()) <= allowed, words


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
    ["privacy", "mistaken"],
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
    assert all((copy / "runs" / run_id / name).is_file() for name in ("metrics.json", "report.html"))
    assert f"warning: duckdb is not installed here, so run {run_id} is not in the catalogue" in result.stderr
    assert run_mm("--study", copy, "ingest", "ukb", "--workers", 0).exit_code == 0
    runs = json.loads(run_mm("--study", copy, "status", "--json").stdout)["runs"]
    assert run_id in {run["run_id"] for run in runs}
