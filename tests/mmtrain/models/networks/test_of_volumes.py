"""The networks that take volumes alone, as any other network of a run."""

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from mmtrain.errors import TrainError
from mmtrain.models import networks
from mmtrain.models.protocol import NetworkShape
from mmtrain.models.registry import load_architecture, network_shape
from tests.mmtrain.conftest import make_tiny_study

NAMES = ("densenet121", "resnet18", "resnet50", "sfcn")
SIDE = 32
SETTINGS = {
    "inputs": ("t1",),
    "channels": (),
    "epochs": 1,
    "batch_size": 3,
    "learning_rate": 1e-4,
    "calibration_samples": 3,
    "augment": "none",
    "copies": 0,
}
SMALL = """
from monai.networks.nets import DenseNet, ResNet

from mmtrain.models.volumes import architecture_of_volumes


def densenet(shape):
    return DenseNet(3, len(shape.volumes), shape.num_outputs, 4, 2, (1, 1, 1, 1), dropout_prob=0.2)


def resnet(shape):
    channels = len(shape.volumes)
    return ResNet("bottleneck", [1, 1, 1, 1], [2, 2, 2, 2], 3, channels, 7, 2, num_classes=shape.num_outputs)


ARCHITECTURE = architecture_of_volumes("{name}", {build}, halvings=5)
"""
"""The same parts as of the network, but fewer and narrower, and with dropout."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Twelve samples at the smallest side that the networks can have."""
    splits = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    return make_tiny_study(tmp_path_factory.mktemp("side32") / "study", splits, SIDE)


def test_a_run_that_is_stopped_within_an_epoch_and_resumed_ends_as_one_that_is_not(study: Any, on_ranks: Any) -> None:
    whole, run = (study.begin(**SETTINGS, model="densenet121") for _ in range(2))
    on_ranks(1, "train_runs", root=study.layout.root, runs=[whole.path])
    assert on_ranks(1, "train_runs", root=study.layout.root, runs=[run.path], stop_at=(1, 1)) == [[{}]]
    assert run.checkpoint.exists() and not run.metrics.exists()
    on_ranks(1, "train_runs", root=study.layout.root, runs=[run.path], resumed=True)
    assert study.epochs(run) == study.epochs(whole)
    assert run.model.read_bytes() == whole.model.read_bytes()
    metrics = study.metrics(whole)
    assert metrics["epochs"] == 1 and set(metrics["test"]) >= {"mae", "r2", "r"}
    assert study.metrics(run) == metrics


@pytest.mark.parametrize(
    ("name", "kind"), [("small_densenet", "regression"), ("small_resnet", "regression"), ("sfcn", "binned")]
)
def test_two_ranks_train_what_one_does(study: Any, on_ranks: Any, add_module: Any, name: str, kind: str) -> None:
    text = SMALL.replace("{name}", name).replace("{build}", name.removeprefix("small_"))
    folder = None if name == "sfcn" else add_module(networks, name, text)
    epochs = 1 if name == "sfcn" else 2  # which is not as small
    exact = {"model": name, "kind": kind, "batch_size": 6, "epochs": epochs, "precision": "float64"}
    runs = [study.begin(**SETTINGS | exact) for _ in range(2)]
    for size, run in enumerate(runs, 1):
        on_ranks(size, "train_runs", root=study.layout.root, runs=[run.path], networks=folder)
    one, two = (load_file(run.model) for run in runs)
    assert one.keys() == two.keys()
    assert max(float(np.abs(one[name] - two[name]).max()) for name in one if "running" in name) < 1e-9
    losses = [[(entry["train_loss"], entry["val_loss"]) for entry in study.epochs(run)] for run in runs]
    assert losses[1] == [pytest.approx(pair, rel=1e-9) for pair in losses[0]]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": ("t1", "connectivity")}, r"takes flair, t1, dwi, not connectivity\. Choose other --inputs, or"),
        ({"inputs": ("connectivity",)}, "not connectivity"),
        ({"side": 48}, r"needs a side that 32 divides, got 48\. Give --side 32 or a multiple of it"),
    ],
)
def test_what_they_cannot_take_is_refused(study: Any, name: str, changes: dict[str, Any], message: str) -> None:
    config = study.configure(**SETTINGS | changes, model=name)
    with pytest.raises(TrainError, match=f"The network {name} .*{message}"):
        network_shape(config.model, config.data, num_edges=4, num_features=0, num_outputs=1)


@pytest.mark.parametrize(
    ("depth", "num_stage_weights", "num_features"),
    [
        # Two blocks a stage, each of two convolutions of 27 weights a pair of channels; 1 × 1 × 1 where widths change.
        (18, 27 * (4 * 64**2 + (64 + 3 * 128) * 128 + (128 + 3 * 256) * 256 + (256 + 3 * 512) * 512), 512),
        # 3, 4, 6 and 3 blocks: to a quarter of the width and back, with one convolution of 27 between.
        (
            50,
            sum(
                (num_in + (count - 1) * 4 * width) * width + count * (27 * width**2 + 4 * width**2)
                for num_in, width, count in ((64, 64, 3), (256, 128, 4), (512, 256, 6), (1024, 512, 3))
            ),
            2048,
        ),
    ],
)
def test_a_residual_network_has_the_layers_of_its_paper(depth: int, num_stage_weights: int, num_features: int) -> None:
    shape = NetworkShape(volumes=("flair", "t1"), side=64, num_outputs=3)
    with torch.device("meta"):
        network = load_architecture(f"resnet{depth}").build(shape).get_submodule("network")
        assert network.get_submodule("layer4")(network_until_last_stage(network)).shape == (1, num_features, 2, 2, 2)
    weights = {name: tensor for name, tensor in network.named_parameters() if tensor.ndim == 5}
    assert weights.pop("conv1.weight").shape == (64, 2, 7, 7, 7)
    in_stages = sum(tensor.numel() for name, tensor in weights.items() if "downsample" not in name)
    assert in_stages == num_stage_weights
    assert network.get_parameter("fc.weight").shape == (3, num_features)


def network_until_last_stage(network: Any) -> torch.Tensor:
    """Return what the last of the four stages gets of one sample."""
    volumes = torch.empty(1, 2, 64, 64, 64)
    first = network.maxpool(network.act(network.bn1(network.conv1(volumes))))
    return network.layer3(network.layer2(network.layer1(first)))
