"""A finished run of a tiny study with enough people to tell of, and the bundle that was made of it."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmdata.study import Study, create_study, parse_config
from mmstudy.models.export import ExportOptions, export_model
from mmstudy.settings import load_study
from mmtrain.page.live import without_page
from mmtrain.run import RunDirectory
from mmtrain.train import train
from tests.mmtrain.conftest import TinyStudy, make_tiny_study

SPLITS = ["train"] * 40 + ["val"] * 24 + ["test"] * 24
EVERYTHING: dict[str, Any] = {
    "inputs": ("t1", "connectivity", "metadata"),
    "metadata_blocks": ("serology", "constitutional"),
    "features": ("LDL", "sex"),
    "shown_features": ("LDL", "sex"),
    "epochs": 1,
}


def train_run(tiny: TinyStudy, **settings: Any) -> RunDirectory:
    """Train a run whose samples have ids like those of a real study, and ages and sexes to be grouped by."""
    run = tiny.begin(**settings)
    ids = [f"{i * 0x9E3779B97F4A7C15 % 2**64:016x}" for i in range(1, len(tiny.splits) + 1)]
    cohort = pl.read_parquet(run.cohort).with_columns(
        sample_id=pl.Series(ids), group_age=pl.Series(tiny.ages), group_sex=pl.Series(tiny.classes)
    )
    cohort.write_parquet(run.cohort)
    train(run, tiny.layout, tiny.configure(**settings), keep_page=without_page)
    return run


@pytest.fixture(scope="session")
def tiny_of_models(tmp_path_factory: pytest.TempPathFactory) -> TinyStudy:
    return make_tiny_study(tmp_path_factory.mktemp("models") / "a-secret-place", SPLITS)


@pytest.fixture(scope="session")
def study_of_models(tiny_of_models: TinyStudy) -> Study:
    return load_study(tiny_of_models.layout.root)


@pytest.fixture
def fresh_study(tmp_path: Path) -> Study:
    """A study without samples."""
    return create_study(tmp_path / "study", parse_config({"salt": "salt-of-a-fresh-study"}, "test"))


@pytest.fixture(scope="session")
def everything(tiny_of_models: TinyStudy) -> RunDirectory:
    """A run with every kind of input; tests must not change it."""
    return train_run(tiny_of_models, **EVERYTHING)


@pytest.fixture(scope="session")
def bundle(study_of_models: Study, everything: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of that run, with ONNX; tests must not change it."""
    where = tmp_path_factory.mktemp("shared") / "age-model"
    export_model(study_of_models, everything.run_id, where, ExportOptions(licence="CC-BY-4.0", onnx=True))
    return where


def some_inputs(num: int = 3) -> dict[str, Any]:
    """Return made-up arrays for the run with every kind of input."""
    rng = np.random.default_rng(3)
    return {
        "volumes": {"t1": rng.integers(0, 65535, (num, 8, 8, 8)).astype(np.uint16)},
        "connectivity": rng.normal(0, 0.3, (num, 12)),
        "features": {"LDL": [3.1, np.nan, 2.5][:num], "sex": [0.0, 1.0, 1.0][:num]},
    }
