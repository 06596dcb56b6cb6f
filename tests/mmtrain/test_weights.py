"""The network of a published checkpoint against the architecture, written down again with plain functions."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mmtrain.errors import TrainError
from mmtrain.published.network import PublishedNetwork
from mmtrain.weights import load_reference_checkpoint
from tests.mmtrain.published.checkpoints import (
    PUBLISHED_CHANNELS,
    SMALL_CHANNELS,
    Described,
    logits_of,
    save_checkpoint,
    some_inputs,
)

BLOCKS = ("imaging", "connectivity", "metadata")
SUBSETS = [subset for size in (1, 2, 3) for subset in combinations(BLOCKS, size)]
VOLUMES = [channels for size in (1, 2) for channels in combinations(range(3), size)]
"""Of a part of the modalities alone."""
TOLERANCE = 1e-5


def call(model: PublishedNetwork, **inputs: Any) -> NDArray[Any]:
    with torch.no_grad():
        return model(**inputs).numpy()


@pytest.mark.parametrize("outputs", [1, 2], ids=["continuous", "binary"])
@pytest.mark.parametrize("side", [64, 128])
def test_logits_are_those_of_the_architecture_for_every_set_of_inputs(tmp_path: Path, side: int, outputs: int) -> None:
    described = Described(side=side, channels=SMALL_CHANNELS[side], outputs=outputs)
    weights = save_checkpoint(tmp_path / "best.pt", described)
    model = load_reference_checkpoint(tmp_path / "best.pt")
    inputs = some_inputs(described, num=1)
    assert not model.training and model.shape.side == side
    for subset in SUBSETS:
        given = {name: inputs[name] for name in subset}
        logits = call(model, **given)
        assert logits.shape == (1, outputs)
        np.testing.assert_allclose(logits, logits_of(weights, side, given), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("present", VOLUMES, ids=str)
def test_logits_of_a_part_of_the_modalities_are_those_with_channels_of_zeros(
    tmp_path: Path, present: tuple[int, ...]
) -> None:
    described = Described()
    weights = save_checkpoint(tmp_path / "best.pt", described)
    volumes = some_inputs(described, num=1)["imaging"]
    volumes[:, [c for c in range(3) if c not in present]] = 0
    logits = call(load_reference_checkpoint(tmp_path / "best.pt"), imaging=volumes)
    np.testing.assert_allclose(logits, logits_of(weights, 64, {"imaging": volumes}), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(("side", "subset"), [(64, BLOCKS), pytest.param(128, ("imaging",), marks=pytest.mark.slow)])
def test_logits_are_the_same_at_the_published_widths(tmp_path: Path, side: int, subset: tuple[str, ...]) -> None:
    described = Described(side=side, channels=PUBLISHED_CHANNELS[side], edges=64_620)
    weights = save_checkpoint(tmp_path / "best.pt", described)
    given = {name: array for name, array in some_inputs(described, num=1).items() if name in subset}
    model = load_reference_checkpoint(tmp_path / "best.pt")
    np.testing.assert_allclose(call(model, **given), logits_of(weights, side, given), atol=TOLERANCE, rtol=0)


def test_names_of_several_gpus_arrays_and_tensors_make_no_difference(tmp_path: Path) -> None:
    described = Described()
    save_checkpoint(tmp_path / "one.pt", described)
    save_checkpoint(tmp_path / "several.pt", described, prefix="module.")
    inputs = some_inputs(described)
    expected = call(load_reference_checkpoint(tmp_path / "one.pt"), **inputs)
    tensors = {name: torch.from_numpy(array).double() for name, array in inputs.items()}
    np.testing.assert_array_equal(call(load_reference_checkpoint(str(tmp_path / "several.pt")), **tensors), expected)


def test_the_network_says_what_it_was_trained_on_and_takes_every_input_all_the_same(tmp_path: Path) -> None:
    described = Described(inputs=("flair", "t1"))
    save_checkpoint(tmp_path / "best.pt", described)
    model = load_reference_checkpoint(tmp_path / "best.pt")
    assert model.trained.of("trained") == ("flair", "t1")
    assert model.trained.of("untrained") == ("dwi", "connectivity", "metadata")
    assert np.isfinite(call(model, **some_inputs(described))).all()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"imaging": None, "connectivity": None, "metadata": None}, "got none of them"),
        ({"imaging": np.zeros((2, 2, 64, 64, 64))}, r"imaging of shape \(B, 3, 64, 64, 64\), got \(2, 2, 64, 64, 64\)"),
        ({"metadata": np.zeros((2, 23))}, r"metadata of shape \(B, 24\), got \(2, 23\)"),
        ({"connectivity": np.zeros((3, 10))}, r"same number of samples, got \[2, 3\]"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    described = Described()
    save_checkpoint(tmp_path / "best.pt", described)
    with pytest.raises(TrainError, match=told):
        load_reference_checkpoint(tmp_path / "best.pt")(**some_inputs(described) | changes)
