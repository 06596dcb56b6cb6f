"""The linear models, against scikit-learn's own pipeline applied to the same arrays."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from mmdata.store.array import open_array
from mmtrain.errors import TrainError
from mmtrain.models.networks.linear import PENALTIES, fit_target
from mmtrain.models.problem import Labelled, Problem, pose_problems
from mmtrain.models.samples import Samples
from mmtrain.models.trained import load_model
from mmtrain.targets.kinds import classification, regression
from mmtrain.targets.several import Targets

LINEAR = {"model": "linear", "channels": (), "precision": "float64", "augment": "none", "copies": 0}
SEX = {"target": "sex", "kind": "classification", "unit": ""}


def stored(tiny: Any, inputs: tuple[str, ...]) -> list[NDArray[np.float64]]:
    """Return the numbers of all samples of each input, volumes from -1 to 1."""
    parts = []
    for modality in inputs:
        layout, rows = tiny.layout, [(row,) for row in range(len(tiny.splits))]
        if modality == "connectivity":
            parts.append(open_array(layout.connectivity_array("glasser360")).read_rows(rows))
        else:
            parts.append(open_array(layout.volume_array(modality, 8)).read_rows(rows) / 65535 * 2 - 1)
    return [part.reshape(len(part), -1).astype(np.float64) for part in parts]


def by_first_component(components: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide by the standard deviation of the first component over the training split."""
    return components / components[:26, 0].std()


def reduced(tiny: Any, inputs: tuple[str, ...]) -> NDArray[np.float64]:
    """Return what is regressed on, by scikit-learn's own pipelines."""
    parts = stored(tiny, inputs)
    ends = np.cumsum([0, *(part.shape[1] for part in parts)])
    projections = [
        (name, PCA(min(25, end - start)), slice(start, end))
        for name, start, end in zip(inputs, ends, ends[1:], strict=False)
    ]
    x_ND = np.concatenate(parts, axis=1)
    columns = ColumnTransformer(projections).fit(x_ND[:26])
    joined, places = columns.transform(x_ND), columns.output_indices_
    return np.concatenate([by_first_component(joined[:, places[name]]) for name in inputs], axis=1)


def members(tiny: Any, *splits: str) -> NDArray[np.int64]:
    return np.flatnonzero(np.isin(tiny.splits, splits))


def predictions(run: Any) -> NDArray[np.float64]:
    return pl.read_parquet(run.predictions)["prediction"].to_numpy()


@pytest.mark.parametrize("inputs", [("connectivity",), ("flair", "t1"), ("t1", "connectivity")], ids="+".join)
def test_a_continuous_target_is_predicted_as_by_ridge_regression(tiny: Any, inputs: tuple[str, ...]) -> None:
    run = tiny.train(**LINEAR, inputs=inputs)
    x_NP, training, validation = reduced(tiny, inputs), members(tiny, "train"), members(tiny, "val")
    low, high = np.percentile(tiny.ages[training], (0.5, 99.5))
    clamped = np.clip(tiny.ages, low, high)
    ridges = [Ridge(penalty).fit(x_NP[training], clamped[training]) for penalty in PENALTIES]
    losses = [np.square(ridge.predict(x_NP[validation]) - clamped[validation]).mean() for ridge in ridges]
    best = ridges[int(np.argmin(losses))]
    assert predictions(run) == pytest.approx(best.predict(x_NP[members(tiny, "val", "test")]), rel=1e-4)
    assert load_model(run.path).card.shape.parameters["penalties"] == [best.alpha]


@pytest.mark.parametrize("balance", ["none", "weight", "undersample"])
def test_a_binary_target_is_predicted_as_by_logistic_regression(tiny: Any, balance: str) -> None:
    run = tiny.train(**LINEAR, **SEX, inputs=("connectivity",), balance=balance)
    x_NP, training, validation = reduced(tiny, ("connectivity",)), members(tiny, "train"), members(tiny, "val")
    classes, share = tiny.classes.astype(int), tiny.classes[training].mean()
    weights = np.ones(40) if balance == "none" else 0.5 / np.where(classes == 1, share, 1 - share)
    models, losses = [], []
    for penalty in PENALTIES:
        model = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=5000)
        models.append(model.fit(x_NP[training], classes[training], sample_weight=weights[training]))
        of_validation = models[-1].predict_proba(x_NP[validation])
        losses.append(log_loss(classes[validation], of_validation, sample_weight=weights[validation]))
    expected = models[int(np.argmin(losses))].predict_proba(x_NP[members(tiny, "val", "test")])[:, 1]
    assert predictions(run) == pytest.approx(expected, abs=1e-4)


def test_tabular_features_are_standardised(tiny: Any) -> None:
    metadata = {"inputs": ("metadata",), "metadata_blocks": ("serology",), "features": ("LDL",)}
    run = tiny.train(**LINEAR, **metadata, shown_features=("LDL",))
    values = np.array([np.nan if i % 5 == 0 else age for i, age in enumerate(tiny.ages)])
    missing = np.isnan(values)
    filled = np.where(missing, np.nanmean(values[:26]), values)
    x_NP = StandardScaler().fit(np.c_[filled, missing][:26]).transform(np.c_[filled, missing])
    (penalty,) = load_model(run.path).card.shape.parameters["penalties"]
    clamped = np.clip(tiny.ages[:26], *np.percentile(tiny.ages[:26], (0.5, 99.5)))
    assert predictions(run) == pytest.approx(Ridge(penalty).fit(x_NP[:26], clamped).predict(x_NP)[26:], rel=1e-4)


def test_the_validation_split_chooses_the_penalty_and_not_the_training_split() -> None:
    """Where training and validation follow the same law but for its size, only shrinkage can make up for it."""
    rng = np.random.default_rng(3)
    x_NP = rng.normal(size=(200, 4))
    answers = x_NP @ np.ones(4)
    kind = regression.Kind(-1.0, 1.0)  # which scales nothing
    training = Labelled(np.ones(200, bool), answers, np.ones(200), answers)
    weak = 0.1 * answers
    problem = Problem(kind, training, Labelled(np.ones(200, bool), weak, np.ones(200), weak))
    fitted = fit_target(problem, x_NP, x_NP)
    assert RidgeCV(PENALTIES, cv=5).fit(x_NP, answers).alpha_ == PENALTIES[0]
    assert fitted.penalty == 1000.0
    losses = {p: np.square(Ridge(p).fit(x_NP, answers).predict(x_NP) - weak).mean() for p in PENALTIES.tolist()}
    assert fitted.penalty == min(losses, key=losses.__getitem__)


def test_it_is_finished_in_one_epoch_without_a_checkpoint(tiny: Any) -> None:
    run = tiny.train(**LINEAR, inputs=("connectivity",), epochs=50)
    (entry,) = tiny.epochs(run)
    assert entry["train_loss"] < entry["val_loss"] < 0.1
    assert not run.checkpoint.exists()


def test_every_training_sample_is_read_once_as_it_is(tiny: Any) -> None:
    settings = {**LINEAR, "inputs": ("t1",)}
    plain = predictions(tiny.train(**settings))
    for others in ({"augment": "precomputed", "copies": 2}, {"augment": "on-device"}, {"drop_last": True}):
        assert predictions(tiny.train(**settings | others)) == pytest.approx(plain)


@pytest.mark.parametrize("model", ["constant", "linear", "boosting"])
def test_several_ranks_are_refused(tiny: Any, start_ranks: Any, model: str) -> None:
    run = tiny.begin(**LINEAR | {"model": model}, inputs=("connectivity",))
    for refused in start_ranks(2, "train_runs", root=tiny.layout.root, runs=[run.path]).wait():
        assert str(refused) == f"TrainError: The network {model} is fitted by one process. Train it without --gpus."


@pytest.mark.parametrize(
    ("training", "validation", "message"),
    [
        ([1.0, 1.0, 1.0], [0.0, 1.0], "needs training samples of both classes of sex, got one class"),
        ([0.0, 1.0, np.nan], [np.nan, np.nan], "needs validation samples with a label of sex, got none"),
    ],
)
def test_labels_that_it_cannot_be_fitted_to_are_refused(
    training: list[float], validation: list[float], message: str
) -> None:
    targets = Targets(("sex",), (classification.Kind(),), (1.0,))
    splits = [Samples(parts=(), labels_NT=np.array(labels)[:, None]) for labels in (training, validation)]
    with pytest.raises(TrainError, match=message):
        pose_problems("linear", targets, *splits)


def test_a_model_of_the_volumes_themselves_is_still_read(tiny: Any, tmp_path: Any) -> None:
    """Runs made before volumes were averaged say nothing of a coarse side, and have a scale for each voxel."""
    run = tiny.train(**LINEAR, inputs=("t1",), side=8)
    card = json.loads(run.model_card.read_text())
    for name in ("coarse_side", "penalties"):
        del card["network"][name]
    card["network"]["side"] = 32
    rng = np.random.default_rng(2)
    numbers = {"mean": rng.normal(size=32**3), "scale": rng.random(32**3), "layer.weight": rng.normal(size=(1, 32**3))}
    tensors = {name: torch.tensor(value, dtype=torch.float32) for name, value in numbers.items()}
    save_file({**tensors, "layer.bias": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "model.json").write_text(json.dumps(card))
    volumes = rng.random((2, 32, 32, 32)).astype(np.float32)
    model = load_model(tmp_path, dtype=torch.float64)
    centred = (volumes.reshape(2, -1) * 2 - 1 - numbers["mean"]) * numbers["scale"]
    (age,) = model.card.fitted.kinds
    expected = age.predictions(centred @ numbers["layer.weight"].T)
    assert model.predict({"t1": volumes})["age"] == pytest.approx(expected, rel=1e-4)
