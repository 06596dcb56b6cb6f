"""Networks that are fitted at once: what they read, what they keep, how they begin again."""

import json
from typing import Any

import polars as pl
import psutil
import pytest
import torch

from mmdata.store.array import open_array
from mmtrain.errors import TrainError
from mmtrain.models.trained import load_model
from mmtrain.train import train
from tests.mmtrain.conftest import make_tiny_study

MODELS = ["constant", "linear", "boosting"]
SETTINGS = {"channels": (), "inputs": ("t1", "connectivity")}


@pytest.mark.parametrize("model", MODELS)
def test_a_run_that_was_killed_before_its_test_is_fitted_again_to_the_same(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    whole = tiny.train(**SETTINGS, model=model)
    killed = tiny.begin(**SETTINGS, model=model)
    config = tiny.configure(**SETTINGS, model=model)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("mmtrain.train.finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        train(killed, tiny.layout, config)
    assert killed.epochs.stat().st_size and not killed.metrics.exists()
    finished = train(killed, tiny.layout, config, resumed=True)
    assert finished["test"] == json.loads(whole.metrics.read_text())["test"]
    one, other = (load_model(run.path).network.state_dict() for run in (whole, killed))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_best_epoch_of_a_killed_run_can_be_tested_without_another_fit(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SETTINGS, "model": "boosting"}
    run, config = tiny.begin(**settings), tiny.configure(**settings)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("mmtrain.train.finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        train(run, tiny.layout, config)
    weights = run.model.read_bytes()
    assert train(run, tiny.layout, config, finishing=True)["epochs"] == 1
    assert run.model.read_bytes() == weights


@pytest.mark.parametrize("model", ["linear", "boosting"])
def test_more_than_memory_holds_is_refused_before_anything_is_read(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    available = psutil.virtual_memory()._replace(available=1_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
    message = rf"model {model} needs up to \S+ GB of memory for 26 training and 14 other samples, and 0\.00 GB"
    with pytest.raises(TrainError, match=message):
        tiny.prepare(**SETTINGS, model=model)
    tiny.prepare(**SETTINGS, model="constant")


@pytest.mark.parametrize("model", ["linear", "boosting"])
def test_volumes_are_kept_at_a_coarse_side_and_a_model_takes_them_as_they_are(tmp_path: Any, model: str) -> None:
    study = make_tiny_study(tmp_path / "study", side=32)
    settings = {"channels": (), "inputs": ("t1",), "model": model}
    run = study.train(**settings)
    card = load_model(run.path).card
    assert (card.shape.side, card.shape.parameters["coarse_side"]) == (32, 16)
    volumes = open_array(study.layout.volume_array("t1", 32)).read_rows([(row,) for row in range(26, 40)])
    predicted = load_model(run.path).predict({"t1": volumes})["age"]
    assert predicted == pytest.approx(pl.read_parquet(run.predictions)["prediction"].to_numpy(), rel=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_the_precision_of_networks_changes_nothing(tiny: Any, model: str) -> None:
    """Sums over thousands of edges, and comparisons with thresholds, are not for bfloat16."""
    runs = [tiny.train(**SETTINGS, model=model, precision=precision) for precision in ("float32", "bfloat16")]
    plain, rough = (pl.read_parquet(run.predictions)["prediction"].to_numpy() for run in runs)
    assert rough == pytest.approx(plain, rel=1e-6)
