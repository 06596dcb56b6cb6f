import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmtrain.errors import TrainError
from mmtrain.models.trained import load_model
from mmtrain.page.live import live_page
from mmtrain.targets import kinds
from mmtrain.targets.registry import kind_of_definition, load_kind
from mmtrain.task import training_portions

COUNT = '''
"""Counts: the output is the logarithm of the expected count, learnt by the Poisson likelihood."""

from dataclasses import asdict, dataclass

import numpy as np
import torch

from mmtrain.metrics.metric import Metric
from mmtrain.metrics.regression import MAE
from mmtrain.drawing.figures import Picture, new_figure


def mean_count(scored):
    """Mean of the predictions."""
    return float(scored.prediction.mean())


@dataclass(frozen=True, slots=True)
class Kind:
    name = "count"
    dictionary_kind = "count"
    regression = None
    num_outputs = 1
    metrics = (MAE, Metric(name="mean_count", label="mean count", of=mean_count))

    mean: float

    @classmethod
    def fit(cls, training_labels, *, weighted):
        return cls(float(training_labels.mean()))

    @classmethod
    def from_json(cls, scaling):
        return cls(**scaling)

    def to_json(self):
        return asdict(self)

    @staticmethod
    def classes(labels):
        return None

    def sample_weights(self, labels):
        return np.ones_like(labels)

    def scale(self, labels):
        return np.log1p(labels) - np.log(self.mean)

    def losses(self, outputs, labels):
        expected = torch.from_numpy(labels).to(outputs)
        logarithm = outputs[:, 0] + np.log(self.mean)
        return logarithm.exp() - expected * logarithm

    def predictions(self, outputs):
        return np.exp(outputs[:, 0]) * self.mean

    @staticmethod
    def draw(predicted, title, *, threshold=None, exact=False):
        figure, axes = new_figure()
        axes.hist([predicted.truth, predicted.prediction], label=["true", "predicted"])
        axes.set(xlabel=title)
        return {"test": Picture(figure=figure, heading="Counts", caption="How often.", description="Two histograms.")}
'''


def test_a_kind_is_one_file(tiny: Any, add_module: Any, require_picture: Any) -> None:
    add_module(kinds, "count", COUNT)
    counts = np.random.default_rng(3).poisson((tiny.ages - 40) / 2).astype(float)
    settings = {"target": "falls", "kind": "count", "unit": "a year", "inputs": ("connectivity",), "epochs": 25}
    run = tiny.train({"target": counts}, **settings, keep_page=live_page)
    entries = tiny.epochs(run)
    assert entries[-1]["train_loss"] < entries[0]["train_loss"]
    metrics, predictions = json.loads(run.metrics.read_text()), pl.read_parquet(run.predictions)
    assert metrics["kind"] == "count"
    test = predictions.filter(split="test")
    assert metrics["test"] == pytest.approx(
        {"mae": (test["truth"] - test["prediction"]).abs().mean(), "mean_count": test["prediction"].mean()}
    )
    assert test["prediction"].min() > 0 and test["truth"].to_list() == counts[33:].tolist()
    require_picture(run.plots / "test.png")
    assert "Two histograms." in run.report.read_text()
    assert load_model(run.path).card.fitted.kinds[0].mean == pytest.approx(counts[:26].mean())
    assert kind_of_definition("count") == "count"


CLASSES = '''
"""Three classes in a row, as numbers from 0; balanced as any classes are."""

from mmtrain.targets.kinds import regression


class Kind(regression.Kind):
    name = "ordinal"
    dictionary_kind = "ordinal"

    @staticmethod
    def classes(labels):
        return labels.astype(int)
'''


def test_an_epoch_draws_equally_many_of_each_class_of_any_kind(tiny: Any, add_module: Any) -> None:
    add_module(kinds, "ordinal", CLASSES)
    labels = np.array([0.0, 1, 1, 2, 2, 2, 2, 1] * 5)
    task = tiny.prepare({"target": labels}, target="grade", kind="ordinal", inputs=("connectivity",))
    read = np.concatenate([portion.request.positions for portion in training_portions(task, 1)])
    assert np.bincount(labels[read].astype(int)).tolist() == [4, 4, 4]
    assert set(labels[:26]) == {0, 1, 2} and (labels[:26] == 0).sum() == 4


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TrainError, match="one of binned, classification, regression, got 'ranking'"):
        load_kind("ranking")


def test_a_definition_that_no_kind_predicts_is_refused() -> None:
    with pytest.raises(TrainError, match=r"a target that is binary or continuous, got one that is categorical"):
        kind_of_definition("categorical")
