"""The published weights of SFCN: what they give, and what is refused without being run."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmtrain.errors import TrainError
from mmtrain.sfcn_weights import INPUT_SHAPE, load_sfcn_checkpoint, prepare_volumes
from tests.mmtrain.models.networks.test_sfcn import random_weights, stated_log_probabilities

LAST = "classifier.conv_6.weight"


def save(path: Path, weights: Mapping[str, Any], *, prefix: str = "module.", is_archive: bool = False) -> Path:
    """Write weights as their authors did, with PyTorch of 2019, or as later versions do."""
    named = {prefix + name: tensor for name, tensor in weights.items()}
    torch.save(named, path, _use_new_zipfile_serialization=is_archive)
    return path


def test_the_network_of_the_weights_is_the_paper_s_and_the_age_is_the_mean_of_its_bins(tmp_path: Path) -> None:
    weights = random_weights(1, 40)
    model = load_sfcn_checkpoint(save(tmp_path / "age.p", weights))
    volumes = torch.rand(2, 1, 32, 64, 96, generator=torch.Generator().manual_seed(2)) * 4
    with torch.inference_mode():
        found = torch.log_softmax(model.network(volumes), 1)
        expected = stated_log_probabilities(volumes, weights, (1, 2, 3))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    ages = sum((42.5 + year) * expected[:, year].double().exp() for year in range(40))
    assert model.target == "age"
    np.testing.assert_allclose(model.read_out(found.numpy()), ages, rtol=1e-5)


@pytest.mark.slow
def test_log_probabilities_on_the_whole_grid_are_those_of_the_paper_s_network(tmp_path: Path) -> None:
    weights = random_weights(1, 40)
    model = load_sfcn_checkpoint(save(tmp_path / "age.p", weights))
    volumes = np.random.default_rng(2).uniform(0, 4, (1, 1, *INPUT_SHAPE)).astype(np.float32)
    found = model.log_probabilities(volumes)
    with torch.inference_mode():
        expected = stated_log_probabilities(torch.from_numpy(volumes), weights, (5, 6, 5)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("prefix", ["module.", ""])
@pytest.mark.parametrize("is_archive", [False, True])
def test_weights_of_sex_give_the_probability_of_the_second_output(
    tmp_path: Path, prefix: str, is_archive: bool
) -> None:
    weights = random_weights(1, 2)
    model = load_sfcn_checkpoint(save(tmp_path / "sex.p", weights, prefix=prefix, is_archive=is_archive))
    assert model.target == "sex"
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.network.state_dict().items())
    np.testing.assert_allclose(model.read_out(np.log(np.array([[0.25, 0.75]], np.float32))), [0.75], rtol=1e-6)


def test_volumes_are_divided_by_the_mean_of_the_whole_grid_and_cropped_to_its_middle() -> None:
    volumes = np.zeros((1, 182, 218, 182), np.uint8)
    volumes[0, 11, 13, 11], volumes[0, 170, 204, 170], volumes[0, 10, 0, 0] = 10, 20, 30
    found = prepare_volumes(volumes)
    mean = 60 / volumes.size
    assert found.shape == (1, 1, *INPUT_SHAPE) and found.dtype == np.float32
    assert found[0, 0, 0, 0, 0] == pytest.approx(10 / mean)
    assert found[0, 0, -1, -1, -1] == pytest.approx(20 / mean)
    assert np.count_nonzero(found) == 2


def test_volumes_of_other_shapes_and_empty_ones_are_refused(tmp_path: Path) -> None:
    model = load_sfcn_checkpoint(save(tmp_path / "age.p", random_weights(1, 40)))
    with pytest.raises(TrainError, match=r"shape \(B, 1, 160, 192, 160\), got \(1, 1, 64, 64, 64\)"):
        model.log_probabilities(np.zeros((1, 1, 64, 64, 64), np.float32))
    with pytest.raises(TrainError, match=r"shape \(B, 182, 218, 182\), got \(1, 160, 192, 160\)"):
        prepare_volumes(np.zeros((1, *INPUT_SHAPE), np.uint8))
    with pytest.raises(TrainError, match="one that is empty"):
        prepare_volumes(np.zeros((1, 182, 218, 182), np.uint8))


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("is_archive", [False, True])
def test_a_file_that_calls_something_is_refused_and_nothing_is_called(tmp_path: Path, is_archive: bool) -> None:
    folder = tmp_path / "made"
    path = save(tmp_path / "x.p", random_weights(1, 40) | {"more": Harmful(folder)}, is_archive=is_archive)
    with pytest.raises(TrainError, match=r"x\.p is damaged, or holds more than tensors\. Nothing in it was run"):
        load_sfcn_checkpoint(path)
    assert not folder.exists()


def without_norm(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in weights.items() if "conv_3.1.running_mean" not in name}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without_norm, r"Expected feature_extractor\.conv_3\.1\.running_mean .*, got none"),
        (lambda weights: weights | {"fc.weight": torch.zeros(3)}, r"Expected fc\.weight to be absent, got fractions"),
        (lambda weights: weights | {LAST: torch.zeros(40, 32, 1, 1, 1)}, r"got fractions of shape \(40, 32, 1, 1, 1\)"),
        (lambda weights: weights | {LAST: torch.zeros(40, 64, 1, 1, 1, dtype=torch.int64)}, "got whole numbers"),
        (lambda weights: weights | {LAST: torch.zeros(20, 64, 1, 1, 1)}, r"40 outputs \(age\) or 2 \(sex\), got 20"),
        (lambda weights: weights | {LAST: torch.full((40, 64, 1, 1, 1), torch.nan)}, "Expected finite weights"),
        (lambda weights: {"weight": torch.zeros(3)}, r"classifier\.conv_6\.weight is missing"),
        (lambda weights: {"epoch": 3}, "Expected nothing but tensors by name"),
    ],
)
def test_other_weights_are_refused_by_name(
    tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, Any]], told: str
) -> None:
    with pytest.raises(TrainError, match=told):
        load_sfcn_checkpoint(save(tmp_path / "x.p", change(random_weights(1, 40))))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x80\x02."])
def test_files_that_are_no_weights_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.p"
    path.write_bytes(content)
    with pytest.raises(TrainError, match=r"x\.p is damaged, or holds more than tensors"):
        load_sfcn_checkpoint(path)
    os.mkfifo(tmp_path / "pipe.p")  # which a reader would wait for
    with pytest.raises(TrainError, match=r"pipe\.p is damaged"):
        load_sfcn_checkpoint(tmp_path / "pipe.p")
    with pytest.raises(TrainError, match=r"There is no file y\.p"):
        load_sfcn_checkpoint(tmp_path / "y.p")
