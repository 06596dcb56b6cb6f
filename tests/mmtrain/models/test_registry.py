from typing import Any

import pytest

from mmtrain.errors import TrainError
from mmtrain.models import networks
from mmtrain.models.names import FITTED_AT_ONCE, network_names
from mmtrain.models.registry import load_architecture
from mmtrain.models.trained import load_model

NAMES = ("boosting", "constant", "densenet121", "fusion", "linear", "resnet18", "resnet50", "sfcn")
OWN = '''
"""Means of the volumes, and the edges, to one layer; a penalty of its own."""

import torch
from torch import nn

from mmtrain.models.protocol import Architecture


class Means(nn.Module):
    def __init__(self, num_inputs, num_outputs):
        super().__init__()
        self.dropout, self.layer = nn.Dropout(0.2), nn.Linear(num_inputs, num_outputs)

    def forward(self, volumes, edges, features):
        assert features is None
        return self.layer(self.dropout(torch.cat([volumes.mean((2, 3, 4)), edges], dim=1)))


def build(shape):
    return Means(len(shape.volumes) + shape.num_edges, shape.num_outputs)


def penalty(network, config):
    return config.weight_penalty * network.layer.weight.square().sum()


ARCHITECTURE = Architecture(build=build, inputs=("t1", "flair", "connectivity"), penalty=penalty)
'''


def test_a_network_is_one_file(tiny: Any, add_module: Any) -> None:
    add_module(networks, "means", OWN)
    assert network_names() == tuple(sorted((*NAMES, "means")))
    settings = {"model": "means", "channels": (), "inputs": ("t1", "connectivity"), "epochs": 20, "learning_rate": 0.02}
    run = tiny.train(**settings)
    assert tiny.epochs(run)[-1]["val_loss"] < tiny.epochs(run)[0]["val_loss"] / 2
    assert load_model(run.path).network.layer.weight.shape == (1, 13)
    shrunk = tiny.train(**settings, weight_penalty=100.0)
    one, other = (load_model(of.path).network.layer.weight.abs().sum().item() for of in (run, shrunk))
    assert other < one / 2


def test_inputs_that_it_does_not_name_are_refused(tiny: Any, add_module: Any) -> None:
    add_module(networks, "means", OWN)
    with pytest.raises(TrainError, match="The network means takes t1, flair, connectivity, not metadata"):
        tiny.prepare(model="means", channels=(), inputs=("metadata",), metadata_blocks=("serology",))


def test_an_unknown_network_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        TrainError,
        match=rf"network \(--model\) to be one of {', '.join(NAMES)}, got 'resnet'\. Did you mean resnet50\?",
    ):
        load_architecture("resnet")


def test_raw_features_are_refused_by_a_network_that_needs_to_know_what_is_missing(tiny: Any) -> None:
    features = {"metadata_blocks": ("any",), "features": ("LDL",), "shown_features": ("LDL",)}
    given = {"inputs": ("metadata",), **features, "model": "boosting", "channels": ()}
    with pytest.raises(TrainError, match=r"boosting needs to know which .* Give --feature-scaling standardised"):
        tiny.prepare(**given, feature_scaling="raw")
    tiny.prepare(**given)


def test_a_network_that_is_fitted_at_once_learns_no_bins(tiny: Any) -> None:
    given = {"model": "linear", "channels": (), "inputs": ("connectivity",)}
    with pytest.raises(TrainError, match=r"linear is fitted at once and learns a value, not bins\. Leave --regression"):
        tiny.prepare(**given, regression="bins")
    tiny.prepare(**given, regression="value")


def test_networks_that_are_fitted_at_once_are_known_without_loading_them() -> None:
    fitted = [name for name in network_names() if load_architecture(name).fit is not None]
    assert sorted(fitted) == sorted(FITTED_AT_ONCE)
