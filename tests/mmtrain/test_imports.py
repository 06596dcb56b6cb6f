"""A GPU node needs little installed: no database, image reader, scheduler or matplotlib, and no distribution of mm."""

import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import importlib.metadata
import sys
from pathlib import Path

BLOCKED = {"catalog", "duckdb", "nibabel", "SimpleITK", "dask", "distributed", "monai"}
BLOCKED |= {"matplotlib", "nilearn", "statsmodels", "zarr"}
LATER = {"scipy", "sklearn", "tensorboard"}


class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def version_of(name, known=importlib.metadata.version):
    if name == "mm":
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)


sys.meta_path.insert(0, NotInstalled())
importlib.metadata.version = version_of

from mmdata.study import load_study
from mmstudy.runs.train import find_unfinished
from mmtrain.train import train

assert not LATER & sys.modules.keys()
study = load_study(Path(sys.argv[1]))
run, config = find_unfinished(study, sys.argv[2], {})
train(run, study.layout, config, resumed=True)
assert not BLOCKED & {name.partition(".")[0] for name in sys.modules}
"""


def test_a_run_is_resumed_to_its_end_where_little_is_installed(tiny: Any) -> None:
    run = tiny.begin(inputs=("t1", "connectivity"), augment="hybrid", epochs=2)
    words = [sys.executable, "-c", PROGRAM, str(tiny.layout.root), run.run_id]
    result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert run.metrics.exists() and len(tiny.epochs(run)) == 2


@pytest.mark.parametrize("module", ["mmtrain.config.run", "mmtrain.run", "mmtrain.models.card", "mmtrain.ranks.launch"])
def test_a_module_can_be_imported_by_itself(module: str) -> None:
    program = PROGRAM.split("from mmdata", maxsplit=1)[0] + f"import {module}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
