"""Where a process computes, with GPUs that are only said to be there."""

import pytest
import torch

from mmtrain.config.run import parse_run_config
from mmtrain.device import choose_device
from mmtrain.errors import TrainError

TWO = "cuda:0 (Card 0), cuda:1 (Card 1)"


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"Card {number}")


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [("auto", "cuda"), ("cpu", "cpu"), ("cuda", "cuda"), ("cuda:0", "cuda:0"), ("cuda:1", "cuda:1")],
)
def test_a_gpu_is_chosen_by_its_number(wanted: str, chosen: str) -> None:
    assert choose_device(wanted) == torch.device(chosen)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("wanted", ["cuda:2", "cuda:10"])
def test_a_gpu_that_is_not_there_is_told_with_those_that_are(wanted: str) -> None:
    with pytest.raises(TrainError) as caught:
        choose_device(wanted)
    assert f"--device {wanted} was asked for, and this machine has {TWO}." in str(caught.value)


@pytest.mark.parametrize("wanted", ["cuda", "cuda:0"])
def test_without_a_gpu_one_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainError, match=f"--device {wanted} was asked for, but PyTorch finds no GPU"):
        choose_device(wanted)


@pytest.mark.parametrize(
    "name", ["gpu", "cuda:", "cuda:-1", "cuda:01", "cuda:one", "CUDA:0", " cpu", "cuda:1\n", "mps"]
)
def test_what_is_no_name_of_a_device_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(TrainError, match="Expected a device that is auto, cpu, cuda or cuda:N"):
        choose_device(name)
    with pytest.raises(TrainError, match=r"device: Expected auto, cpu, cuda or cuda:N .*, got"):
        parse_run_config({"target": "age", "kind": "regression", "inputs": ("t1",), "device": name})
