"""Pages that are typed from top to bottom run, with their cohort and their models made small."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import tomlkit

from tests.conftest import RunMm
from tests.documented import blocks, read_page, statements

SMALL = {"PEOPLE": "36", "VOXEL_MM": "4", "COPIES": "1", "NEW": "4"}
"""In place of the values of variables in the tutorial."""
SMALL_SWEEP: dict[str, Any] = {
    "targets": ["age", "Hb"],
    "input_sets": [["t1"], ["constitutional"], ["t1", "dwi", "connectivity"]],
    "train": {"epochs": 1, "channels": [2, 2]},
}
"""In place of the same settings in its sweep.toml; all others stay."""
OF_ITS_PEOPLE = re.compile(r"Refused|not above chance")
"""What the tutorial shows and a few people do not lead to: who lacks a scan, and what so small a split can tell."""
MORE = {
    "init": ("--set", "salt=salt-of-the-test-study"),
    **dict.fromkeys(("synth", "ingest", "precompute-augs", "predict", "withdraw"), ("--workers", "0")),
}
"""Behind the words of a command: the same split every time, and no processes, which cost more than this cohort."""


@dataclass
class Shell:
    """Does what a reader types: commands of mm in this process, everything else in bash."""

    folder: Path
    run_mm: RunMm
    values: dict[str, str] = field(default_factory=dict)
    """Of variables; those that are given keep their value."""
    printed: list[str] = field(default_factory=list)
    """Lines that mm has printed."""

    def type(self, statement: str) -> None:
        if found := re.fullmatch(r"(\w+)=(\S+)(\s+#.*)?", statement):
            self.values.setdefault(found[1], found[2])
            return
        text = re.sub(r"\$(\w+)", lambda name: self.values[name[1]], statement)
        if not text.startswith("mm "):
            subprocess.run(["bash", "-euc", text], cwd=self.folder, check=True)
            return
        words = shlex.split(text, comments=True)[1:]
        result = self.run_mm(*words, *MORE.get(words[0], ()))
        assert result.exit_code == 0, f"{text}\n{result.output}"
        self.printed += result.stdout.splitlines()


def make_sweep_small(path: Path) -> None:
    settings = tomllib.loads(path.read_text())
    assert settings.keys() >= SMALL_SWEEP.keys()
    train = settings["train"] | SMALL_SWEEP["train"]
    path.write_text(tomlkit.dumps(settings | SMALL_SWEEP | {"train": train}))


def run_of(study: Path, cell: str, network: str) -> str:
    """Return the name of a run, as the pane of the report has it."""
    results = pl.read_parquet(study / "sweeps" / "sweep" / "results" / "results.parquet")
    return str(results.filter(pl.col("cell") == cell, pl.col("network") == network)["run_id"].item())


def sentences(lines: Iterable[str]) -> set[str]:
    """Return the lines that end as sentences do, without their numbers."""
    return {re.sub(r"\d[\d.,e-]*(?<=\d)|\d", "#", line) for line in lines if line.endswith(".")}


def test_the_tutorial_runs_and_prints_what_it_shows(
    run_mm: RunMm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page, study = read_page("tutorial.md"), tmp_path / "study"
    shell = Shell(tmp_path, run_mm, dict(SMALL))
    for block in blocks(page):
        for statement in statements(block):
            if statement.startswith("RUN="):
                shell.values["RUN"] = run_of(study, "age_t1", "linear")
            shell.type(statement)
            if "> sweep.toml" in statement:
                make_sweep_small(tmp_path / "sweep.toml")
            if statement.startswith("mm withdraw"):
                assert not any((study / name).exists() for name in ("report.html", "predicted.csv", "qc.html"))

    lines = [line for block in blocks(page, ("text",)) for line in block.splitlines()]
    shown = sentences(line for line in lines if not OF_ITS_PEOPLE.search(line))
    assert len(shown) > 10 and shown - sentences(shell.printed) == set()
    assert (study / "report.html").exists() and (study / "figures" / "grid-frozen-fusion.png").exists()
    assert (study / "runs" / shell.values["RUN"] / "withdrawn.json").exists()
    assert "predicted" in pl.read_csv(tmp_path / "new.csv")["status"]
    (eid,) = (tmp_path / "w12345_20260901.csv").read_text().split()
    assert not [path for path in study.rglob("*") if path.is_file() and eid.encode() in path.read_bytes()]


def test_the_ingest_on_the_research_analysis_platform_runs_and_its_study_can_be_unpacked_elsewhere(
    run_mm: RunMm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount, here, there = (tmp_path / name for name in ("mount", "here", "there"))
    here.mkdir()
    there.mkdir()
    Shell(tmp_path, run_mm).type(f"mm synth ukb {mount} --participants 8 --voxel-mm 4 --layout rap")
    (mount / "mm").mkdir()
    for name in ("participant.csv", "w12345_20260101.csv"):
        (mount / name).rename(mount / "mm" / name)
    ingest, sweep = (
        block.replace("/mnt/project", str(mount)) for block in blocks(read_page("where-to-run.md")) if "tar -" in block
    )
    monkeypatch.chdir(here)
    for statement in statements(ingest):
        Shell(here, run_mm).type(statement)
    (here / "study.tar").rename(mount / "mm" / "study.tar")
    monkeypatch.chdir(there)
    unpack = next(statements(sweep))
    assert unpack.startswith("tar -xf")
    shell = Shell(there, run_mm)
    shell.type(unpack)
    shell.type("mm verify --workers 0")
    assert (there / "study" / "augmented.zarr").is_dir()
