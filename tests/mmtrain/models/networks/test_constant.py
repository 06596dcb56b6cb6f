"""What labels alone predict: the floor of every metric, known in closed form."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmtrain.models.trained import load_model

CONSTANT = {"model": "constant", "channels": (), "precision": "float64", "inputs": ("t1",)}
SEX = {"target": "sex", "kind": "classification", "unit": ""}


def test_a_continuous_target_has_the_mean_of_its_clamped_training_labels(tiny: Any) -> None:
    run = tiny.train(**CONSTANT)
    training = tiny.ages[:26]
    mean = np.clip(training, *np.percentile(training, (0.5, 99.5))).mean()
    predictions = pl.read_parquet(run.predictions)
    assert predictions["prediction"].to_numpy() == pytest.approx(mean)
    metrics = json.loads(run.metrics.read_text())["test"]
    truth = tiny.ages[33:]
    assert metrics["mae"] == pytest.approx(np.abs(truth - mean).mean())
    assert metrics["r2"] == pytest.approx(1 - np.square(truth - mean).mean() / truth.var())
    assert metrics["r2"] <= 0 and metrics["r"] == 0


@pytest.mark.parametrize(("balance", "expected"), [("none", 6 / 26), ("weight", 0.5), ("undersample", 0.5)])
def test_a_binary_target_has_the_share_of_class_1_as_the_loss_counts_it(
    tiny: Any, balance: str, expected: float
) -> None:
    run = tiny.train(**CONSTANT, **SEX, balance=balance)
    assert tiny.classes[:26].sum() == 6
    assert pl.read_parquet(run.predictions)["prediction"].to_numpy() == pytest.approx(expected)
    metrics = json.loads(run.metrics.read_text())["test"]
    assert (metrics["auc"], metrics["balanced_accuracy"]) == (0.5, 0.5)


def test_no_other_constant_has_a_smaller_training_loss(tiny: Any) -> None:
    (entry,) = tiny.epochs(tiny.train(**CONSTANT))
    scaled = np.clip(tiny.ages[:26], *np.percentile(tiny.ages[:26], (0.5, 99.5)))
    scaled = (scaled - scaled.min()) / np.ptp(scaled) * 2 - 1
    assert entry["train_loss"] == pytest.approx(scaled.var())


def test_several_targets_have_a_constant_each(tiny: Any) -> None:
    run = tiny.train(**tiny.two_targets, model="constant", channels=(), inputs=("connectivity",))
    predicted = load_model(run.path).predict(connectivity=np.ones((3, 12), np.float32))
    assert all(len(set(values)) == 1 for values in predicted.values())
    known = [age for i, age in enumerate(tiny.ages[:26]) if i % 4 != 1]
    assert predicted["age"][0] == pytest.approx(np.mean(known), rel=0.01)  # clamped, which moves the ends a little
