"""A network whose result would depend on the number of ranks says so before it is trained."""

from typing import Any

import pytest
import torch
from torch import nn

from mmtrain.errors import TrainError
from mmtrain.models import networks, registry
from mmtrain.models.protocol import Architecture, NetworkShape
from mmtrain.ranks import independence
from mmtrain.ranks.independence import require_independence

SHAPE = NetworkShape(volumes=(), side=8, num_features=6, num_outputs=1)


class OfFeatures(nn.Module):
    """A network with some layers of features, in float32."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, volumes: None, edges: None, features: torch.Tensor) -> torch.Tensor:
        outputs = self.layers(features)
        return outputs[0] if isinstance(outputs, tuple) else outputs


class Noise(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn(len(x), 1)


class InCode(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x, 0.1, self.training)


class Attention(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.attention(x, x, x)[0]


class Choice(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum().item() > 0 else -x


def require(monkeypatch: pytest.MonkeyPatch, layers: Any, num_ranks: int = 2, shape: NetworkShape = SHAPE) -> None:
    architecture = Architecture(build=lambda _: OfFeatures(layers()))
    monkeypatch.setattr(independence, "load_architecture", lambda _: architecture)
    require_independence("own", shape, num_ranks)


@pytest.mark.parametrize(
    "layers",
    [
        lambda: nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.2), nn.BatchNorm1d(4), nn.LayerNorm(4), nn.Linear(4, 1)),
        lambda: nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Dropout1d(0.3), nn.InstanceNorm1d(2), nn.Flatten()),
        lambda: nn.LSTM(6, 3, 2),
        lambda: Attention(0.0),
        lambda: nn.BatchNorm1d(6, affine=False),
    ],
    ids=["dropout and norms", "dropout by channel", "LSTM", "attention", "norm without weights"],
)
def test_layers_that_can_be_divided_are_divided(monkeypatch: pytest.MonkeyPatch, layers: Any) -> None:
    require(monkeypatch, layers)


@pytest.mark.parametrize(
    "layers",
    [
        lambda: nn.AlphaDropout(0.2),
        lambda: nn.FeatureAlphaDropout(0.2),
        nn.RReLU,
        lambda: nn.LSTM(6, 3, 2, dropout=0.2),
        lambda: nn.GRU(6, 3, 2, dropout=0.2),
        lambda: Attention(0.2),
        InCode,
        Noise,
    ],
    ids=["AlphaDropout", "FeatureAlphaDropout", "RReLU", "LSTM", "GRU", "attention", "dropout in code", "noise"],
)
def test_a_network_that_draws_at_random_by_itself_is_refused_on_several_ranks_alone(
    monkeypatch: pytest.MonkeyPatch, layers: Any
) -> None:
    with pytest.raises(TrainError, match=r"own draws at random .* in OfFeatures\.layers.* Train it without --gpus"):
        require(monkeypatch, layers)
    require(monkeypatch, layers, num_ranks=1)


@pytest.mark.parametrize(
    "layers",
    [
        lambda: nn.Sequential(nn.BatchNorm1d(6, track_running_stats=False)),
        lambda: nn.Sequential(nn.Unflatten(1, (2, 3)), nn.InstanceNorm1d(2, track_running_stats=True)),
    ],
    ids=["batch norm without running statistics", "instance norm with"],
)
def test_norms_that_depend_on_how_samples_are_divided_are_refused(monkeypatch: pytest.MonkeyPatch, layers: Any) -> None:
    with pytest.raises(TrainError, match=r"depends on how samples are divided: layers\.[01]\."):
        require(monkeypatch, layers)


def test_a_network_of_which_nobody_can_tell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainError, match=r"It is not known whether the network own .* Train it without") as caught:
        require(monkeypatch, Choice)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["fusion", "densenet121", "resnet18", "resnet50", "sfcn"])
def test_the_networks_here_can_be_divided(name: str) -> None:
    volumes = NetworkShape(volumes=("flair", "t1"), side=32, num_outputs=3)
    shape = NetworkShape(volumes=("t1",), side=32, num_edges=10, num_features=4, num_outputs=1)
    for given in (volumes, shape) if name == "fusion" else (volumes,):
        require_independence(name, registry.load_architecture(name).complete(given), 3)


REFUSED = """
from torch import nn

from mmtrain.models.protocol import Architecture


class Own(nn.Module):
    def __init__(self, num_edges):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(num_edges, 4), nn.AlphaDropout(0.1), nn.Linear(4, 1))

    def forward(self, volumes, edges, features):
        return self.layers(edges)


ARCHITECTURE = Architecture(build=lambda shape: Own(shape.num_edges))
"""


def test_ranks_refuse_it_before_they_train(tiny: Any, start_ranks: Any, add_module: Any) -> None:
    folder = add_module(networks, "refused", REFUSED)
    run = tiny.begin(model="refused", channels=(), inputs=("connectivity",))
    given = {"root": tiny.layout.root, "runs": [run.path], "networks": folder}
    for refused in start_ranks(2, "train_runs", **given).wait():
        assert "TrainError: The network refused draws at random" in str(refused)
    assert not run.epochs.exists()
