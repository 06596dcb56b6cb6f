"""A study with one small run, which every kind of input goes into, for all tests of predictions."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from typer.testing import Result

from mmdata.study import Study
from mmstudy.models.contract import write_contract
from mmstudy.models.find import FoundModel, find_model
from mmstudy.predict.predict import run_prediction
from mmstudy.predict.request import PredictRequest
from mmstudy.predict.summary import PredictionSummary
from mmstudy.settings import load_study
from mmtrain.bundle import BundleDirectory
from mmtrain.run import RunDirectory

INPUTS = "t1,connectivity,metadata"
TRAINING = ("--channels", "2,2", "--epochs", 1, "--copies", 0, "--device", "cpu", "--metadata-block", "serology")


@contextmanager
def silent(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show no progress."""
    yield lambda done, total: None


@dataclass(frozen=True)
class Trained:
    """A study, its run, and the release that it was made from."""

    study: Study
    run: RunDirectory
    release: Path

    @property
    def model(self) -> FoundModel:
        """Return the run as a model."""
        return find_model(self.study, self.run.run_id)

    def predict(
        self, output: Path, *sources: object, study: Study | None = None, model: str = "", **settings: Any
    ) -> tuple[pl.DataFrame, PredictionSummary]:
        """Predict with the run, or another model, in this process unless workers are asked for."""
        request = PredictRequest(
            models=tuple((model or self.run.run_id).split(",")),
            sources=tuple(map(str, sources)),
            output=output,
            **{"device": "cpu", **settings},
        )
        summary = run_prediction(study or (None if model and sources else self.study), request, silent)
        return pl.read_csv(output) if output.suffix == ".csv" else pl.read_parquet(output), summary

    def bundle(self, path: Path) -> BundleDirectory:
        """Write the run's model as a folder that needs no study."""
        model, bundle = self.model, BundleDirectory(path)
        path.mkdir(parents=True)
        for name in ("model.safetensors", "model.json"):
            shutil.copy(self.run.path / name, path / name)
        write_contract(bundle.contract, model.contract)
        return bundle

    @property
    def own(self) -> pl.DataFrame:
        """Return what the run predicted of its validation and test samples."""
        return pl.read_parquet(self.run.predictions)


@pytest.fixture(scope="session")
def trained(
    make_once: Callable[[str, Callable[[Path], object]], Path],
    run_mm: Callable[..., Result],
    study: Path,
    release: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    """Train once for all processes; each has a copy, for predictions are put on record."""

    def fill(folder: Path) -> None:
        root = Path(shutil.copytree(study, folder / "study"))
        shutil.rmtree(root / "augmented.zarr", ignore_errors=True)
        (root / "receipts" / "copies.jsonl").unlink(missing_ok=True)
        with duckdb.connect(str(root / "catalog.duckdb")) as catalog:
            catalog.execute("UPDATE sample SET split = ['test', 'val', 'train', 'train', 'train'][row % 5 + 1]")
        result = run_mm("--study", root, "train", "--target", "age,sex", "--inputs", INPUTS, *TRAINING)
        assert result.exit_code == 0, result.output

    made = make_once("trained_to_predict", fill) / "study"
    root = Path(shutil.copytree(made, tmp_path_factory.mktemp("trained") / "study"))
    (run,) = (root / "runs").iterdir()
    return Trained(load_study(root), RunDirectory(run), release)
