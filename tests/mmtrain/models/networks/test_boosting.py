"""Boosted trees as a run's model, against scikit-learn applied to the same components."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from mmtrain.errors import TrainError
from mmtrain.models.networks.boosting import (
    LEARNING_RATE,
    MAX_BINS,
    MAX_LEAVES,
    MAX_TREES,
    PATIENCE,
    PlainClassifier,
    PlainRegressor,
    complete,
    fit,
)
from mmtrain.models.protocol import NetworkShape
from mmtrain.models.samples import Part, Samples
from mmtrain.models.trained import load_model
from mmtrain.targets.kinds import classification, regression
from mmtrain.targets.several import Targets
from tests.mmtrain.conftest import TinyStudy, make_tiny_study
from tests.mmtrain.models.test_trained import read_inputs

SPLITS = ["train"] * 150 + ["val"] * 40 + ["test"] * 30
EVERYTHING = {"inputs": ("t1", "connectivity", "metadata"), "metadata_blocks": ("serology",)}
SETTINGS = {"model": "boosting", "channels": (), "features": ("LDL",), "shown_features": ("LDL",), **EVERYTHING}
CLASS_WEIGHTS = (0.6, 3.0)
SHAPE = NetworkShape(volumes=(), side=1, num_edges=3, num_features=2, num_outputs=3)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> TinyStudy:
    """As many samples as trees need to have more than one leaf."""
    return make_tiny_study(tmp_path_factory.mktemp("boosting") / "study", SPLITS)


@pytest.fixture(scope="module")
def run(study: TinyStudy) -> Any:
    return study.train(**SETTINGS)


def split_of(num: int, seed: int) -> Samples:
    """Return samples whose first target is a step of a gap and an edge, the second whether another edge is positive."""
    rng = np.random.default_rng(seed)
    edges = rng.normal(size=(num, 3)).astype(np.float32) * (3, 2, 1)
    missing = rng.random(num) < 0.3
    table = np.c_[np.where(missing, 0.0, rng.normal(size=num)), missing].astype(np.float32)
    age = 60.0 + 5 * (edges[:, 0] > 0.3) + 8 * missing + rng.normal(size=num)
    sex = (edges[:, 1] > 0).astype(float)
    sex[::7] = np.nan
    return Samples(parts=(Part(rows_RD=edges.astype(np.float32)), Part(rows_RD=table)), labels_NT=np.c_[age, sex])


def best_of(
    estimator: type, training: tuple[NDArray[Any], ...], validation: tuple[NDArray[Any], ...]
) -> tuple[Any, int]:
    """Return scikit-learn's model, and the number of trees with the smallest validation loss."""
    sizes = {"max_iter": MAX_TREES, "max_leaf_nodes": MAX_LEAVES, "max_bins": MAX_BINS, "n_iter_no_change": PATIENCE}
    model = estimator(learning_rate=LEARNING_RATE, early_stopping=True, scoring="loss", **sizes)
    (x_NF, answers, weights), (other_NF, other_answers, other_weights) = training, validation
    of_validation = {"X_val": other_NF, "y_val": other_answers, "sample_weight_val": other_weights}
    model.fit(x_NF, answers, sample_weight=weights, **of_validation)
    return model, int(model.validation_score_.argmax())


def test_each_target_is_predicted_as_by_scikit_learn_stopped_on_validation() -> None:
    splits = training, validation = split_of(400, 1), split_of(200, 2)
    kinds = (regression.Kind(50.0, 90.0), classification.Kind(CLASS_WEIGHTS))
    fitted = fit(complete(SHAPE), training, validation, Targets(("age", "sex"), kinds, (1.0, 1.0)), 7)
    shape, model = fitted.shape, fitted.network
    (projection,) = model.projections
    inputs = []
    for samples in splits:
        edges, table = (part.numbers() for part in samples.parts)
        gaps = np.where(table[:, 1] > 0, np.nan, table[:, 0])
        components = (edges - projection.mean.numpy()).astype(np.float64) @ projection.components.double().numpy().T
        inputs.append(np.c_[components.astype(np.float32), gaps.astype(np.float32)])
    outputs = model(None, *(torch.from_numpy(part.numbers()) for part in validation.parts)).detach().numpy()
    ages = [np.clip((samples.labels_NT[:, 0] - 50) / 20 - 1, -1, 1) for samples in splits]
    regressions = [(x, age, np.ones(len(x))) for x, age in zip(inputs, ages, strict=True)]
    trees, num_trees = best_of(HistGradientBoostingRegressor, *regressions)
    assert 0 < num_trees < MAX_TREES
    assert outputs[:, 0] == pytest.approx(list(trees.staged_predict(inputs[1]))[num_trees - 1], abs=1e-5)
    classifications = []
    for x, samples in zip(inputs, splits, strict=True):
        sex = samples.labels_NT[:, 1]
        known = ~np.isnan(sex)
        classifications.append((x[known], sex[known], np.where(sex == 1, *CLASS_WEIGHTS[::-1])[known]))
    classifier, other_trees = best_of(PlainClassifier, *classifications)
    (*_, expected) = (p for p, _ in zip(classifier.staged_predict_proba(inputs[1]), range(other_trees), strict=False))
    assert 1 / (1 + np.exp(-outputs[:, 2])) == pytest.approx(expected[:, 1], abs=1e-5)
    assert outputs[:, 1] == pytest.approx(-outputs[:, 2])
    assert shape.parameters["num_trees"] == [num_trees, other_trees]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(PlainRegressor, HistGradientBoostingRegressor), (PlainClassifier, HistGradientBoostingClassifier)],
)
def test_thresholds_lie_where_scikit_learn_puts_them_without_weights_and_weights_still_count(
    ours: Any, theirs: Any
) -> None:
    rng = np.random.default_rng(6)
    x_NF = rng.normal(size=(400, 3)).astype(np.float32)
    answers, weights = (x_NF[:, 0] + rng.normal(size=400) > 0).astype(float), rng.uniform(0.2, 5.0, 400)
    plain, weighted, unweighted = ours(max_bins=16), ours(max_bins=16), theirs(max_bins=16)
    plain.fit(x_NF, answers)
    weighted.fit(x_NF, answers, sample_weight=weights)
    unweighted.fit(x_NF, answers)
    for bins, others in zip(weighted._bin_mapper.bin_thresholds_, unweighted._bin_mapper.bin_thresholds_, strict=True):
        np.testing.assert_array_equal(bins, others)
    np.testing.assert_array_equal(plain.predict(x_NF), unweighted.predict(x_NF))
    raw = "predict_proba" if hasattr(ours, "predict_proba") else "predict"
    assert np.abs(getattr(weighted, raw)(x_NF) - getattr(unweighted, raw)(x_NF)).max() > 0.01


def test_a_feature_that_nobody_with_a_label_has_is_not_used() -> None:
    rng = np.random.default_rng(3)
    splits = []
    for num in (100, 60):
        known = rng.normal(size=num)
        missing = np.arange(num) >= 50
        table = np.c_[known, np.where(missing, 0.0, known), np.zeros(num), missing].astype(np.float32)
        labels = np.where(missing, 60.0 + 5 * known, np.nan)
        splits.append(Samples(parts=(Part(rows_RD=table),), labels_NT=labels[:, None]))
    shape = NetworkShape(volumes=(), side=1, num_features=4, num_outputs=1)
    targets = Targets(("age",), (regression.Kind(40.0, 80.0),), (1.0,))
    model = fit(complete(shape), *splits, targets, 7).network
    table = splits[1].parts[0].numbers()
    others = np.c_[table[:, 0], -table[:, 0], table[:, 2], 1 - table[:, 3]].astype(np.float32)
    outputs = [model(None, None, torch.from_numpy(of_both)).detach().numpy() for of_both in (table, others)]
    assert np.ptp(outputs[0]) > 0.1
    np.testing.assert_array_equal(*outputs)


def test_a_run_is_predicted_from_its_kept_files_as_it_was_tested(study: Any, run: Any, tmp_path: Path) -> None:
    for file in (run.model, run.model_card):
        shutil.copy(file, tmp_path)
    model = load_model(tmp_path)
    inputs = read_inputs(study, EVERYTHING["inputs"], range(150, 220))
    del inputs["features"]["sex"]
    table = pl.read_parquet(run.predictions)
    assert model.predict(**inputs)["age"] == pytest.approx(table["prediction"].to_numpy(), rel=1e-6)
    assert table.filter(split="test").select(pl.corr("truth", "prediction")).item() > 0.95
    assert sum(model.card.shape.parameters["num_trees"]) > 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_nodes", 10**11),
        ("num_nodes", -1),
        ("num_trees", [10**11]),
        ("num_trees", 3),
        ("components", [10**9, 12]),
        ("components", [12]),
        ("coarse_side", 10**6),
        ("coarse_side", "wide"),
        ("components", None),
    ],
)
def test_a_card_with_absurd_sizes_is_refused_in_one_line(run: Any, tmp_path: Path, name: str, value: Any) -> None:
    shutil.copy(run.model, tmp_path)
    card = json.loads(run.model_card.read_text())
    if value is None:
        del card["network"][name]
    else:
        card["network"][name] = value
    (tmp_path / "model.json").write_text(json.dumps(card))
    with pytest.raises(TrainError, match=r"not those of its model card|describes no network") as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)
