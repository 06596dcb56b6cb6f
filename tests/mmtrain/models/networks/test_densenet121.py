"""MONAI's DenseNet-121 as any other network of a run."""

from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from mmtrain.errors import TrainError
from mmtrain.models import networks
from mmtrain.models.registry import network_shape
from mmtrain.ranks.independence import require_independence
from tests.mmtrain.conftest import make_tiny_study

SIDE = 32
SETTINGS = {
    "model": "densenet121",
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
from monai.networks.nets import DenseNet

from mmtrain.models.volumes import architecture_of_volumes


def build(shape):
    return DenseNet(3, len(shape.volumes), shape.num_outputs, 4, 2, (1, 1, 1, 1), dropout_prob=0.2)


ARCHITECTURE = architecture_of_volumes("small_densenet", build, halvings=5)
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Twelve samples at the smallest side that the network can have."""
    splits = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    return make_tiny_study(tmp_path_factory.mktemp("side32") / "study", splits, SIDE)


def test_a_run_that_is_stopped_within_an_epoch_and_resumed_ends_as_one_that_is_not(study: Any, on_ranks: Any) -> None:
    whole, run = study.begin(**SETTINGS), study.begin(**SETTINGS)
    on_ranks(1, "train_runs", root=study.layout.root, runs=[whole.path])
    assert on_ranks(1, "train_runs", root=study.layout.root, runs=[run.path], stop_at=(1, 1)) == [[{}]]
    assert run.checkpoint.exists() and not run.metrics.exists()
    on_ranks(1, "train_runs", root=study.layout.root, runs=[run.path], resumed=True)
    assert study.epochs(run) == study.epochs(whole)
    assert run.model.read_bytes() == whole.model.read_bytes()
    metrics = study.metrics(whole)
    assert metrics["epochs"] == 1 and set(metrics["test"]) >= {"mae", "r2", "r"}
    assert study.metrics(run) == metrics


def test_two_ranks_train_what_one_does(study: Any, on_ranks: Any, add_module: Any) -> None:
    # With fewer layers, and dropout; all other parts are the same.
    folder = add_module(networks, "small_densenet", SMALL)
    exact = {"model": "small_densenet", "batch_size": 6, "epochs": 2, "precision": "float64"}
    runs = [study.begin(**SETTINGS | exact) for _ in range(2)]
    for size, run in enumerate(runs, 1):
        on_ranks(size, "train_runs", root=study.layout.root, runs=[run.path], networks=folder)
    one, two = (load_file(run.model) for run in runs)
    assert one.keys() == two.keys()
    assert max(float(np.abs(one[name] - two[name]).max()) for name in one if "running" in name) < 1e-9
    losses = [[(entry["train_loss"], entry["val_loss"]) for entry in study.epochs(run)] for run in runs]
    assert losses[1] == [pytest.approx(pair, rel=1e-9) for pair in losses[0]]


def test_it_can_be_divided_among_ranks(study: Any) -> None:
    config = study.configure(**SETTINGS)
    shape = network_shape(config.model, config.data, num_edges=0, num_features=0, num_outputs=1)
    require_independence("densenet121", shape, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": ("t1", "connectivity")}, r"takes flair, t1, dwi, not connectivity\. Choose other --inputs, or"),
        ({"inputs": ("connectivity",)}, "not connectivity"),
        ({"side": 48}, "needs a side that 32 divides, got 48"),
    ],
)
def test_what_it_cannot_take_is_refused(study: Any, changes: dict[str, Any], message: str) -> None:
    config = study.configure(**SETTINGS | changes)
    with pytest.raises(TrainError, match=message):
        network_shape(config.model, config.data, num_edges=4, num_features=0, num_outputs=1)
