"""Continuous targets in bins against closed forms and SciPy's distributions."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from mmtrain.models.trained import load_model
from mmtrain.targets.kinds.binned import Kind

OF_PAPER = Kind(44.0, 80.0)


def test_ages_from_44_to_80_have_the_bins_of_the_paper() -> None:
    assert OF_PAPER.edges.tolist() == list(range(42, 83))
    assert OF_PAPER.width == 1.0


def test_a_soft_label_is_what_a_gaussian_has_in_each_bin() -> None:
    ages = np.array([44.0, 45.25, 61.3, 80.0])
    found = OF_PAPER.soft_labels(ages)
    for age, shares in zip(ages, found, strict=True):
        masses = [stats.norm(age, 1.0).cdf(year + 1) - stats.norm(age, 1.0).cdf(year) for year in range(42, 82)]
        np.testing.assert_allclose(shares, np.array(masses) / np.sum(masses), atol=1e-12)


def test_labels_beyond_the_percentiles_are_clamped_as_those_of_one_value() -> None:
    np.testing.assert_array_equal(
        OF_PAPER.soft_labels(np.array([20.0, 99.0])), OF_PAPER.soft_labels(np.array([44.0, 80.0]))
    )


@given(st.floats(-1e3, 1e3), st.floats(0.1, 1e3), st.floats(0, 1))
def test_a_soft_label_is_read_out_as_its_label(low: float, span: float, place: float) -> None:
    # Exact within the bins. At the ends a Gaussian is cut two deviations from its mean, which moves its mean by 0.055.
    kind = Kind(low, low + span)
    label = np.array([low + place * span])
    read = kind.predictions(np.log(kind.soft_labels(label) + 1e-300))
    is_inside = min(place, 1 - place) * span > 4 * kind.width
    assert abs(read - label)[0] < (1e-5 if is_inside else 0.06) * kind.width + 1e-9 * abs(low)


def test_a_prediction_is_the_mean_of_the_bins_centres() -> None:
    sure = np.where(np.arange(40) == 18, 0.0, -np.inf)
    torn = np.where(np.isin(np.arange(40), [10, 13]), 5.0, -np.inf)
    outputs = np.stack([sure, torn, np.zeros(40), np.full(40, 700.0)])
    np.testing.assert_allclose(OF_PAPER.predictions(outputs), [60.5, 54.0, 62.0, 62.0])


def test_what_is_explained_is_the_prediction_and_a_likelier_bin_pulls_it_to_its_centre() -> None:
    outputs = torch.zeros(1, 40, dtype=torch.float64, requires_grad=True)
    value = OF_PAPER.explained(outputs)
    assert value.item() == OF_PAPER.predictions(outputs.detach().numpy())[0]
    value.sum().backward()
    # Of a softmax: the probability times the distance from the mean.
    assert outputs.grad is not None
    np.testing.assert_allclose(outputs.grad[0].numpy(), (42.5 + np.arange(40) - 62.0) / 40, atol=1e-12)


def test_the_loss_is_the_relative_entropy_of_soft_label_and_probabilities() -> None:
    rng = np.random.default_rng(5)
    outputs, labels = rng.normal(0, 3, (6, 40)), rng.uniform(40, 84, 6)
    expected = stats.entropy(OF_PAPER.soft_labels(labels), special.softmax(outputs, axis=1), axis=1)
    found = OF_PAPER.losses(torch.from_numpy(outputs), labels)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


def test_the_loss_is_0_where_the_probabilities_are_the_soft_label_and_its_gradient_is_finite() -> None:
    labels = np.array([44.0, 63.2, 80.0])
    soft = OF_PAPER.soft_labels(labels)
    assert (soft == 0).any()  # a Gaussian's tail ends in float64
    outputs = torch.from_numpy(np.log(np.maximum(soft, 1e-300))).requires_grad_()
    losses = OF_PAPER.losses(outputs, labels)
    losses.sum().backward()
    assert losses.detach().abs().max() < 1e-12
    assert outputs.grad is not None and outputs.grad.abs().max() < 1e-12


def test_a_scaling_survives_the_card() -> None:
    kind = Kind(41.25, 79.0625)
    assert Kind.from_json(kind.to_json()) == kind


def test_any_network_learns_in_bins_and_its_saved_model_predicts_in_years(tiny: Any) -> None:
    settings = {"inputs": ("connectivity",), "kind": "binned", "epochs": 20, "learning_rate": 0.01}
    run = tiny.train({"target": tiny.ages}, **settings)
    guessed = tiny.train(model="constant", channels=(), inputs=("connectivity",))
    metrics = tiny.metrics(run)
    assert metrics["kind"] == "binned"
    assert metrics["test"]["mae"] < 0.5 * tiny.metrics(guessed)["test"]["mae"]
    assert json.loads(run.model_card.read_text())["network"]["num_outputs"] == 40
    at_60 = load_model(run.path).predict(connectivity=np.zeros((1, 12), np.float32))["age"]
    assert at_60[0] == pytest.approx(60, abs=5)
