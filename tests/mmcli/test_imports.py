"""A GPU node needs little installed, and help comes at once."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys

BLOCKED = {"duckdb", "nibabel", "SimpleITK", "dask", "distributed"}


class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, NotInstalled())

import cli
import mmcli.training
from typer.testing import CliRunner

result = CliRunner().invoke(cli.app, sys.argv[1:], catch_exceptions=False)
assert result.exit_code == 0, result.output
print(*sorted({"torch", "zarr", "tensorstore", "polars", "matplotlib"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["ingest", "ukb", "--help"]], ids=" ".join)
def test_help_needs_no_database_image_reader_or_scheduler_and_loads_nothing_slow(words: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False, timeout=120
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "\n", "")
