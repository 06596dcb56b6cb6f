"""The wiring check: the network is given the labels as its inputs, and the run is marked wherever it is told of."""

import json

import numpy as np
import pytest
import torch

from mmbase.names import METADATA
from mmtrain.config.run import parse_run_config
from mmtrain.diagnostic import show_labels, signal_of
from mmtrain.errors import TrainError
from mmtrain.report import metrics_table
from mmtrain.targets.several import fit_targets
from mmtrain.task import network_inputs, stream_task, training_portions
from tests.mmtrain.conftest import TinyStudy

EVERY_INPUT = ("flair", "t1", "connectivity", METADATA)
TABULAR = {"metadata_blocks": ("serology",), "features": ("LDL", "sex"), "shown_features": ("LDL",)}


def test_every_input_of_a_batch_is_the_scaled_label_and_nothing_else(tiny: TinyStudy) -> None:
    task = tiny.prepare(inputs=EVERY_INPUT, diagnostic=True, augment="on-device", copies=0, **TABULAR)
    (batch, *_) = stream_task(task, [portion.request for portion in training_portions(task, 1)][:1])
    inputs = network_inputs(task, batch, 1)
    training = tiny.ages[np.asarray(tiny.splits) == "train"]
    low, high = np.percentile(training, [0.5, 99.5])
    expected = np.clip((tiny.ages[batch.request.rows] - low) / (high - low), 0, 1) * 2 - 1
    assert inputs.volumes_BCXYZ is not None and inputs.edges_BE is not None and inputs.features_BF is not None
    assert inputs.volumes_BCXYZ.shape[1:] == (2, 8, 8, 8)
    for values in (inputs.volumes_BCXYZ.flatten(1), inputs.edges_BE):
        np.testing.assert_allclose(values, np.tile(expected[:, None], (1, values.shape[1])), rtol=1e-6)
    shown, others = inputs.features_BF[:, 0], inputs.features_BF[:, 1:]  # LDL; sex, which is not shown; what is missing
    np.testing.assert_allclose(shown, expected, rtol=1e-6)
    assert not others.any()


def test_classes_are_minus_one_and_one() -> None:
    data = parse_run_config({"target": "sex", "kind": "classification", "inputs": ("t1",)}).data
    labels = np.array([[0.0], [1.0], [1.0]])
    assert signal_of(fit_targets(data, labels), labels).tolist() == [[-1.0], [1.0], [1.0]]


def test_each_of_several_targets_has_its_own_part_and_a_missing_label_is_0() -> None:
    targets = [{"name": "age", "kind": "regression"}, {"name": "sex", "kind": "classification"}]
    data = parse_run_config({"targets": targets, "inputs": ("t1",)}).data
    labels = np.array([[50.0, 1.0], [70.0, np.nan], [np.nan, 0.0]])
    fitted = fit_targets(data, labels)
    signal = signal_of(fitted, labels)
    assert signal.tolist() == [[-1.0, 1.0], [1.0, 0.0], [0.0, -1.0]]
    assert show_labels(torch.zeros(3, 5), signal)[0].tolist() == [-1, -1, -1, 1, 1]
    assert show_labels(torch.zeros(3, 1, 4, 4, 4), signal)[1, 0, 0, 0].tolist() == [1, 1, 0, 0]
    with pytest.raises(TrainError, match=r"each of the 2 targets in its own part .* one has 1 values only"):
        show_labels(torch.zeros(3, 1), signal)


def test_a_wiring_check_is_marked_in_its_name_its_settings_its_metrics_its_card_and_its_table(tiny: TinyStudy) -> None:
    run = tiny.train(inputs=("t1",), epochs=1, diagnostic=True)
    metrics = json.loads(run.metrics.read_text())
    assert run.run_id.startswith("diagnostic_age_t1_")
    assert json.loads(run.config.read_text())["train"]["diagnostic"] is True
    assert metrics["diagnostic"] is True
    assert not run.training_predictions.exists()  # there is nothing to be remembered of people
    assert json.loads(run.model_card.read_text())["trained_on"]["diagnostic"] is True
    assert metrics_table(metrics, tiny.configure(inputs=("t1",)).data.targets).titles[0].startswith("diagnostic")
    usual = json.loads(tiny.train(inputs=("t1",), epochs=1).metrics.read_text())
    assert "diagnostic" not in usual
