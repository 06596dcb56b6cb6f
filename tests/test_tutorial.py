"""The tutorial runs from its first command to its last, with its cohort and its models made small."""

import json
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

SMALL = {"PEOPLE": "40", "VOXEL_MM": "4", "COPIES": "1"}
"""In place of the values of variables in the tutorial."""
SMALL_SWEEP = {
    "targets": ["age", "Hb"],
    "input_sets": [["t1"], ["constitutional"], ["t1", "constitutional"]],
    "train": {"epochs": 1, "channels": [2, 2]},
}
"""In place of the settings of its sweep.toml; all others stay."""


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
        result = self.run_mm(*shlex.split(text, comments=True)[1:])
        assert result.exit_code == 0, f"{text}\n{result.output}"
        self.printed[text] = result.stdout


def make_sweep_small(path: Path) -> None:
    settings = tomllib.loads(path.read_text())
    train = settings.get("train", {}) | SMALL_SWEEP["train"]
    path.write_text(tomlkit.dumps(settings | SMALL_SWEEP | {"train": train}))
