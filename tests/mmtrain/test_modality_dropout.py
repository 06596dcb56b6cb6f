"""One model for any subset of its inputs, from training to predictions of arrays."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mmtrain.data.portions import request_samples
from mmtrain.data.presence import draw_given
from mmtrain.errors import TrainError
from mmtrain.evaluate import predict_from_subsets
from mmtrain.learner import build_learner
from mmtrain.models.trained import TrainedModel, load_model
from mmtrain.task import Task, forward, network_inputs, stream_task
from tests.mmtrain.conftest import TinyStudy
from tests.mmtrain.models.test_trained import EVERYTHING, read_inputs

INPUTS = ("flair", "t1", "connectivity", "metadata")
SETTINGS: dict[str, Any] = {**EVERYTHING, "inputs": INPUTS, "modality_dropout": 0.4, "epochs": 1, "copies": 0}
TEST = range(33, 40)
SUBSETS = [("t1",), ("flair", "t1"), ("metadata",), ("connectivity", "metadata"), ("flair", "metadata"), INPUTS]


@pytest.fixture(scope="module")
def run(tiny: TinyStudy) -> Any:
    return tiny.train(**SETTINGS)


@pytest.fixture(scope="module")
def model(run: Any) -> TrainedModel:
    return load_model(run.path)


def first_batch(task: Task) -> Any:
    return next(stream_task(task, [request_samples(task.cohort, np.arange(3, 9))]))


def test_a_training_step_is_given_what_was_drawn_for_its_epoch_and_evaluation_everything(tiny: TinyStudy) -> None:
    task = tiny.prepare(**SETTINGS)
    batch = first_batch(task)
    assert task.shape.inputs == INPUTS
    names = task.cohort.sample_ids[3:9]
    for epoch in (1, 2):
        given = network_inputs(task, batch, epoch).given_BI
        assert given is not None
        expected = draw_given(INPUTS, 0.4, names, seed=task.config.optimisation.seed, epoch=epoch)
        np.testing.assert_array_equal(given.numpy(), expected)
    assert network_inputs(task, batch).given_BI is None


def test_what_a_sample_lacks_in_an_epoch_has_no_part_in_its_outputs(tiny: TinyStudy) -> None:
    task = tiny.prepare(**SETTINGS)
    network = build_learner(task).network.eval()
    batch = first_batch(task)
    before = forward(task, network, batch, epoch=1).detach()
    without_edges = ~network_inputs(task, batch, 1).given_BI[:, INPUTS.index("connectivity")]  # type: ignore[index]
    assert 0 < without_edges.sum() < 6
    batch.stored["connectivity"].add_(100.0)
    after = forward(task, network, batch, epoch=1).detach()
    assert torch.equal((before == after).flatten(), without_edges)


def test_without_modality_dropout_a_network_is_called_as_ever(tiny: TinyStudy) -> None:
    task = tiny.prepare(**{**SETTINGS, "modality_dropout": 0.0})
    assert network_inputs(task, first_batch(task), 1).given_BI is None


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_a_model_predicts_from_arrays_what_it_predicts_from_stores(
    tiny: TinyStudy, model: TrainedModel, subset: tuple[str, ...]
) -> None:
    assert set(model.card.optional_inputs) == set(INPUTS)
    task = tiny.prepare(**SETTINGS)
    (expected,) = predict_from_subsets(task, model.network, "test", [subset], lambda *_: None)
    predicted = model.predict(**read_inputs(tiny, subset, TEST))["age"]
    np.testing.assert_array_equal(predicted, expected[:, 0])


@pytest.mark.parametrize("subset", [("t1",), ("flair", "metadata")], ids="+".join)
def test_a_model_in_bins_predicts_from_arrays_what_it_predicts_from_stores(
    tiny: TinyStudy, subset: tuple[str, ...]
) -> None:
    in_bins = {**SETTINGS, "regression": "bins"}
    model, task = load_model(tiny.train(**in_bins).path), tiny.prepare(**in_bins)
    (expected,) = predict_from_subsets(task, model.network, "test", [subset], lambda *_: None)
    predicted = model.predict(**read_inputs(tiny, subset, TEST))["age"]
    np.testing.assert_array_equal(predicted, expected[:, 0])
    assert predicted.min() > 0 and len(set(predicted)) == len(TEST)


def test_predictions_from_subsets_differ_and_progress_is_told(tiny: TinyStudy, model: TrainedModel) -> None:
    told: list[tuple[int, int]] = []
    task = tiny.prepare(**{**SETTINGS, "batch_size": 4})
    found = predict_from_subsets(task, model.network, "test", SUBSETS, lambda *done: told.append(done))
    assert len({tuple(prediction[:, 0]) for prediction in found}) == len(SUBSETS)
    assert told == [(4, 7), (7, 7)]


def test_a_split_that_everybody_has_left_is_refused(tiny: TinyStudy, model: TrainedModel) -> None:
    task = tiny.prepare(**SETTINGS)
    cohort = replace(task.cohort, splits=np.where(task.cohort.splits == "test", "val", task.cohort.splits))
    with pytest.raises(TrainError, match="no test samples left"):
        predict_from_subsets(replace(task, cohort=cohort), model.network, "test", [INPUTS], lambda *_: None)


def test_a_model_that_needs_nothing_by_itself_needs_something(tiny: TinyStudy, model: TrainedModel) -> None:
    with pytest.raises(TrainError, match="Expected one of the inputs flair, t1, connectivity, metadata at least"):
        model.predict()
    given = read_inputs(tiny, ("t1", "metadata"), TEST)
    with pytest.raises(TrainError, match="Expected the volumes flair, t1, got dwi"):
        model.predict(volumes={"dwi": given["volumes"]["t1"]})
    with pytest.raises(TrainError, match="Expected the features LDL, sex, got LDL"):
        model.predict(features={"LDL": given["features"]["LDL"]})
    with pytest.raises(TrainError, match="same number of samples"):
        model.predict(volumes={"t1": given["volumes"]["t1"][:2]}, features=given["features"])


def test_a_model_that_was_trained_on_all_its_inputs_takes_no_fewer(tiny: TinyStudy) -> None:
    run = tiny.train(inputs=("flair", "t1"), epochs=1)
    model = load_model(run.path)
    assert model.card.optional_inputs == ()
    with pytest.raises(TrainError, match=r"Expected the volumes flair, t1, got t1\. A model needs all"):
        model.predict(**read_inputs(tiny, ("t1",), TEST))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inputs": ("t1",), "modality_dropout": 0.5}, "--modality-dropout leaves out some of several inputs, and t1"),
        (
            {"inputs": ("t1", "flair"), "model": "densenet121", "channels": (), "modality_dropout": 0.5},
            "The network densenet121 needs all its inputs",
        ),
    ],
)
def test_modality_dropout_is_refused_where_nothing_can_be_left_out(
    tiny: TinyStudy, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainError, match=message):
        tiny.prepare(**settings)
