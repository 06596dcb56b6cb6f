"""Golden examples: made of the card alone, kept as they are, and compared by the target's own scale."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmtrain.bundle import BundleDirectory
from mmtrain.bundles.golden import (
    GoldenOutputs,
    compare_outputs,
    compute_outputs,
    draw_inputs,
    largest_differences,
    read_golden,
    write_golden,
)
from mmtrain.data.scaling import FeatureScaler
from mmtrain.errors import TrainError
from mmtrain.models.networks.fusion import complete
from mmtrain.models.trained import TrainedModel, model_of_card
from mmtrain.targets.kinds import classification, regression
from tests.made_card import make_card

CARD = make_card(
    "linear",
    volumes=("t1", "dwi"),
    side=64,
    num_edges=30,
    features=FeatureScaler(("LDL", "hidden", "sex"), (3.5, 0.0, 0.4), (0.75, 1.0, 0.5), (True, False, True)),
    kinds={"age": regression.Kind(40.0, 80.0), "sex": classification.Kind()},
)


def make_model() -> TrainedModel:
    torch.manual_seed(3)
    return model_of_card(CARD, torch.device("cpu"), torch.float32)


def test_equal_cards_give_equal_examples_and_every_example_differs() -> None:
    first, second = draw_inputs(CARD), draw_inputs(replace(CARD, trained_on={"n": {"train": 7}}))
    for name in ("t1", "dwi"):
        np.testing.assert_array_equal(first.coarse[name], second.coarse[name])
        assert len({volume.tobytes() for volume in first.coarse[name]}) == 4
    assert (first.coarse["t1"] != first.coarse["dwi"]).any()


def test_examples_look_like_brains_of_the_cards_side() -> None:
    volumes = draw_inputs(CARD).of_side(64)["volumes"]["t1"]
    assert volumes.shape == (4, 64, 64, 64) and volumes.dtype == np.uint8
    assert volumes[:, [0, -1]].max() == volumes[:, :, [0, -1]].max() == volumes[..., [0, -1]].max() == 0
    assert volumes[:, 24:40, 24:40, 24:40].min() >= 40
    blocks = volumes.reshape(4, 32, 2, 32, 2, 32, 2)
    np.testing.assert_array_equal(blocks, np.broadcast_to(blocks[:, :, :1, :, :1, :, :1], blocks.shape))


def test_features_lie_at_the_training_mean_or_a_standard_deviation_off_it() -> None:
    features = draw_inputs(CARD).features
    assert set(features) == {"LDL", "sex"}
    scores = np.concatenate([(features["LDL"] - 3.5) / 0.75, (features["sex"] - 0.4) / 0.5])
    np.testing.assert_allclose(scores[np.isfinite(scores)] % 1, 0, atol=1e-9)


def test_what_is_written_is_read_and_computes_the_same(tmp_path: Path) -> None:
    (tmp_path / "golden").mkdir()
    model, inputs = make_model(), draw_inputs(CARD)
    outputs = compute_outputs(model, inputs)
    write_golden(BundleDirectory(tmp_path), inputs, outputs)
    again, expected = read_golden(BundleDirectory(tmp_path))
    assert expected == outputs and outputs.scales == {"age": 40.0, "sex": 1.0}
    assert largest_differences(expected, model.predict(**again.of_side(64))) == {"age": 0.0, "sex": 0.0}


def test_a_model_that_takes_less_is_compared_without_each_input_that_may_lack(tmp_path: Path) -> None:
    torch.manual_seed(3)
    optional = ("t1", "dwi", "connectivity", "metadata")
    shape = complete(replace(CARD.shape, side=8, parameters={"channels": [2, 2]}))
    card = replace(CARD, network="fusion", shape=shape, optional_inputs=optional)
    model, inputs = model_of_card(card, torch.device("cpu"), torch.float32), draw_inputs(card)
    write_golden(BundleDirectory(tmp_path), inputs, compute_outputs(model, inputs))
    again, expected = read_golden(BundleDirectory(tmp_path))
    assert tuple(expected.lacking) == optional
    assert len({tuple(of["age"]) for of in (expected.predictions, *expected.lacking.values())}) == 5
    assert compare_outputs(model, again, expected) == {"age": 0.0, "sex": 0.0}

    expected.lacking["metadata"]["age"][2] += 4.0
    assert compare_outputs(model, again, expected) == pytest.approx({"age": 0.1, "sex": 0.0})


def outputs_of(**predictions: list[float]) -> GoldenOutputs:
    return GoldenOutputs(
        predictions=predictions, scales={"age": 40.0, "sex": 1.0}, versions={}, machine="x86_64", device="cpu"
    )


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ({"age": [60.0, 50.0], "sex": [0.5]}, {"age": 0.0, "sex": 0.0}),
        ({"age": [60.0, 46.0], "sex": [0.25]}, {"age": 0.1, "sex": 0.25}),
        ({"age": [60.0, np.nan], "sex": [np.inf]}, {"age": np.inf, "sex": np.inf}),
        ({"age": [60.0]}, {"age": np.inf, "sex": np.inf}),
    ],
)
def test_differences_are_shares_of_the_targets_scale(got: dict[str, Any], expected: dict[str, float]) -> None:
    assert largest_differences(outputs_of(age=[60.0, 50.0], sex=[0.5]), got) == pytest.approx(expected)


def test_a_model_that_predicts_no_number_is_refused() -> None:
    model = make_model()
    with torch.no_grad():
        model.network.layer.bias[0] = torch.nan  # type: ignore[index,union-attr]
    with pytest.raises(TrainError, match="predicts no number for age"):
        compute_outputs(model, draw_inputs(CARD))
