"""A study of its own for sweeps, which change it."""

import shutil
from pathlib import Path

import pytest

from mmdata.study import Study
from mmstudy.settings import load_study


@pytest.fixture
def own_study(study: Path, tmp_path: Path) -> Study:
    """A copy of the tests' study."""
    return load_study(Path(shutil.copytree(study, tmp_path / "study")))
