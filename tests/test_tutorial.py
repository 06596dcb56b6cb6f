"""The tutorial runs from its first command to its last, with its cohort and its models made small."""

import re
import shlex
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
import tomlkit

from tests.conftest import RunMm
from tests.documented import blocks, read_page, statements

SMALL = {"PEOPLE": "36", "VOXEL_MM": "4", "COPIES": "1", "NEW": "4"}
"""In place of the values of variables in the tutorial."""
SMALL_SWEEP = {
    "targets": ["age", "Hb"],
    "input_sets": [["t1"], ["constitutional"], ["t1", "constitutional"]],
    "train": {"epochs": 1, "channels": [2, 2]},
}
"""In place of the settings of its sweep.toml; all others stay."""


IN_THIS_PROCESS = ("synth", "ingest", "precompute-augs", "predict", "withdraw")
"""Commands that get `--workers 0`: processes that only begin cost more than this cohort."""


@dataclass
class Shell:
    """Does what a reader types: commands of mm in this process, everything else in bash."""

    folder: Path
    run_mm: RunMm
    values: dict[str, str] = field(default_factory=dict)
    """Of variables; those that are given keep their value."""
    printed: dict[str, str] = field(default_factory=dict)
    """What commands of mm printed, by the words that they begin with."""

    def type(self, statement: str) -> None:
        if found := re.fullmatch(r"(\w+)=(\S+)(\s+#.*)?", statement):
            self.values.setdefault(found[1], found[2])
            return
        text = re.sub(r"\$(\w+)", lambda name: self.values[name[1]], statement)
        if not text.startswith("mm "):
            subprocess.run(["bash", "-euc", text], cwd=self.folder, check=True)
            return
        words = shlex.split(text, comments=True)[1:]
        result = self.run_mm(*words, *(("--workers", 0) if words[0] in IN_THIS_PROCESS else ()))
        assert result.exit_code == 0, f"{text}\n{result.output}"
        self.printed[text] = result.stdout


def make_sweep_small(path: Path) -> None:
    settings = tomllib.loads(path.read_text())
    train = settings.get("train", {}) | SMALL_SWEEP["train"]
    path.write_text(tomlkit.dumps(settings | SMALL_SWEEP | {"train": train}))


def run_of_best(study: Path, target: str) -> str:
    """Return the run of the best set of a target by validation, as the pane of the report names it."""
    best = pl.read_csv(study / "sweeps" / "sweep" / "results" / "best.csv").row(
        by_predicate=(pl.col("target") == target) & (pl.col("method") == "separate"), named=True
    )
    runs = pl.read_parquet(study / "sweeps" / "sweep" / "results" / "results.parquet")
    of_best = runs.filter(pl.col("cell") == best["cell"], pl.col("method") == "separate")
    return str(of_best["run_id"].item())


def test_every_command_of_the_tutorial_runs(run_mm: RunMm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shell = Shell(tmp_path, run_mm, values=dict(SMALL))
    for block in blocks(read_page("tutorial.md")):
        for statement in statements(block):
            if statement.startswith("RUN="):
                shell.values["RUN"] = run_of_best(tmp_path / "study", "age")
            shell.type(statement)
            if "> sweep.toml" in statement:
                make_sweep_small(tmp_path / "sweep.toml")
