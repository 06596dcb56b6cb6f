"""The linear models, against scikit-learn applied by hand to the same arrays."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from mmdata.store.array import open_array
from mmtrain.errors import TrainError
from mmtrain.models.networks.linear import MAX_INPUTS, PENALTIES, complete, search_penalty
from mmtrain.models.protocol import NetworkShape

LINEAR = {"model": "linear", "channels": (), "precision": "float64", "augment": "none", "copies": 0}
SEX = {"target": "sex", "kind": "classification", "unit": ""}


def standardised(tiny: Any, inputs: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the stored numbers of all samples, with the training split's mean and deviation of 0 and 1."""
    arrays = []
    for modality in inputs:
        layout = tiny.layout
        path = (
            layout.connectivity_array("glasser360") if modality == "connectivity" else layout.volume_array(modality, 8)
        )
        stored = open_array(path).read_rows([(row,) for row in range(len(tiny.splits))])
        arrays.append(stored.reshape(len(stored), -1).astype(np.float64))
    x_ND = np.concatenate(arrays, axis=1)
    return StandardScaler().fit(x_ND[members(tiny, "train")]).transform(x_ND)


def members(tiny: Any, *splits: str) -> NDArray[np.int64]:
    return np.flatnonzero(np.isin(tiny.splits, splits))


def predictions(run: Any) -> NDArray[np.float64]:
    return pl.read_parquet(run.predictions)["prediction"].to_numpy()


@pytest.mark.parametrize("inputs", [("connectivity",), ("flair", "t1"), ("t1", "connectivity")], ids="+".join)
def test_a_continuous_target_is_predicted_as_by_ridge_regression(tiny: Any, inputs: tuple[str, ...]) -> None:
    run = tiny.train(**LINEAR, inputs=inputs)
    x_ND, training = standardised(tiny, inputs), members(tiny, "train")
    low, high = np.percentile(tiny.ages[training], (0.5, 99.5))
    ridge = RidgeCV(PENALTIES).fit(x_ND[training], np.clip(tiny.ages[training], low, high))
    assert predictions(run) == pytest.approx(ridge.predict(x_ND[members(tiny, "val", "test")]), rel=1e-4)


@pytest.mark.parametrize("balance", ["none", "weight", "undersample"])
def test_a_binary_target_is_predicted_as_by_logistic_regression(tiny: Any, balance: str) -> None:
    run = tiny.train(**LINEAR, **SEX, inputs=("connectivity",), balance=balance)
    x_ND, training = standardised(tiny, ("connectivity",)), members(tiny, "train")
    classes = tiny.classes[training].astype(int)
    weights = 0.5 / np.where(classes == 1, classes.mean(), 1 - classes.mean()) if balance != "none" else None
    search = GridSearchCV(LogisticRegression(), {"C": 1 / PENALTIES}, scoring="neg_log_loss", cv=5)
    search.fit(x_ND[training], classes, sample_weight=weights)
    expected = search.predict_proba(x_ND[members(tiny, "val", "test")])[:, 1]
    assert predictions(run) == pytest.approx(expected, abs=2e-3)  # both end where the gradient is nearly 0


def test_it_is_finished_in_one_epoch(tiny: Any) -> None:
    run = tiny.train(**LINEAR, inputs=("connectivity",), epochs=50)
    (entry,) = tiny.epochs(run)
    assert entry["train_loss"] < entry["val_loss"] < 0.1
    assert {path.name for path in run.plots.iterdir()} == {"loss.png", "test.png"}


def test_every_training_sample_is_read_once_as_it_is(tiny: Any) -> None:
    settings = {**LINEAR, "inputs": ("t1",)}
    plain = predictions(tiny.train(**settings))
    for others in ({"augment": "precomputed", "copies": 2}, {"augment": "on-device"}, {"drop_last": True}):
        assert predictions(tiny.train(**settings | others)) == pytest.approx(plain)


def test_several_ranks_are_refused(tiny: Any, start_ranks: Any) -> None:
    run = tiny.begin(**LINEAR, inputs=("connectivity",))
    for refused in start_ranks(2, "train_runs", root=tiny.layout.root, runs=[run.path]).wait():
        assert str(refused) == "TrainError: The network linear is fitted by one process. Train it without --gpus."


def test_more_numbers_than_fit_into_memory_are_refused() -> None:
    assert complete(NetworkShape(volumes=("t1",), side=64, num_outputs=1)).num_edges == 0
    with pytest.raises(TrainError, match=rf"at most {MAX_INPUTS} numbers of each sample, got 524288"):
        complete(NetworkShape(volumes=("t1", "flair"), side=64, num_outputs=1))


def test_a_small_class_is_validated_in_fewer_folds_and_one_of_a_single_sample_is_refused() -> None:
    assert [search_penalty(np.array([0] * 20 + [1] * num)).cv for num in (2, 4, 9)] == [2, 4, 5]
    with pytest.raises(TrainError, match="needs 2 training samples of each class, got 1 of one"):
        search_penalty(np.array([0, 0, 0, 1]))
